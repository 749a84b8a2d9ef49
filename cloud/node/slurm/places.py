"""Where a Slurm job keeps its things, and the `Context` in which the stages run there.

WORK/program/SHA/  WORK/prepared/DIGEST/{src,prepared.json}  WORK/env/LOCK/  WORK/cache/  WORK/data/
WORK/runs/JOBID/{status.json,memory.json,nodes/NAME/,logs/,results/,proof/,checkpoints/,kept/}
The checkpoints are rank 0's; those of another node are WORK/runs/JOBID/nodes/NAME/checkpoints/
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Mapping

from .. import job, process
from ..console import node_name
from ..context import Console, Context
from ..host import Host
from ..job import Job
from ..layout import Layout
from ..machine import Identity
from .talk import Talk

OURS = "HOTRUN_SLURM_"  # between the script and this program; no rank sees them
FAILED, AGAIN, LIMIT = 5, 10, 75  # exit codes; the last is EX_TEMPFAIL: the time limit is near


@dataclass(frozen=True)
class Places(Layout):
    """Paths of one node; `root` is the run's directory, or that of what was prepared."""

    work: Path = Path()
    node: str = ""
    """`master` or `worker-<rank>`; empty while preparing."""
    source: Path = Path()
    """The checkout."""

    @property
    def state(self) -> Path:
        """Where disk is looked at, and commands of stages run."""
        return self.work

    @property
    def tools(self) -> Path:
        """uv's small environment and the gitconfig."""
        return self.work / "tools"

    @property
    def environments(self) -> Path:
        """One directory per lock."""
        return self.work / "env"

    @property
    def data(self) -> Path:
        """Data sets, kept between jobs."""
        return self.work / "data"

    @property
    def home(self) -> Path:
        """The user's own."""
        return Path(os.environ.get("HOME") or self.work)

    @property
    def bytecode(self) -> Path:
        """Compiled modules."""
        return self.work / "bytecode"

    @property
    def logs(self) -> Path:
        """One file per stage of this node, of the newest attempt."""
        return self.run("") / "log"

    def run(self, run: str) -> Path:
        """What this node itself writes in this job: nodes may share a file system."""
        return self.root / "nodes" / self.node if self.node else self.root

    def checkpoints(self, run: str) -> Path:
        """HOTRUN_CHECKPOINT_DIR of all attempts: rank 0's node has the job's, every other one its own."""
        return (self.root if self.node in ("", node_name(0)) else self.run("")) / "checkpoints"

    def kept(self, run: str) -> Path:
        """The newest checkpoints of rank 0, whole."""
        return self.root / "kept"

    def checkout(self, run: str) -> Path:
        """The repository: what was prepared, for all jobs."""
        return self.source


@dataclass
class SlurmContext(Context):
    """A context whose processes keep the user's environment: modules set library paths there."""

    def base_environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The user's environment, ours on top of it; below it where Lightning writes what has no place."""
        users = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        users.pop("PYTHONHOME", None)
        root = str(self.own_directory / "results")
        return {"PL_TRAINER_DEFAULT_ROOT_DIR": root, **users, **super().base_environment(extra)}

    def searched(self) -> list[Path]:
        """Not in the checkout, which other jobs use too: theirs lie there."""
        return super().searched()[:-1]


def work() -> Path:
    """The work directory, as the script says it."""
    return Path(os.environ[OURS + "WORK"])


def run_directory() -> Path:
    """The directory of this job."""
    return Path(os.environ[OURS + "RUN"])


def prepared_file() -> Path:
    """What `--prepare` wrote when it was through."""
    return work() / "prepared" / os.environ[OURS + "DIGEST"] / "prepared.json"


def the_job() -> Job:
    """The job of the script, with the secret of this very start."""
    found = job.read(os.environ[OURS + "JOB"])
    return replace(found, secret=os.environ.get(OURS + "SECRET", ""))


def prepared() -> dict[str, Any]:
    """What was prepared: commit, checkout, environment, uv, kind."""
    found: dict[str, Any] = json.loads(prepared_file().read_text(encoding="utf-8"))
    return found


def preparing() -> SlurmContext:
    """The context of the login node."""
    root = prepared_file().parent
    layout = Places(root, work(), "", root / "src")
    context = SlurmContext(
        job=replace(the_job(), setup=""), layout=layout, host=Host(is_rehearsal=True),
        console=Console("login"), identity=Identity(rank=0, nnodes=1, server="", address=""), run="prepared",
    )  # fmt: skip
    context.link = context.coordinator = Talk(0, "")  # type: ignore[assignment]
    for directory in (root, layout.environments, layout.data, layout.tools, layout.bytecode, layout.logs):
        directory.mkdir(parents=True, exist_ok=True)
    return context


def on_node(go: dict[str, Any]) -> SlurmContext:
    """The context of one node of a running job."""
    rank, found = int(os.environ["SLURM_NODEID"]), prepared()
    name, addresses = node_name(rank), go["addresses"]
    root = run_directory()
    layout = Places(root, work(), name, Path(found["checkout"]))
    identity = Identity(rank=rank, nnodes=len(addresses), server="", address=addresses[rank])
    context = SlurmContext(
        job=the_job(), layout=layout, host=Host(is_rehearsal=True), console=Console(name), identity=identity,
        run=go["run"], attempt=go["attempt"],
    )  # fmt: skip
    talk = Talk(rank, context.job.secret, go, layout.kept(""))
    context.link = talk
    context.coordinator = talk if rank == 0 else None  # type: ignore[assignment]
    for directory in (layout.logs, layout.data, layout.bytecode, root / "checkpoints"):
        directory.mkdir(parents=True, exist_ok=True)  # the script brings the last one from every node
    os.environ.setdefault("MPLCONFIGDIR", str(layout.run("") / "matplotlib"))
    context.found.update(
        commit=found["commit"], environment=Path(found["environment"]), uv=Path(found["uv"]), owner=None,
        interface=go["interfaces"][rank], address=addresses[rank], nproc=go["nproc"], go=go,
        gpus=["GPU"] * (go["nproc"] if go["has_gpu"] else 0),
    )  # fmt: skip
    (layout.run("") / "report.json").unlink(missing_ok=True)  # an earlier step's: a killed one leaves none
    process.sweep(context.tag)  # what an attempt before left running
    context.begin_attempt(go["attempt"])
    return context


def say(*lines: str) -> None:
    """Lines for the job's log."""
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()
