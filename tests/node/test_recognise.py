"""A program's syntax trees tell the engine and what is hard-coded, through the repository's own modules."""

from __future__ import annotations

import dataclasses

import pytest

from cloud.node.job import Job
from cloud.node.recognise import HardCoded, Recognition, conflicts, recognise, refusal

JOB = Job(repo="", entrypoint="main.py", master="10.8.0.5", secret="s")
RE_EXPORTED = {
    "main.py": "from train import main\nmain()\n",
    "train.py": "from mylib import Trainer\n\ndef main():\n    Trainer(num_nodes=1)\n",
    "mylib/__init__.py": "from .core import *\n",
    "mylib/core.py": "try:\n    from lightning import Trainer\nexcept ImportError:\n    from pytorch_lightning import Trainer\n",
}
SPAWNED = """\
import os
from os import environ as env
import torch.distributed as dist
PORT = 1234
if "RANK" not in os.environ:
    os.environ["RANK"] = "0"
try:
    os.environ["WORLD_SIZE"]
except KeyError:
    os.environ["WORLD_SIZE"] = "1"
os.environ.setdefault("NODE_RANK", "0")
os.environ["LOCAL_RANK"] = os.environ["SLURM_LOCALID"]
env["MASTER_ADDR"] = "localhost"
env["MASTER_PORT"] = str(PORT)
os.environ.update({"WORLD_SIZE": "1", "MINE": "2"}, GLOO_SOCKET_IFNAME="eth0")
os.putenv("NODE_RANK", "0")
dist.init_process_group("nccl", "tcp://127.0.0.1:23456", rank=0, world_size=2)
dist.init_process_group(init_method=f"tcp://127.0.0.1:{PORT}", rank=int(env["RANK"]))
dist.init_process_group(backend="nccl", init_method="env://")
dist.init_process_group(init_method=f"tcp://{host}:{PORT}")
"""


def of(source: str | dict[str, str], path: str = "main.py") -> Recognition:
    """What a program is written for; several files by path."""
    files = source if isinstance(source, dict) else {path: source}
    return recognise(files[path], path, files.get)


def fixed(source: str) -> list[str]:
    """`name=value:line` of what a program hard-codes."""
    return [f"{each.text}:{each.line}" for each in of(source).hard_coded]


@pytest.mark.parametrize(
    ("source", "engine", "line"),
    [
        ("import pytorch_lightning as pl\n\npl.Trainer(max_epochs=3)\n", "lightning", 3),
        ("from lightning import Trainer as T\nT()\n", "lightning", 2),
        ("import lightning as L\nT = L.Trainer\nT()\n", "lightning", 3),
        ("from lightning.fabric import Fabric\nFabric()\n", "lightning", 2),
        ("from pytorch_lightning import *\nTrainer()\n", "lightning", 2),
        ("from lightning.pytorch.cli import LightningCLI\n\nLightningCLI(None)\n", "lightning-cli", 3),
        ("from lightning.pytorch.cli import LightningCLI\nclass C(LightningCLI):\n    pass\n", "lightning-cli", 2),
        ("import torch.distributed as dist\ndist.init_process_group('gloo')\n", "torch", 2),
        ("from torch.nn.parallel import DistributedDataParallel as DDP\nDDP(None)\n", "torch", 2),
        ("import ray\nfrom lightning import Trainer\nTrainer()\n", "ray", 1),
        ("import tensorflow as tf\n", "tensorflow", 1),
        ("import torch\nprint(torch.ones(1))\n", "python", 1),
        ("class Trainer: pass\nTrainer()\n", "python", 1),
        ("from transformers import Trainer\nTrainer(devices=2)\n", "python", 1),
    ],
)  # fmt: skip
def test_engine_and_line_of_the_evidence(source: str, engine: str, line: int) -> None:
    """The engine is the library that is called or subclassed, whatever name it was imported as."""
    found = of(source)

    assert (engine, line) == (found.engine, found.line)


def test_a_program_is_followed_through_its_own_modules() -> None:
    """`from train import main; main()` and a Trainer that a package of one's own passes on."""
    found = of(RE_EXPORTED)

    assert ("lightning", "train.py", 4, "Trainer") == (found.engine, found.file, found.line, found.evidence)
    assert ["train.py:4"] == [each.where for each in found.hard_coded]


