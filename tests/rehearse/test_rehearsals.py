"""Real rehearsals: the template's own boot text and node program, real git, uv, torch and training.

Needs a package index or what uv has cached; about 2 GB on a cold cache.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
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
from tests.rehearse.processes import below, wait_for, wait_until_gone

if TYPE_CHECKING:
    from cloud.rehearse.report import Report

pytestmark = pytest.mark.rehearsal
__all__ = ["cache", "machines"]  # fixtures
ROOT = Path(__file__).parents[2]
TORCH = next(
    line
    for line in (ROOT / "payload/requirements.txt").read_text().splitlines()
    if line.startswith("torch==")
)

TRAINS = """
import os, time, torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
dist.init_process_group("gloo")
rank = dist.get_rank()
model = DistributedDataParallel(torch.nn.Linear(8, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range({steps}):
    optimizer.zero_grad()
    model(torch.randn(4, 8)).sum().backward()
    optimizer.step()
    if step == 2:
        print("epoch 1/1 begins", flush=True)
        {at_step_2}
    time.sleep(0.05)
dist.destroy_process_group()
"""
LONELY = """
import torch
model = torch.nn.Linear(8, 2)
model(torch.randn(4, 8)).sum().backward()
print("trained alone")
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A tree with a small torch program; tests change it before they rehearse."""
    tree = tmp_path / "digits"
    tree.mkdir()
    (tree / "requirements.txt").write_text(f"{TORCH}\nnumpy\n")
    (tree / "main.py").write_text(program())
    return tree


def program(steps: int = 10, at_step_2: str = "pass") -> str:
    """A DDP program of `steps` steps that does `at_step_2` in the middle."""
    return TRAINS.format(steps=steps, at_step_2=at_step_2)


def template(workers: int, *, repo: str = "https://host.invalid/you/digits.git", **job: object) -> str:
    """A generated template."""
    made = Job(**{"repo": repo, "entrypoint": "main.py", **job})  # type: ignore[arg-type]
    return hot.text(Cluster(job=made, workers=workers))


def run(text: str, runs: Path, **options: object) -> Report:
    """Rehearse a template's text."""
    return rehearse(plan.make(text, {}), Options(runs_dir=runs, **options), fakes.Ui())  # type: ignore[arg-type]


def payload(tmp_path: Path) -> Path:
    """This repository's trainer as a tree of its own, so that what is not committed is tried as well."""
    tree = tmp_path / "mnist"
    shutil.copytree(ROOT / "payload", tree / "payload", ignore=shutil.ignore_patterns("__pycache__"))
    return tree


@pytest.mark.parametrize(("workers", "args", "least"), [(0, " --trainer.max_epochs 1", 0.9), (2, "", 0.975)])
def test_machines_train_mnist_as_one(
    cache: Path, runs: Path, tmp_path: Path, *, workers: int, args: str, least: float
) -> None:
    """1+0 and 1+2 machines prove their world size and bring home a trained net's accuracy."""
    text = template(workers, requirements="payload", args=f"fit{args}")
    report = run(text, runs, source=payload(tmp_path))
    assert (report.exit_code, report.errors) == (0, [])
    assert (report.proven, report.expected) == (workers + 1, workers + 1)
    assert report.result["test_accuracy"] >= least
    assert report.result["world_size"] == workers + 1
    proofs = len(list((report.run_dir / "proof").glob("rank*.json")))
    assert proofs == (
        workers + 1 if workers else 0
    )  # one machine alone joins no group: a clean end proves it
    done = subprocess.run(
        ["sha256sum", "--check", "--quiet", "manifest.sha256"], cwd=report.run_dir, check=False
    )
    assert done.returncode == 0
    assert [node.state for node in report.nodes] == ["done"] * (workers + 1)


def test_the_master_waits_for_a_late_worker(cache: Path, runs: Path, repository: Path) -> None:
    """A worker that starts eight seconds late is waited for by name, and they train as one."""
    report = run(template(2), runs, source=repository, hold={"worker-2": 8.0})
    assert (report.exit_code, report.proven) == (0, 3)
    assert "worker-2" in (report.run_dir / "logs/master.log").read_text()
    events = [json.loads(line) for line in (report.run_dir / "events.jsonl").read_text().splitlines()]
    trained = [(event["node"], event["state"]) for event in events if event.get("stage") == "train"]
    started = next(number for number, event in enumerate(events) if event.get("node") == "worker-2")
    begun = next(number for number, event in enumerate(events) if event.get("stage") == "train")
    assert started < begun
    assert ("worker-2", "ok") in trained


def test_a_repository_that_cannot_be_cloned_is_named(cache: Path, runs: Path, tmp_path: Path) -> None:
    """The master fails in source, with the address in its sentence or its log."""
    report = run(template(1, repo=str(tmp_path / "nowhere")), runs)
    problem = report.errors[0][1]
    assert (report.exit_code, problem.node, problem.stage) == (5, "master", "source")
    assert "nowhere" in problem.what + " ".join(problem.log)


def test_a_requirement_that_does_not_exist_is_named(cache: Path, runs: Path, repository: Path) -> None:
    """The environment fails with the package's name, not with an exit code."""
    (repository / "requirements.txt").write_text("hotrun-surely-no-such-package==1\n")
    report = run(template(1), runs, source=repository)
    problem = report.errors[0][1]
    assert (report.exit_code, problem.stage) == (5, "environment")
    assert "hotrun-surely-no-such-package" in problem.what
    assert report.nodes[1].state == "stopped"


def test_a_script_that_raises_on_one_rank_names_that_rank(cache: Path, runs: Path, repository: Path) -> None:
    """The survivors' complaints about their peer are not taken for the cause."""
    raises = "assert rank != 1, 'boom on rank 1'"
    (repository / "main.py").write_text(program(steps=200, at_step_2=raises))
    report = run(template(2), runs, source=repository)
    problem = report.errors[0][1]
    assert (report.exit_code, problem.node, problem.stage) == (5, "worker-1", "train")
    assert "boom on rank 1" in problem.what
    assert "main.py" in problem.where
    assert f"{report.run_dir}/logs/worker-1.log:" in str(report)


def test_machines_that_trained_alone_have_failed(cache: Path, runs: Path, repository: Path) -> None:
    """Exit code 0 everywhere is not enough: without a collective on the whole group there is no proof."""
    (repository / "main.py").write_text(LONELY)
    report = run(template(1), runs, source=repository)
    assert report.exit_code == 5
    assert report.errors[0][1].code == "not-distributed"
    assert report.proven < report.expected


@pytest.mark.parametrize(("rank", "name"), [(1, "worker-1"), (0, "master")])
def test_a_machine_killed_in_training_is_named(
    cache: Path, runs: Path, repository: Path, rank: int, name: str
) -> None:
    """Without restarts it is the cause, though it comes back, and not those that lost it; nobody hangs."""
    kills = f"(rank == {rank}) and (os.kill(os.getppid(), 9), os.kill(os.getpid(), 9))"
    (repository / "main.py").write_text(program(steps=6000, at_step_2=kills))
    report = run(template(2, restarts=0), runs, source=repository)
    assert report.exit_code == 5
    assert report.errors[0][1].node == name
    assert not [problem for problem in report.problems if problem.code == "machine-did-not-end"]


STARTER = """
import sys; sys.path.insert(0, {root!r})
from tests.rehearse.test_rehearsals import run, template
from pathlib import Path
report = run(template(1), Path({runs!r}), source=Path({source!r}))
print(report)
sys.exit(report.exit_code)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_rehearsal_leaves_no_process(
    cache: Path, runs: Path, repository: Path, number: signal.Signals
) -> None:
    """Ctrl-C ends all ranks and says what is left; after kill -9 the guardian ends them."""
    (repository / "main.py").write_text(program(steps=6000))
    text = STARTER.format(root=str(ROOT), runs=str(runs), source=str(repository))
    process = subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    log = runs / "digits-1/logs/worker-1.log"
    assert wait_for(lambda: log.exists() and "epoch 1/1 begins" in log.read_text(), 300), below(cache)
    process.send_signal(number)
    shown, _ = process.communicate(timeout=60)
    assert wait_until_gone(cache)
    assert process.returncode == (130 if number == signal.SIGINT else -9)
    assert number == signal.SIGKILL or "files are left in" in shown
