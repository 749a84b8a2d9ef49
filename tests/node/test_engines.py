"""Each engine turns a job and a place into arguments and variables."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from cloud.node.engines import ENGINES, Launch, Place, launcher, torchrun_environment
from cloud.node.job import Job
from cloud.node.recognise import Recognition

JOB = Job(repo="", entrypoint="main.py", master="10.8.0.5", secret="s", args="--x 'a b' $(id)")
PLACE = Place(
    node_rank=2, nnodes=3, nproc=2, addresses=("10.8.0.5", "10.8.0.6", "10.8.0.7"), master_port=4000, run="r",
    attempt=1, has_gpu=False, threads=1, interface="ens3",
)  # fmt: skip
TORCHRUN = torchrun_environment(PLACE)
SETTINGS = ("--trainer.accelerator", "cpu", "--trainer.strategy", "ddp", "--trainer.devices", "2",
            "--trainer.num_nodes", "3")  # fmt: skip


def launched(engine: str, job: Job = JOB, place: Place = PLACE) -> Launch:
    """What an engine starts."""
    launch = launcher(engine)
    assert launch is not None
    return launch(job, Recognition(engine, 1, ""), place)


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
    launch = launched("lightning-cli", dataclasses.replace(JOB, args=args))

    assert expected == launch.arguments
    assert launch.environment == TORCHRUN


def test_a_trainer_gets_variables() -> None:
    """Lightning fills what the script did not pass from PL_TRAINER_*, Fabric from LT_*."""
    launch = launched("lightning")

    assert ("main.py", "--x", "a b", "$(id)") == launch.arguments
    assert launch.environment == {
        **TORCHRUN, "PL_TRAINER_ACCELERATOR": "cpu", "PL_TRAINER_STRATEGY": "ddp",
        "PL_TRAINER_DEVICES": "2", "PL_TRAINER_NUM_NODES": "3", "LT_DEVICES": "2", "LT_NUM_NODES": "3",
    }  # fmt: skip


def test_a_program_without_a_known_library_gets_them_too() -> None:
    """`from train import main` hides a Trainer in another file."""
    launch = launched("python")

    assert "3" == launch.environment["PL_TRAINER_NUM_NODES"]


@pytest.mark.parametrize("engine", sorted({*ENGINES} - {"ray", "tensorflow"}))
def test_overruling_is_asked_for(engine: str) -> None:
    """Only with --adapt do the launcher's settings reach what overrules the program's."""
    plain = launched(engine).environment
    adapted = launched(engine, dataclasses.replace(JOB, adapt="yes")).environment

    assert "HOTRUN_ADAPT" not in plain
    wanted = {"accelerator": "cpu", "strategy": "ddp", "devices": 2, "num_nodes": 3}
    assert {"HOTRUN_ADAPT": wanted} == {key: json.loads(adapted[key]) for key in set(adapted) - set(plain)}


def test_ranks_are_numbered_node_by_node() -> None:
    """Rank = node rank x ranks per node + local rank, as torchrun counts."""
    found = torchrun_environment(dataclasses.replace(PLACE, local_rank=1))

    assert ("5", "6", "1", "2", "2") == (
        found["RANK"], found["WORLD_SIZE"], found["LOCAL_RANK"], found["LOCAL_WORLD_SIZE"], found["NODE_RANK"],
    )  # fmt: skip
    assert ("ens3", "=ens3") == (found["GLOO_SOCKET_IFNAME"], found["NCCL_SOCKET_IFNAME"])


def test_ray_has_a_head_the_others_join_it_and_one_driver() -> None:
    """The program runs once, on the master; every machine's Ray stays in the foreground, its ports pinned."""
    head, *others = (launched("ray", place=dataclasses.replace(PLACE, node_rank=rank)) for rank in range(3))
    second = launched("ray", place=dataclasses.replace(PLACE, node_rank=0, local_rank=1))

    assert ("main.py", "--x", "a b", "$(id)") == head.arguments
    assert [()] * 3 == [each.arguments for each in (second, *others)]
    assert {"--head", "--port=4000", "--block", "--dashboard-host=127.0.0.1"} <= set(head.service)
    for rank, other in enumerate(others, 1):
        at = other.service.index("--address")
        assert other.service[at + 1] == "10.8.0.5:4000"
        assert PLACE.addresses[rank] in other.service
        assert not {"--head", "--dashboard-port=8265"} & set(other.service)
    assert ("10.8.0.5:4000", "6") == (head.environment["RAY_ADDRESS"], head.environment["WORLD_SIZE"])


