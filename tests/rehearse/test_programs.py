"""Programs of users, as they are, rehearsed for real: what reaches them, and that they train as one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloud import hot, plan
from cloud.model import Cluster, Job
from cloud.rehearse import Options, rehearse
from tests.rehearse import fakes
from tests.rehearse.kept import cache, machines

if TYPE_CHECKING:
    from cloud.rehearse.report import Report

pytestmark = pytest.mark.rehearsal
__all__ = ["cache", "machines"]  # fixtures
ROOT = Path(__file__).parents[2]
REPOSITORIES = Path(__file__).parent / "repositories"
AWKWARD = "--name 'a b' '$(id)' '`id`' \"it's\" '%index%' '@@JOB@@' '{get_param: x}' HOTRUN_JOB 🙂 '\\n'"
WORDS = [
    "--name",
    "a b",
    "$(id)",
    "`id`",
    "it's",
    "%index%",
    "@@JOB@@",
    "{get_param: x}",
    "HOTRUN_JOB",
    "🙂",
    "\\n",
]
TELLS = """
import json, os, pathlib, sys
import torch.distributed as dist
dist.init_process_group("gloo")
dist.barrier()
told = {"argv": sys.argv[1:], "env": os.environ["GREETING"], "rank": dist.get_rank()}
pathlib.Path(os.environ["HOTRUN_RUN_DIR"], f"told-{dist.get_rank()}.json").write_text(json.dumps(told))
pathlib.Path("beside.txt").write_text("written into the program's own directory")
"""
NET = """
import torch
import pytorch_lightning as pl
from torch.utils.data import DataLoader, TensorDataset

class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, index):
        return self.layer(batch[0]).square().mean()

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.randn(64, 4)), batch_size=8)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""
TRAINER = """
import pytorch_lightning as pl
from net import Net

pl.Trainer(max_epochs=1, logger=False, enable_checkpointing=False{more}).fit(Net())
"""
CLI = """
from pytorch_lightning.cli import LightningCLI
from net import Net

defaults = {"max_epochs": 1, "logger": False, "enable_checkpointing": False}
LightningCLI(Net, trainer_defaults={**defaults, "num_nodes": 1}, save_config_callback=None)
"""
DDP = """
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

{before}
dist.init_process_group("gloo")
model = DistributedDataParallel(torch.nn.Linear(8, 2))
for _ in range(5):
    model(torch.randn(4, 8)).sum().backward()
dist.destroy_process_group()
"""
PLAIN = "import torch; torch.nn.Linear(8, 2)(torch.randn(4, 8)).sum().backward()"
LOCALHOST = "import os; os.environ['MASTER_ADDR'] = 'localhost'"
HIDDEN = {"main.py": "from ours import train\ntrain()\n", "ours.py": "def train():\n    import plain\n"}
PROGRAMS = {
    "trainer": {"main.py": TRAINER.format(more="")}, "cli": {"main.py": CLI},
    "torch": {"main.py": DDP.format(before="")}, "plain": {"main.py": PLAIN},
    "hidden": {**HIDDEN, "plain.py": TRAINER.format(more="")},
    "num_nodes=1": {"main.py": TRAINER.format(more=", num_nodes=1")},
    "devices=2": {**HIDDEN, "plain.py": TRAINER.format(more=", devices=2, num_nodes=1")},
    "MASTER_ADDR='localhost'": {"main.py": DDP.format(before=LOCALHOST)},
}  # fmt: skip


def tree(tmp_path: Path, program: str) -> Path:
    """A small program in a tree of its own, with the payload's versions of what it needs."""
    top = tmp_path / "it"
    top.mkdir()
    pins = (ROOT / "payload/requirements.txt").read_text().splitlines()
    needed = ("torch==", "numpy==", "pytorch-lightning==", "jsonargparse[")
    (top / "requirements.txt").write_text("\n".join(pin for pin in pins if pin.startswith(needed)) + "\n")
    for name, text in {"net.py": NET, **PROGRAMS[program]}.items():
        (top / name).write_text(text)
    return top


def run(source: Path, runs: Path, workers: int, **job: object) -> Report:
    """Rehearse a tree as one would after the four questions."""
    asked = Job(**{"repo": "https://host.invalid/you/it.git", "entrypoint": "main.py", **job})  # type: ignore[arg-type]
    made = plan.make(hot.text(Cluster(job=asked, workers=workers)), {})
    return rehearse(made, Options(runs_dir=runs, source=source), fakes.Ui())


