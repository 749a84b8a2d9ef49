"""A turn -> the command line and environment of its program. Pure.

Quick runs do a few steps: ours train on 5,000 of the images, peers end after 20 steps.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from bench.links import INTERFACE, Node

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.plan import Turn

ROOT = Path(__file__).resolve().parents[1]
QUICK_STEPS = 20
QUICK_HELD_OUT = 55_000
PORT = 29_500  # of the ranks' meeting, in namespaces of their own
HIDDEN = ("OMP_", "MKL_", "HOTRUN_", "PL_", "TORCH", "GLOO_", "NCCL_", "RAY_", "TF_", "MASTER_")
HIDDEN_NAMES = (
    "PYTHONDONTWRITEBYTECODE",
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "NODE_RANK",
)


def command(turn: Turn, python: str, data: Path, *, is_quick: bool) -> list[str]:
    """The program with its arguments; `data` is a directory with MNIST in it."""
    contender = turn.contender
    if not contender.is_ours:
        return _peer(turn, python, data, is_quick=is_quick)
    options = _lightning(turn, data) if contender.program == "lightning" else _plain(turn, data)
    if is_quick:
        options |= {key: str(1) for key in options if key.endswith("epochs")}
        options |= {key: str(QUICK_HELD_OUT) for key in options if key.endswith("validation")}
    program = ["main.py", "fit"] if contender.program == "lightning" else ["torch_ddp.py"]
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    return [python, str(ROOT / "payload" / program[0]), *program[1:], *words]


def _lightning(turn: Turn, data: Path) -> dict[str, str]:
    contender = turn.contender
    given = {"data.batch_size": contender.batch, "trainer.precision": contender.precision}
    some = {"trainer.accumulate_grad_batches": contender.accumulate, "local-sgd": contender.local_sgd}
    return {
        "model.net": contender.net, "data.name": "mnist", "data.root": str(data), "data.validation": "0",
        "trainer.max_epochs": str(contender.epochs), "seed_everything": str(turn.seed),
        "trainer.accelerator": "cpu", "trainer.devices": str(contender.world),
        **({"trainer.strategy": "ddp"} if contender.world > 1 else {}),
        **_asked(given, some),
    }  # fmt: skip


def _plain(turn: Turn, data: Path) -> dict[str, str]:
    contender = turn.contender
    given = {"batch-size": contender.batch, "precision": contender.precision}
    some = {"accumulate": contender.accumulate, "local-sgd": contender.local_sgd}
    return {
        "net": contender.net, "data": "mnist", "root": str(data), "validation": "0",
        "epochs": str(contender.epochs), "seed": str(turn.seed), "device": "cpu",
        "world-size": "1" if contender.link else str(contender.world),
        **_asked(given, some),
    }  # fmt: skip


def _asked(given: Mapping[str, object], some: Mapping[str, int]) -> dict[str, str]:
    """Of `given` what is not None; of `some`, which say how often, what is more than once."""
    asked = {key: value for key, value in given.items() if value is not None}
    asked |= {key: value for key, value in some.items() if value not in (0, 1)}
    return {key: str(value) for key, value in asked.items()}


def _peer(turn: Turn, python: str, data: Path, *, is_quick: bool) -> list[str]:
    contender = turn.contender
    options = {
        "root": data, "epochs": 1 if is_quick else contender.epochs, "batch": contender.batch,
        "world": contender.world, "workers": contender.workers, "threads": contender.threads or 0,
        "seed": turn.seed, "steps": QUICK_STEPS if is_quick else 0,
    }  # fmt: skip
    words = [str(word) for key, value in options.items() for word in (f"--{key}", value)]
    return [python, str(ROOT / "bench" / "peers" / f"{contender.program}.py"), *words]


def environment(turn: Turn, inherited: Mapping[str, str], run_dir: Path) -> dict[str, str]:
    """What is inherited, without what would change the run, and the contender's threads."""
    kept = {
        key: value
        for key, value in inherited.items()
        if not key.startswith(HIDDEN) and key not in HIDDEN_NAMES
    }
    threads = turn.contender.threads
    return {**kept, "HOTRUN_RUN_DIR": str(run_dir), **({"OMP_NUM_THREADS": str(threads)} if threads else {})}


def rank_environment(rank: int, nodes: tuple[Node, Node]) -> dict[str, str]:
    """What a launcher would tell a rank that has a machine to itself."""
    world = str(len(nodes))
    return {"RANK": str(rank), "LOCAL_RANK": "0", "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": "1",
            "NODE_RANK": str(rank), "GROUP_RANK": str(rank), "MASTER_ADDR": nodes[0].address,
            "MASTER_PORT": str(PORT), "GLOO_SOCKET_IFNAME": INTERFACE}  # fmt: skip


def fingerprint(turn: Turn) -> str:
    """What a result must have been made with to count: the contender, without what is only expected of it."""
    contender = turn.contender
    fields = (field.name for field in dataclasses.fields(contender))
    return " ".join(
        f"{name}={getattr(contender, name)}"
        for name in fields
        if name not in ("name", "expected_s", "is_quick")
    )
