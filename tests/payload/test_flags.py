"""What command lines of the programs have in common: usual values, a net's recipe, weights that say what they are of."""

from __future__ import annotations

import argparse
from pathlib import Path

import flags
import pytest
import torch
from keep.checkpoints import CheckpointError
from recipe import RECIPES, ChoiceError


def options(*words: str) -> argparse.Namespace:
    """Of a program that has no flags of its own but --batch-size."""
    parser = argparse.ArgumentParser()
    flags.add_net(parser, RECIPES)
    flags.add_data(parser)
    parser.add_argument("--batch-size", type=int)
    flags.add_schedule(parser)
    flags.add_device(parser)
    flags.add_checkpoints(parser)
    flags.add_low_memory(parser)
    flags.add_predict(parser)
    found = parser.parse_args(words)
    flags.take_weights(found)
    return found


def test_what_is_not_given_is_the_recipes() -> None:
    """And what is given stays."""
    found = options("--net", "lenet", "--lr", "0")
    flags.complete(found, ["mnist"])

    usual = RECIPES["lenet"]
    assert (found.batch_size, found.epochs, found.lr) == (usual.batch_size, usual.epochs, 0.0)
    assert (found.data, found.weights, found.every.epochs) == ("mnist", {}, 1)


def test_weights_say_which_net_and_data_are_meant(tmp_path: Path) -> None:
    """Unless the command line says otherwise; a file that is none is refused."""
    torch.save({"run": {"net": "mlp-512", "data": "synthetic"}}, tmp_path / "model.ckpt")
    (tmp_path / "none.ckpt").write_text("")

    told = options("--predict", str(tmp_path / "model.ckpt"))
    other = options("--predict", str(tmp_path / "model.ckpt"), "--net", "lenet")

    assert (told.net, told.data) == ("mlp-512", "synthetic")
    assert (other.net, other.data) == ("lenet", "synthetic")
    with pytest.raises(CheckpointError, match=r"none\.ckpt can't be loaded"):
        options("--predict", str(tmp_path / "none.ckpt"))


def test_values_that_no_run_can_have_are_named_at_once() -> None:
    """Each with its flag, a program's own among them."""
    found = options("--data", "mnits", "--epochs", "0", "--batch-size", "-1", "--keep-checkpoints", "0")

    with pytest.raises(ChoiceError) as caught:
        flags.complete(found, ["mnist"], accumulate=("--accumulate", 0))

    said = str(caught.value).splitlines()
    assert [line.split()[0].rstrip(":") for line in said] == [
        "--data", "--batch-size", "--epochs", "--accumulate", "--keep-checkpoints",
    ]  # fmt: skip


def test_a_launcher_that_names_a_checkpoint_means_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without HOTRUN_RESUME_FROM a training begins anew unless it is told otherwise."""
    monkeypatch.delenv("HOTRUN_RESUME_FROM", raising=False)
    assert flags.default_resume() == "never"
    monkeypatch.setenv("HOTRUN_RESUME_FROM", "/kept/step-000000430.ckpt")
    assert flags.default_resume() == "auto"
