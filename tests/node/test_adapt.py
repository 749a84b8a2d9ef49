"""Hard-coded launch settings are overruled in real processes, with the real torch and Lightning, and said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cloud.node import adapt, probe
from tests.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process
CPU, GPU = adapt.settings(2, 1, has_gpu=False), adapt.settings(2, 1, has_gpu=True)
PLACED = "import site, sys; site.addsitedir(sys.path[0])\n"  # reads the .pth line, as site-packages does
TRAINER = """
import inspect, json
import pytorch_lightning as pl
from lightning_fabric import Fabric

before = str(inspect.signature(pl.Trainer.__init__))
trainer = pl.Trainer(num_nodes=1, devices=4, accelerator="gpu", strategy="ddp_find_unused_parameters_true", logger=False)
again = pl.Trainer(num_nodes=1, devices="auto", logger=False)
fabric = Fabric(num_nodes=5, devices=[0, 1])
print(json.dumps([
    [each.num_nodes, each.num_devices, type(each.strategy).__name__, each.strategy._ddp_kwargs] for each in (trainer, again)
] + [[fabric._connector._num_nodes_flag, fabric._connector._devices_flag], "max_epochs" in before]))
"""
MEETS = """
import os
os.environ.update(MASTER_ADDR="192.0.2.1", MASTER_PORT="1", WORLD_SIZE="1")
del os.environ["RANK"]
import torch, torch.distributed as dist
dist.init_process_group("gloo", init_method="tcp://192.0.2.1:1", rank=0, world_size=1)
tensor = torch.ones(1)
dist.all_reduce(tensor)
print(dist.get_rank(), dist.get_world_size(), int(tensor), os.environ["MASTER_PORT"])
dist.destroy_process_group()
"""
FORKS = """
import multiprocessing, os, sys
import torch.distributed as dist

def child(place):
    dist.init_process_group("gloo", init_method=f"file://{place}", rank=0, world_size=1)
    print(dist.get_world_size(), flush=True)
    dist.destroy_process_group()

process = multiprocessing.get_context("fork").Process(target=child, args=(sys.argv[1],))
process.start()
process.join()
sys.exit(process.exitcode)
"""
OLD = """
import sys
import lightning_fabric.connector
print(lightning_fabric.connector._Connector().num_nodes, sorted(name for name in ("torch", "lightning") if name in sys.modules))
"""


def start(directory: Path, program: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A program with `hotrun_adapt` and `hotrun_probe` as they are placed in an environment."""
    shutil.copyfile(adapt.__file__, directory / "hotrun_adapt.py")
    (directory / "hotrun_adapt.pth").write_text("import hotrun_adapt; hotrun_adapt.install()\n")
    shutil.copyfile(probe.__file__, directory / "hotrun_probe.py")
    (directory / "hotrun_probe.pth").write_text("import hotrun_probe\n")
    (directory / "main.py").write_text(PLACED + program)
    return subprocess.Popen(
        [sys.executable, "main.py", *arguments], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", **environment},
    )  # fmt: skip


def finished(process: subprocess.Popen[str]) -> tuple[str, list[str]]:
    """What it printed, and what was said of it."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out, [line for line in err.splitlines() if line.startswith("hotrun: ")]


def seat(rank: int, port: int = 0) -> dict[str, str]:
    """The launcher's variables of one of two ranks, each on a machine of its own."""
    return {
        "HOTRUN_ADAPT": json.dumps(CPU), "RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": "0",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "given", "wanted", "expected"),
    [
        ("num_nodes", 1, CPU, True), ("num_nodes", 2, CPU, False), ("devices", 1, CPU, False),
        ("devices", "auto", CPU, False), ("devices", [3], CPU, False), ("devices", "0,1", CPU, True),
        ("devices", None, CPU, False), ("strategy", "dp", CPU, True), ("strategy", "fsdp", GPU, False),
        ("strategy", object(), CPU, False), ("accelerator", "gpu", CPU, True), ("accelerator", "cuda", GPU, False),
        ("accelerator", "cpu", GPU, False), ("accelerator", "tpu", CPU, True),
    ],
)  # fmt: skip
def test_what_is_overruled(name: str, given: object, wanted: dict[str, object], expected: bool) -> None:
    """What differs and can't work here; objects and what suits any cluster stay."""
    assert expected == adapt.differs(name, given, wanted)