@pytest.mark.parametrize(
    "files",
    [
        {"main.py": "from a.b import Own\nOwn(num_nodes=1)\n", "a/b.py": "import lightning as L\nclass Own(L.Trainer): pass\n"},
        {"main.py": "import a.b\na.b.T(num_nodes=1)\n", "a/b.py": "from ..c import T\n", "c.py": "from lightning import Trainer as T\n"},
        {"main.py": "from a import T\nT(num_nodes=1)\n", "src/a/__init__.py": "from a.b import T\n", "src/a/b.py": "from lightning import Trainer as T\n"},
    ],
)  # fmt: skip
def test_names_lead_to_where_they_come_from(files: dict[str, str]) -> None:
    """Subclasses, relative imports and packages below src, in any number of steps."""
    assert [HardCoded("num_nodes", 1, 2, "main.py")] == list(of(files).hard_coded)


def test_the_nearest_file_decides() -> None:
    """A tool further down that is written for Ray, or only imports it, does not make a program Ray's."""
    train = "import torch.distributed as dist\nimport tools\ndist.init_process_group()\n"
    found = of({"main.py": "import train\n", "train.py": train, "tools.py": "import ray\nray.init()\n"})
    alone = of({"main.py": "import tools\n", "tools.py": "import ray\n"})

    assert ("torch", "train.py:3") == (found.engine, found.where)
    assert "python" == alone.engine


def test_what_an_imported_file_does_as_a_program_does_not_count() -> None:
    """Its `if __name__ == "__main__":` is not run."""
    net = "import lightning as L\nif __name__ == '__main__':\n    L.Trainer(num_nodes=1)\n"

    imported = of({"main.py": "import net\n", "net.py": net})

    assert ("python", ()) == (imported.engine, imported.hard_coded)
    assert ["net.py:3"] == [each.where for each in of({"net.py": net}, "net.py").hard_coded]


def test_following_has_an_end() -> None:
    """Circles, files that are no Python, chains of a thousand files, and a name that leads to itself."""
    chain = {f"m{number}.py": f"import m{number + 1}\n" for number in range(1000)}
    wide = {"main.py": "".join(f"import w{number}\n" for number in range(1000))}
    wide.update({f"w{number}.py": "" for number in range(1000)})
    asked: list[str] = []

    def reading(files: dict[str, str]) -> Recognition:
        def read(path: str) -> str | None:
            asked.append(path)
            return files.get(path)

        return recognise(files["main.py"], "main.py", read)

    assert "python" == of({"main.py": "from a import x\nx()\n", "a.py": "from b import x\n", "b.py": "from a import x\n"}).engine  # fmt: skip
    assert "python" == of({"main.py": "import a\n", "a.py": "def (\n"}).engine
    assert "python" == reading({"main.py": "import m0\n", **chain}).engine
    assert "m5.py" not in asked
    assert "m4.py" in asked
    assert "python" == reading(wide).engine
    assert len([path for path in asked if path in wide]) < 50


def test_a_trainers_settings_have_lines() -> None:
    """Constants, also those named at the top of the module; what is worked out is not known."""
    source = (
        "import lightning as L\nNODES = 2\nL.Trainer(\n    devices=[0, 1],\n    num_nodes=NODES, max_epochs=3,\n"
        "    strategy='dp', accelerator=choose())\nL.Fabric(devices=-1)\n"
    )

    assert ["devices=[0, 1]:4", "num_nodes=2:5", "strategy='dp':6", "devices=-1:7"] == fixed(source)


