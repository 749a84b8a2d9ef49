"""`--share nfs`, rehearsed: what the master writes is there on every machine, and its environment is everybody's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloud import hot, plan
from cloud.model import Cluster, Job
from cloud.rehearse import Options, rehearse
from tests.rehearse import fakes, labs
from tests.rehearse.kept import cache, machines

if TYPE_CHECKING:
    from cloud.rehearse.report import Report

pytestmark = pytest.mark.rehearsal
__all__ = ["cache", "machines"]  # fixtures
ROOT = Path(__file__).parents[2]
SHARES = """
import json, os, pathlib, sys
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
rank, own = dist.get_rank(), pathlib.Path(os.environ["HOTRUN_CHECKPOINT_DIR"])
data, shared = (pathlib.Path(os.environ[f"HOTRUN_{name}_DIR"]) for name in ("DATA", "SHARED"))
if rank == 0:
    (data / "made.txt").write_text("by rank 0")
torch.save({"rank": rank}, own / "own.pt")
dist.barrier()
told = {
    "made": (data / "made.txt").read_text(), "fetched": (data / "fetched.txt").read_text(),
    "of": (own.parent / "worker-2/own.pt").stat().st_ino, "environment": os.stat(sys.prefix).st_ino,
    "below": sys.prefix.startswith(str(shared)),
}
pathlib.Path(os.environ["HOTRUN_RUN_DIR"], f"told-{rank}.json").write_text(json.dumps(told))
"""
FETCH = "test -e $HOTRUN_DATA_DIR/fetched.txt || { echo $HOME >> $HOTRUN_DATA_DIR/fetched.txt; }"


def run(tmp_path: Path, runs: Path, level: str) -> tuple[Report, str]:
    """Rehearse 1+2 machines with a share; the report, and what was said."""
    tree = tmp_path / "shares"
    tree.mkdir()
    (tree / "main.py").write_text(SHARES)
    shutil.copy(ROOT / "payload/requirements.txt", tree)
    asked = Job(repo="https://host.invalid/you/it.git", entrypoint="main.py", setup=FETCH, share="nfs")
    made = plan.make(hot.text(Cluster(job=asked, workers=2)), {})
    ui = fakes.Ui()
    return rehearse(made, Options(runs_dir=runs, source=tree, level=level), ui), ui.text


def told(report: Report) -> list[dict[str, Any]]:
    """What each rank found."""
    results = report.run_dir / "results"
    places = [results, results / "worker-1", results / "worker-2"]
    return [json.loads((place / f"told-{rank}.json").read_text()) for rank, place in enumerate(places)]


@pytest.mark.parametrize(("level", "what"), [("namespace", "bind mount"), ("process", "symbolic link")])
def test_data_environment_and_checkpoints_are_on_the_share(
    cache: Path, runs: Path, tmp_path: Path, level: str, what: str
) -> None:
    """Data fetched once, by the master; one environment, of the master's; everybody's checkpoints in sight of all."""
    if level == "namespace":
        labs.needed()
    report, said = run(tmp_path, runs, level)
    assert (report.exit_code, report.proven, report.expected) == (0, 3, 3)
    assert said.count(f"the share is a {what} here: no NFS") == 1
    found = told(report)
    assert found == [found[0]] * 3
    master = next(root for root in fakes.node_roots(cache) if root.name == "master")
    assert (found[0]["made"], found[0]["fetched"]) == ("by rank 0", f"{master}/var/lib/hotrun/home\n")
    assert found[0]["below"]
    assert [path.stat().st_ino for path in master.glob("var/lib/hotrun/shared/env/*")] == [
        found[0]["environment"]
    ]
    for root in fakes.node_roots(cache):
        assert not list(root.glob("opt/hotrun/env/*")), "an environment of its own"
        assert "share: skipped: rehearsal" in (report.run_dir / f"logs/{root.name}.log").read_text()
    results = report.run_dir / "results"
    for place in (results, results / "worker-1", results / "worker-2"):
        assert (place / "checkpoints/own.pt").is_file()