def test_a_trainer_and_a_fabric_are_overruled_and_each_change_is_said(tmp_path: Path) -> None:
    """Once, by rank 0, below the signature that a LightningCLI reads; what already fits is left alone."""
    out, said = finished(start(tmp_path, TRAINER, **seat(0)))

    trainer, again, fabric, has_signature = json.loads(out)
    assert [2, 1, "DDPStrategy", {"find_unused_parameters": True}] == trainer
    assert [2, 1, "DDPStrategy", {}] == again
    assert [2, 1] == fabric
    assert has_signature
    assert [
        "hotrun: Trainer(accelerator='gpu') overruled: cpu", "hotrun: Trainer(devices=4) overruled: 1",
        "hotrun: Trainer(num_nodes=1) overruled: 2", "hotrun: Fabric(devices=[0, 1]) overruled: 1",
        "hotrun: Fabric(num_nodes=5) overruled: 2",
    ] == said  # fmt: skip


def test_process_groups_meet_where_the_launcher_said(tmp_path: Path) -> None:
    """Addresses, ranks and variables of the script's own give way; rank 0 says so; the probe sees it all."""
    port = free_port()
    for rank in range(2):
        (tmp_path / str(rank) / "proof").mkdir(parents=True)
    ranks = [
        start(
            tmp_path / str(rank), MEETS, **seat(rank, port), HOTRUN_PROOF_DIR="proof", HOTRUN_NODE=f"n{rank}"
        )
        for rank in range(2)
    ]
    (first, said), (second, silent) = (finished(each) for each in ranks)

    assert (f"0 2 2 {port}\n", f"1 2 2 {port}\n") == (first, second)
    assert [
        "hotrun: MASTER_ADDR='192.0.2.1' overruled: 127.0.0.1", f"hotrun: MASTER_PORT='1' overruled: {port}",
        "hotrun: WORLD_SIZE='1' overruled: 2", "hotrun: RANK=None overruled: 0",
        "hotrun: init_process_group(world_size=1) overruled: 2",
        "hotrun: init_process_group(init_method='tcp://192.0.2.1:1') overruled: env://",
    ] == said  # fmt: skip
    assert [] == silent
    proofs = [json.loads(path.read_text()) for path in tmp_path.glob("*/proof/rank*.json")]
    assert [2, 2] == [proof["world_size"] for proof in proofs]
    assert all(proof["collectives"] for proof in proofs)


def test_a_process_that_the_program_made_is_left_alone(tmp_path: Path) -> None:
    """`mp.spawn` gives its children ranks of their own."""
    out, said = finished(start(tmp_path, FORKS, str(tmp_path / "meet"), **seat(0)))

    assert ("1\n", []) == (out, said)


@pytest.mark.parametrize("is_asked", [False, True])
def test_an_unknown_version_is_said_and_left_alone(tmp_path: Path, is_asked: bool) -> None:
    """A connector without the argument; torch is never imported for it, and nothing happens unasked."""
    (tmp_path / "lightning_fabric").mkdir()
    (tmp_path / "lightning_fabric/__init__.py").write_text("")
    text = "class _Connector:\n    num_nodes = 1\n    def __init__(self, nodes=1): pass\n"
    (tmp_path / "lightning_fabric/connector.py").write_text(text)
    out, said = finished(start(tmp_path, OLD, **({} if not is_asked else seat(0))))

    assert "1 []\n" == out
    assert is_asked == bool(said)
    assert not said or "nothing to overrule in this version of lightning_fabric.connector" in said[0]


def test_a_sitecustomize_of_the_users_runs_as_well(tmp_path: Path) -> None:
    """Ours comes by a .pth line and takes nobody's place."""
    (tmp_path / "sitecustomize.py").write_text("print('theirs')\n")
    program = "print(sorted(set(sys.modules) & {'torch', 'hotrun_adapt'}))\n"
    out, _ = finished(start(tmp_path, program, **seat(0), PYTHONPATH=str(tmp_path)))

    assert "theirs\n['hotrun_adapt']\n" == out