def test_variables_and_process_groups_have_lines() -> None:
    """What a script sets itself is found; what it sets only where nothing else did is not."""
    assert [
        "MASTER_ADDR='localhost':13", "MASTER_PORT=1234:14", "WORLD_SIZE='1':15", "GLOO_SOCKET_IFNAME='eth0':15",
        "NODE_RANK='0':16", "rank=0:17", "world_size=2:17", "init_method='tcp://127.0.0.1:23456':17",
        "init_method='tcp://127.0.0.1:':18",
    ] == fixed(SPAWNED)  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "nnodes", "nproc", "has_gpu", "expected"),
    [
        ("num_nodes=1", 3, 1, False, True), ("num_nodes=3", 3, 1, False, False), ("num_nodes=2", 1, 1, False, True),
        ("devices=1", 3, 1, False, False), ("devices=4", 3, 1, False, True), ("devices=4", 3, 4, True, False),
        ("devices='auto'", 3, 4, True, False), ("devices=-1", 3, 4, True, False), ("devices='2'", 3, 2, True, False),
        ("devices=[0, 1]", 3, 2, True, False), ("devices='0,1'", 3, 4, True, True),
        ("strategy='auto'", 3, 1, False, False), ("strategy='ddp_find_unused_parameters_true'", 3, 1, False, False),
        ("strategy='dp'", 3, 1, False, True), ("strategy='dp'", 1, 1, False, False),
        ("strategy='fsdp'", 3, 1, True, False), ("strategy='fsdp'", 3, 1, False, True),
        ("accelerator='gpu'", 3, 1, False, True), ("accelerator='gpu'", 1, 1, False, True),
        ("accelerator='cuda'", 3, 1, True, False), ("accelerator='cpu'", 3, 1, True, False),
        ("accelerator='tpu'", 3, 1, True, True),
    ],
)  # fmt: skip
def test_which_trainer_settings_conflict(
    setting: str, nnodes: int, nproc: int, has_gpu: bool, expected: bool
) -> None:
    """A setting that is right for this very cluster is no conflict."""
    found = of(f"import lightning as L\nL.Trainer({setting})\n")

    assert expected == bool(conflicts(found, nnodes, nproc, has_gpu))


@pytest.mark.parametrize(
    ("nnodes", "nproc", "has_gpu", "expected"),
    [
        (1, 1, False, set()),
        (1, 2, True, {"rank"} | {"WORLD_SIZE"}),
        (2, 1, False, {"MASTER_ADDR", "WORLD_SIZE", "GLOO_SOCKET_IFNAME", "NODE_RANK", "rank", "init_method"}),
        (4, 1, True, {"MASTER_ADDR", "WORLD_SIZE", "GLOO_SOCKET_IFNAME", "NODE_RANK", "rank", "init_method", "world_size"}),
    ],
)  # fmt: skip
def test_which_variables_conflict(nnodes: int, nproc: int, has_gpu: bool, expected: set[str]) -> None:
    """Alone nothing does; on one machine localhost is right; a port that is the same everywhere always is."""
    assert expected == {each.name for each in conflicts(of(SPAWNED), nnodes, nproc, has_gpu)}


def test_the_arguments_of_a_lightning_cli_win() -> None:
    """Its trainer_defaults are listed and conflict with nothing."""
    cli = "from lightning.pytorch.cli import LightningCLI as C\nC(trainer_defaults={'num_nodes': 1, 'max_epochs': 2})\n"
    found = of(cli)

    assert [HardCoded("num_nodes", 1, 2, "main.py", "trainer_defaults")] == list(found.hard_coded)
    assert [] == conflicts(found, 3, 1, False)


def test_the_gate_refuses_with_the_edit_that_mends_it() -> None:
    """The first conflict is the problem, all are in the log; --adapt and --allow-single let the program pass."""
    found = of("import lightning as L\n\nL.Trainer(num_nodes=1, accelerator='gpu')\n")
    problem = refusal(JOB, found, 2, 1, False)

    assert problem
    assert ("hard-coded", "main.py:3") == (problem["code"], problem["where"])
    assert "num_nodes=1 is set, but there are 2 machines (1 more in the log)" == problem["what"]
    assert "leave num_nodes= out: the launcher sets it; or generate with --adapt" == problem["fix"]
    assert "main.py:3: accelerator='gpu': leave accelerator= out: the launcher sets it" == problem["log"][1]
    assert refusal(dataclasses.replace(JOB, adapt="yes"), found, 2, 1, False) is None
    assert refusal(dataclasses.replace(JOB, allow_single="yes"), found, 2, 1, False) is None
    assert refusal(JOB, of("import lightning as L\nL.Trainer()\n"), 2, 1, False) is None


def test_what_is_not_python_raises_with_its_line() -> None:
    """A file that can't be parsed raises SyntaxError with file and line."""
    with pytest.raises(SyntaxError) as raised:
        recognise("x = 1\nimport (\n", "train.py")

    assert ("train.py", 2) == (raised.value.filename, raised.value.lineno)
