"""Each engine turns a job and a place into arguments and variables."""

from __future__ import annotations

import dataclasses
import json

import pytest

from cloud.node.engines import ENGINES, Place, torchrun_environment
from cloud.node.job import Job
from cloud.node.recognise import Recognition

JOB = Job(repo="", entrypoint="main.py", master="10.8.0.5", secret="s", args="--x 'a b' $(id)")
PLACE = Place(
    node_rank=2, nnodes=3, nproc=2, master_address="10.8.0.5", master_port=4000, run="r", attempt=1,
    has_gpu=False, threads=1, interface="ens3",
)  # fmt: skip
SETTINGS = ("--trainer.accelerator", "cpu", "--trainer.strategy", "ddp", "--trainer.devices", "2",
            "--trainer.num_nodes", "3")  # fmt: skip


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("--x 'a b' $(id)", ("main.py", "fit", *SETTINGS, "--x", "a b", "$(id)")),
        ("validate --ckpt_path x", ("main.py", "validate", *SETTINGS, "--ckpt_path", "x")),
        ("", ("main.py", "fit", *SETTINGS)),
    ],
)
def test_a_lightning_cli_gets_arguments(args: str, expected: tuple[str, ...]) -> None:
    """The subcommand comes first (fit unless the user names one), then the launch settings, then the user's words."""
    launch = ENGINES["lightning-cli"](
        dataclasses.replace(JOB, args=args), Recognition("lightning-cli", 1, ""), PLACE
    )

    assert expected == launch.arguments
    assert {} == launch.environment


def test_a_trainer_gets_variables() -> None:
    """Lightning fills what the script did not pass from PL_TRAINER_*, Fabric from LT_*."""
    launch = ENGINES["lightning"](JOB, Recognition("lightning", 1, ""), PLACE)

    assert ("main.py", "--x", "a b", "$(id)") == launch.arguments
    assert {
        "PL_TRAINER_ACCELERATOR": "cpu", "PL_TRAINER_STRATEGY": "ddp",
        "PL_TRAINER_DEVICES": "2", "PL_TRAINER_NUM_NODES": "3", "LT_DEVICES": "2", "LT_NUM_NODES": "3",
    } == launch.environment  # fmt: skip


def test_a_program_without_a_known_library_gets_them_too() -> None:
    """`from train import main` hides a Trainer in another file."""
    launch = ENGINES["python"](JOB, Recognition("python", 1, ""), PLACE)

    assert "3" == launch.environment["PL_TRAINER_NUM_NODES"]


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_overruling_is_asked_for(engine: str) -> None:
    """Only with --adapt do the launcher's settings reach what overrules the program's."""
    recognition = Recognition(engine, 1, "")
    plain = ENGINES[engine](JOB, recognition, PLACE).environment
    adapted = ENGINES[engine](dataclasses.replace(JOB, adapt="yes"), recognition, PLACE).environment

    assert "HOTRUN_ADAPT" not in plain
    wanted = {"accelerator": "cpu", "strategy": "ddp", "devices": 2, "num_nodes": 3}
    assert {"HOTRUN_ADAPT": wanted} == {key: json.loads(adapted[key]) for key in set(adapted) - set(plain)}


def test_ranks_are_numbered_node_by_node() -> None:
    """Rank = node rank x ranks per node + local rank, as torchrun counts."""
    found = torchrun_environment(PLACE, 1)

    assert ("5", "6", "1", "2", "2") == (
        found["RANK"], found["WORLD_SIZE"], found["LOCAL_RANK"], found["LOCAL_WORLD_SIZE"], found["NODE_RANK"],
    )  # fmt: skip
    assert ("ens3", "=ens3") == (found["GLOO_SOCKET_IFNAME"], found["NCCL_SOCKET_IFNAME"])
