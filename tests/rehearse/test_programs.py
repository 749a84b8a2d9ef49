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

if TYPE_CHECKING:
    from cloud.rehearse.report import Report

pytestmark = pytest.mark.rehearsal
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