@pytest.fixture(scope="module")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A torchvision root with real MNIST, fetched by the payload."""
    root = tmp_path_factory.mktemp("mnist")
    code = "import sys, pathlib, fetch; fetch.fetch('mnist', pathlib.Path(sys.argv[1]), print)"
    subprocess.run([sys.executable, "-c", code, str(root)], cwd=ROOT / "payload", check=True)
    return root


def test_a_lightning_cli_program_trains_unchanged(cache: Path, runs: Path, mnist: Path) -> None:
    """Unpinned requirements, a data module that downloads (or finds its data), 1+2 machines."""
    limits = "--trainer.max_epochs 1 --trainer.limit_train_batches 60 --trainer.limit_val_batches 10"
    report = run(
        REPOSITORIES / "lightning", runs, 2, requirements="ml", entrypoint="main_lightning.py", args=limits,
        setup=f"mkdir data && cp -r {mnist}/MNIST data/",
    )  # fmt: skip
    assert (report.exit_code, report.proven, report.backend) == (0, 3, "gloo")
    assert list((report.run_dir / "results/files/lightning_logs").rglob("*.ckpt"))


def test_a_trainer_written_for_one_machine_trains_on_two(cache: Path, runs: Path) -> None:
    """`Trainer(max_epochs=1)` has no number of nodes; the launcher's reaches it."""
    report = run(REPOSITORIES / "lightning", runs, 1, requirements="ml", entrypoint="trainer.py")
    assert (report.exit_code, report.proven) == (0, 2)


def test_every_string_reaches_every_rank_as_it_is(cache: Path, runs: Path, tmp_path: Path) -> None:
    """Arguments and environment through Heat's JSON, two ranks on each of two machines; files come home."""
    tree = tmp_path / "tells"
    tree.mkdir()
    (tree / "main.py").write_text(TELLS)
    shutil.copy(ROOT / "payload/requirements.txt", tree)
    report = run(tree, runs, 1, args=AWKWARD, env=("GREETING=höllo $HOME",), nproc_per_node="2")
    assert (report.exit_code, report.proven, report.expected) == (0, 4, 4)
    results = report.run_dir / "results"
    places = [results, results, results / "worker-1", results / "worker-1"]
    found = [json.loads((place / f"told-{rank}.json").read_text()) for rank, place in enumerate(places)]
    assert found == [{"argv": WORDS, "env": "höllo $HOME", "rank": rank} for rank in range(4)]
    assert (results / "files/beside.txt").is_file()


@pytest.mark.parametrize(
    ("program", "workers"),
    [("trainer", 0), ("cli", 0), ("torch", 0), ("plain", 0), ("trainer", 1), ("cli", 1), ("torch", 1), ("trainer", 3), ("cli", 3), ("torch", 3), ("hidden", 1)],
)  # fmt: skip
def test_a_program_written_for_one_machine_trains_on_all(
    cache: Path, runs: Path, tmp_path: Path, program: str, workers: int
) -> None:
    """Untouched Trainer, LightningCLI (its own trainer_defaults lose), torch DDP, a Trainer behind two imports."""
    report = run(tree(tmp_path, program), runs, workers)
    assert (report.exit_code, report.proven, report.expected) == (0, workers + 1, workers + 1)


@pytest.mark.parametrize(
    ("program", "where"),
    [("num_nodes=1", "main.py:5"), ("devices=2", "plain.py:5"), ("MASTER_ADDR='localhost'", "main.py:6")],
)
def test_a_hard_coded_launch_is_refused_by_name(
    cache: Path, runs: Path, tmp_path: Path, program: str, where: str
) -> None:
    """Before it trains, with file and line; the same program trains as one with --adapt, which says what it changed."""
    source = tree(tmp_path, program)
    refused = run(source, runs, 1)
    assert (refused.exit_code, refused.errors[0][1].code) == (5, "hard-coded")
    assert (refused.errors[0][1].where, refused.errors[0][1].stage) == (where, "rendezvous")
    assert refused.errors[0][1].what.startswith(program)
    adapted = run(source, runs, 1, adapt=True)
    assert (adapted.exit_code, adapted.proven) == (0, 2)
    log = (adapted.run_dir / "logs/master.log").read_text()
    assert log.count("overruled: ") == {"devices=2": 2}.get(program, 1)
    assert "overruled" not in (adapted.run_dir / "logs/worker-1.log").read_text()
