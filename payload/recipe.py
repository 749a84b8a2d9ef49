"""Net and machine -> how it is trained when nothing else is asked for, each choice with its reason.

The recipes were tuned on 5,000 training images held out (docs/payload.md), never on test images.
"""

from __future__ import annotations

import difflib
import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")  # of Lightning's; weights are fp32 in all of them
BETAS = (0.9, 0.99)  # of Adam; 0.999 is too slow to forget for a few hundred steps
BACKENDS = {
    "gloo": "there is no GPU for every rank; gloo adds gradients up between CPUs",
    "nccl": "every rank has a GPU; NCCL adds gradients up between them",
}
SHARED = "a second thread gains 15 % on an idle machine and costs 75 % of the speed on a busy one"


class ChoiceError(ValueError):
    """A value that no run can have; the message is for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a net is trained, by default."""

    batch_size: int
    """Images per rank and step; also the batch that `lr` is meant for."""
    lr: float
    """Highest learning rate at a global batch of `batch_size`; times the root of how much larger it is."""
    epochs: int
    weight_decay: float = 0.0
    """Decoupled, as in AdamW."""
    warm_up: float = 0.25
    """Part of all steps in which the learning rate rises in a line; then it falls in a line to 0."""
    is_small: bool = False
    """Steps too short for a second thread, or for bf16, to gain anything."""


RECIPES = {
    "mlp-100": Recipe(batch_size=128, lr=0.005, epochs=5, is_small=True),
    "dense-128": Recipe(batch_size=128, lr=0.005, epochs=5, is_small=True),
    "mlp-512": Recipe(batch_size=512, lr=0.01, epochs=3),
    "mlp-512-256-128": Recipe(batch_size=512, lr=0.006, epochs=5, weight_decay=0.01),
    "lenet": Recipe(batch_size=128, lr=0.01, epochs=2),
    "resnet": Recipe(batch_size=128, lr=0.01, epochs=15, weight_decay=0.05),
}


def recipe_of(net: str) -> Recipe:
    """The recipe of `net`. Raises ChoiceError with the nearest name."""
    if net not in RECIPES:
        raise ChoiceError(unknown("net", net, RECIPES))
    return RECIPES[net]


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that nothing has."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"no {what} is called {name}; {hint}There are {', '.join(known)}"


def check(values: Mapping[str, tuple[str, float | str | None]], datasets: Iterable[str]) -> None:
    """Raise ChoiceError, a line for each value that no run can have. Name -> flag, value; None: not given."""
    least = dict.fromkeys(("epochs", "batch_size", "accumulate", "keep"), 1)
    least |= dict.fromkeys(("local_sgd", "lr", "weight_decay"), 0)
    why = {"epochs": "at least 1 is needed to train", "lr": "a learning rate is not below 0",
           "batch_size": "a batch of {} images, 1 or more are needed"}  # fmt: skip
    wrong = []
    for name, (flag, value) in values.items():
        if isinstance(value, str):
            if name == "data" and value not in datasets:
                wrong.append(f"{flag}: {unknown('data set', value, datasets)}")
            if name == "precision" and value not in PRECISIONS:
                wrong.append(f"{flag} {value}: possible are {', '.join(PRECISIONS)}")
        elif value is not None and value < least[name]:
            wrong.append(f"{flag} {value}: {why.get(name, f'{least[name]} or more').format(value)}")
    if wrong:
        raise ChoiceError("\n".join(wrong))


def scaled_lr(lr: float, batch_size: int, global_batch: int) -> float:
    """`lr` of a batch of `batch_size` for a global batch of another size: by the square root of the ratio."""
    return lr * math.sqrt(global_batch / batch_size)


def schedule(step: int, steps: int, warm_up: float) -> float:
    """Factor of the learning rate in `step` of `steps`: up in a line for `warm_up` of them, down to 0."""
    return max(0.0, min((step + 1) / (warm_up * steps), (steps - step) / ((1 - warm_up) * steps), 1.0))


