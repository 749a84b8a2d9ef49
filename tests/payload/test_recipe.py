"""What is chosen when nothing is asked for, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from recipe import RECIPES, ChoiceError, Run, precision_of, recipe_of, scaled_lr, schedule

RUN = Run(trainer="torch", net="mlp-100", data="mnist", validation=5000, seed=1, epochs=5, world=2, batch_size=128, lr=0.005,
          weight_decay=0.0, precision="32-true", device="cpu", threads=1)  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "near"), [("mlp100", "mlp-100"), ("LeNet", "lenet"), ("resnet-20", "resnet")]
)
def test_the_near_miss_is_suggested(asked: str, near: str) -> None:
    """A name that is not there comes with the nearest one, and with all."""
    with pytest.raises(ChoiceError) as caught:
        recipe_of(asked)

    assert str(caught.value) == (
        f"no net is called {asked}; did you mean {near}? There are {', '.join(RECIPES)}"
    )


def test_a_name_near_nothing_comes_with_all() -> None:
    """Nothing is suggested that nobody meant."""
    with pytest.raises(ChoiceError, match=r"^no net is called xyz; There are mlp-100, "):
        recipe_of("xyz")


def test_the_rate_follows_the_square_root_of_the_batch() -> None:
    """Four times the batch, twice the learning rate."""
    assert scaled_lr(0.005, 128, 512) == pytest.approx(0.01)
    assert scaled_lr(0.005, 128, 128) == 0.005
    assert scaled_lr(0.005, 128, 32) == pytest.approx(0.0025)


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 430])
def test_the_rate_rises_and_falls(steps: int) -> None:
    """A factor from more than 0 up to 1 at most, then down, and never below 0, for any number of steps."""
    factors = [schedule(step, steps, 0.25) for step in range(steps + 1)]  # torch asks for one more

    peak = factors.index(max(factors))
    assert 0 < min(factors[:-1])
    assert max(factors) <= 1
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert factors[-1] == 0


def test_long_trainings_reach_the_full_rate() -> None:
    """The peak is at a quarter, and is the rate that was asked for."""
    assert schedule(99, 400, 0.25) == 1.0


def test_precision_comes_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """fp32 for small nets; bf16 where the processor has it, and fp32 where not."""
    assert precision_of(RECIPES["mlp-100"], "cpu")[0] == "32-true"
    for features, expected in (
        ({"avx512_bf16": True}, ("bf16-mixed", "the CPU has bf16")),
        ({"amx_bf16": True}, ("bf16-mixed", "the CPU has bf16")),
        ({"avx2": True}, ("32-true", "the CPU has no bf16")),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda features=features: features)
        assert precision_of(RECIPES["lenet"], "cpu") == expected


def test_a_run_is_the_same_at_any_number_of_ranks() -> None:
    """A checkpoint of two ranks is one of four with half the batch, or of accumulated batches; not of another lr."""
    assert replace(RUN, world=4, batch_size=64).fingerprint == RUN.fingerprint
    assert replace(RUN, world=1, accumulate=2, threads=8, micro_batches=4).fingerprint == RUN.fingerprint
    for other in (
        {"lr": 0.1},
        {"seed": 2},
        {"world": 3},
        {"epochs": 6},
        {"trainer": "lightning"},
        {"net": "lenet"},
        {"local_sgd": 8},
    ):
        assert replace(RUN, **other).fingerprint != RUN.fingerprint


def test_a_run_says_all_of_itself() -> None:
    """One line with what counts, and one for each reason; what is off is not mentioned."""
    lines = str(replace(RUN, backend="gloo", reasons={"precision": "because"})).splitlines()

    assert lines[0].startswith(
        "mlp-100 on mnist  world size 2 (gloo)  cpu, 1 thread  5 epochs  batch 2 x 128  lr 0.005"
    )
    assert lines[1].split()[0] == "gloo"
    assert lines[2].split() == ["precision", "because"]
    more = str(
        replace(RUN, accumulate=3, local_sgd=8, balance="measured", weight_decay=0.01, micro_batches=2)
    )
    for words in (
        "batch 2 x 128 x 3",
        "local SGD every 8 steps",
        "shares by measured speed",
        "weight decay 0.01",
        "in 2 parts",
    ):
        assert words in more
        assert words not in lines[0]