def test_ray_has_other_ports_where_a_node_is_shared() -> None:
    """The thousand from the place's own first port on, and no port twice."""
    words = launched("ray", place=dataclasses.replace(PLACE, node_rank=0, service_ports=12_000)).service
    ports = [int(word.rpartition("=")[2]) for word in words if "-port=" in word and word != "--port=4000"]
    assert (len(ports), min(ports), max(ports)) == (9, 12_000, 12_999)
    assert len(set(ports)) == 9


def test_rays_client_has_a_port_where_its_packages_are(tmp_path: Path) -> None:
    """Ray would take 10001, also where another head has it; without gRPC it takes none, and refuses the flag."""
    place = dataclasses.replace(PLACE, node_rank=0, service_ports=12_000, environment=str(tmp_path))
    flag = "--ray-client-server-port=12998"
    assert flag not in launched("ray", place=place).service
    (tmp_path / "lib/python3.11/site-packages/grpc").mkdir(parents=True)
    assert flag in launched("ray", place=place).service
    assert flag not in launched("ray", place=dataclasses.replace(place, node_rank=1)).service


def test_rays_token_is_the_stacks_own_and_only_in_the_environment() -> None:
    """All machines of a stack have the same, another stack's differ, and no process list shows one."""
    tokens = {
        launched("ray", dataclasses.replace(JOB, secret=secret), dataclasses.replace(PLACE, node_rank=rank))
        .environment["RAY_AUTH_TOKEN"]: secret
        for secret in ("s", "t") for rank in range(3)
    }  # fmt: skip
    assert sorted(tokens.values()) == ["s", "t"]
    words = " ".join(launched("ray").service)
    assert not [token for token in tokens if token in words]
    assert all(len(token) == 64 for token in tokens)


def test_rays_store_fits_the_shared_memory() -> None:
    """Four fifths of what is free there, at most two GiB."""
    stores = [
        next(word for word in launched("ray", place=place).service if "object-store" in word)
        for place in (
            dataclasses.replace(PLACE, shared_memory_bytes=free) for free in (105 << 20, 10**9, 10**12)
        )
    ]
    assert [int(word.partition("=")[2]) for word in stores] == [84 << 20, 8 * 10**8, 2 << 30]


def test_tensorflow_is_told_who_is_who() -> None:
    """The same cluster everywhere, an index and a port for each machine; no variable of torchrun."""
    places = [dataclasses.replace(PLACE, nproc=1, node_rank=rank) for rank in range(3)]
    configs = [json.loads(launched("tensorflow", place=place).environment["TF_CONFIG"]) for place in places]

    assert [config["task"] for config in configs] == [{"type": "worker", "index": rank} for rank in range(3)]
    cluster = {"worker": ["10.8.0.5:4000", "10.8.0.6:4001", "10.8.0.7:4002"]}
    assert all(config["cluster"] == cluster for config in configs)
    assert not {"RANK", "MASTER_ADDR"} & set(launched("tensorflow").environment)


def test_one_machine_needs_no_tf_config() -> None:
    """Alone, TensorFlow has nobody to wait for."""
    alone = dataclasses.replace(PLACE, nnodes=1, node_rank=0, addresses=("10.8.0.5",))
    assert "TF_CONFIG" not in launched("tensorflow", place=alone).environment


def test_an_engine_that_is_not_there_is_none() -> None:
    """A template carries the engines that it was made for."""
    assert launcher("jax") is None