def one_thread_if_small(recipe: Recipe, device: str) -> dict[str, str]:
    """Let a small net take one thread, here and in ranks started from here, unless told otherwise: why."""
    if not recipe.is_small or device.startswith(("cuda", "gpu")) or "OMP_NUM_THREADS" in os.environ:
        return {}
    import torch  # here, as payload/tensorflow_mwms.py has none

    os.environ["OMP_NUM_THREADS"] = "1"  # Lightning, and ranks that are started from here, look there
    torch.set_num_threads(1)
    return {"1 thread": SHARED}


def precision_of(recipe: Recipe, device: str) -> tuple[str, str]:
    """Lightning's precision on this machine (`device` cpu or cuda), and why."""
    if recipe.is_small:
        return "32-true", "steps of this net are too short for bf16 to gain"
    import torch

    if device == "cuda":
        name, able = "the GPU", torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        features = torch.cpu.get_capabilities()
        name, able = "the CPU", bool(features.get("avx512_bf16") or features.get("amx_bf16"))
    return ("bf16-mixed", f"{name} has bf16") if able else ("32-true", f"{name} has no bf16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """All that a run is made of, resolved: printed once by rank 0, and what its checkpoints belong to."""

    trainer: str
    """lightning or torch; each goes on from its own checkpoints only."""
    net: str
    data: str
    validation: int
    """Training images held out."""
    seed: int
    epochs: int
    world: int
    """Ranks."""
    batch_size: int
    """Images per rank and backward pass, at most."""
    accumulate: int = 1
    """Backward passes per step."""
    micro_batches: int = 1
    """Parts that each of these is cut into to need less memory; only BatchNorm can tell."""
    lr: float
    """Highest, for the global batch."""
    weight_decay: float
    precision: str
    local_sgd: int = 0
    """Steps between averages of the parameters; 0: gradients are averaged in every step."""
    limit: float = 1.0
    """Lightning's limit_train_batches: of an epoch, a part (float) or a number of batches (int)."""
    balance: str = "equal"
    device: str
    threads: int
    backend: str = "none"
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a value was chosen, by the name of its field."""

    @property
    def global_batch(self) -> int:
        """Images per step over all ranks, at most."""
        return self.batch_size * self.accumulate * self.world

    @property
    def parts(self) -> int:
        """Backward passes per step and rank."""
        return self.accumulate * self.micro_batches

    @property
    def fingerprint(self) -> dict[str, str | int | float]:
        """What a checkpoint must have in common with this run to be gone on from."""
        return {
            "trainer": self.trainer, "net": self.net, "data": self.data, "validation": self.validation,
            "seed": self.seed, "epochs": self.epochs, "global_batch": self.global_batch, "lr": self.lr,
            "weight_decay": self.weight_decay, "precision": self.precision, "local_sgd": self.local_sgd,
            "limit": self.limit,
        }  # fmt: skip

    @property
    def markdown(self) -> str:
        """For TensorBoard."""
        return str(self).replace("\n", "\n\n")

    def __str__(self) -> str:
        """A line for a person, and one per reason."""
        batch = f"batch {self.world} x {self.batch_size}" + (
            f" x {self.accumulate}" if self.accumulate > 1 else ""
        )
        parts = [
            f"{self.net} on {self.data}", f"world size {self.world} ({self.backend})",
            f"{self.device}, {self.threads} {'threads' if self.threads > 1 else 'thread'}",
            f"{self.epochs} epochs", batch, f"lr {self.lr:.3g}", f"seed {self.seed}", self.precision,
            *([f"weight decay {self.weight_decay:g}"] if self.weight_decay else []),
            *([f"in {self.micro_batches} parts"] if self.micro_batches > 1 else []),
            *([f"local SGD every {self.local_sgd} steps"] if self.local_sgd else []),
            *(["shares by measured speed"] if self.balance == "measured" else []),
            f"{self.validation:,} images held out",
        ]  # fmt: skip
        why = {self.backend: BACKENDS[self.backend]} if self.backend in BACKENDS else {}
        reasons = "".join(f"\n  {name:12} {reason}" for name, reason in (why | self.reasons).items())
        return "  ".join(parts) + reasons
