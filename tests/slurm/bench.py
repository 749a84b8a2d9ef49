"""A cluster for tests with a work directory, and jobs that `generate --target slurm` makes."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud.model import Cluster as Request
from cloud.model import Job, Slurm
from cloud.rehearse import addresses, environment, roots, source
from cloud.rehearse.slurm.cluster import Cluster, Site
from cloud.rehearse.slurm.configuration import Layout
from cloud.slurm import render
from tests.slurm import programs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloud.rehearse.slurm.control import JobState

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://host.invalid/you/digits.git"
DEADLINE_S = 1200.0  # for everything that a test waits for
_LOOK_S = 0.2


def opened(
    directory: Path, nodes: int = 2, *, seen: Sequence[Path] = (), local: Path | None = None, **layout: object
) -> Cluster:
    """A cluster below a directory; its nodes see that one, and others, where they lie."""
    network = addresses.Subnet(ipaddress.IPv4Network("10.8.0.0/24"), nodes)
    kept = [
        directory,
        *seen,
        Path(sys.prefix),
        Path(sys.base_prefix),
        roots.uv_cache(os.environ, directory, print),
    ]
    site = Site(directory=directory / "cluster", network=network, kept=kept, local=local)
    named = {f"node{number}": network.node(number - 1) for number in range(1, nodes + 1)}
    state = directory / "cluster" / "state"
    made = Layout(nodes=named, login=network.services, state=state, **layout)  # type: ignore[arg-type]
    return Cluster(site, made)


def home(cache: Path) -> Path:
    """Where rehearsals of the tests' repository live."""
    return cache / "nodes" / f"slurm-{roots.key(REPOSITORY, '')}" / "0"


def tree(directory: Path) -> Path:
    """A repository with this one's trainers and the programs that tests disturb."""
    shutil.copytree(ROOT / "payload", directory / "payload", ignore=shutil.ignore_patterns("__pycache__"))
    (directory / "payload/disturbed.py").write_text(programs.DISTURBED, encoding="utf-8")
    (directory / "payload/trainer.py").write_text(programs.TRAINER, encoding="utf-8")
    (directory / "payload/raises.py").write_text(programs.RAISES, encoding="utf-8")
    (directory / "plain").mkdir()
    (directory / "plain/requirements.txt").write_text("", encoding="utf-8")
    (directory / "plain/plain.py").write_text(programs.PLAIN, encoding="utf-8")
    return directory


def script(place: Path, entrypoint: str, *, workers: int = 1, **more: Any) -> Path:
    """Write a job.sbatch; `slurm_` begins the name of a setting of Slurm's, the others are the job's."""
    own = {key.removeprefix("slurm_"): more.pop(key) for key in list(more) if key.startswith("slurm_")}
    job = Job(**{"repo": REPOSITORY, "entrypoint": entrypoint, "requirements": "payload", **more})
    request = Request(job=job, workers=workers, target="slurm", slurm=Slurm(**own))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(render.text(request), encoding="utf-8")
    return place


@dataclass
class Bench:
    """One cluster and its work directory."""

    directory: Path
    cluster: Cluster
    source: Path
    cache: Path
    environ: dict[str, str] = field(default_factory=dict)
    _prepared: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        (self.directory / "home").mkdir(exist_ok=True)
        self.work.mkdir(parents=True, exist_ok=True)
        gitconfig = source.gitconfig(self.directory / "gitconfig", "", None)
        self.environ = environment.inherited(os.environ, []) | {
            "PATH": environment.search_path(os.environ, print), "HOME": str(self.directory / "home"),
            "LANG": "C.UTF-8", "HOTRUN_GITCONFIG": str(gitconfig), "HOTRUN_SLURM_HOME": str(self.work),
            "UV_CACHE_DIR": str(roots.uv_cache(os.environ, self.directory, print)),
        }  # fmt: skip

    @property
    def work(self) -> Path:
        """HOTRUN_SLURM_HOME: where rehearsals of the same repository have it, so that packages are there once."""
        return home(self.cache) / "work"

    def job(self, name: str, entrypoint: str, **more: Any) -> Path:
        """A job.sbatch that is prepared, as on a login node."""
        made = script(self.directory / "jobs" / name / "job.sbatch", entrypoint, **more)
        if entrypoint not in self._prepared:
            self.prepare(made)
            self._prepared.add(entrypoint)
        return made

    def prepare(self, made: Path, *more: str) -> str:
        """`bash job.sbatch --prepare`, which must succeed."""
        command = ["bash", str(made), "--prepare", "--in-place", str(self.source), *more]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def submit(self, made: Path, *options: str) -> str:
        """The job's number."""
        said = self.cluster.run(["sbatch", "--parsable", *options, str(made)], self.environ, made.parent)
        return said.strip()

    def log(self, made: Path, job_id: str) -> str:
        """The job's log."""
        path = made.parent / f"hotrun-{job_id}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    def run_directory(self, job_id: str) -> Path:
        """Where the job writes."""
        return self.work / "runs" / job_id

    def status(self, job_id: str) -> dict[str, Any]:
        """The job's status.json."""
        found: dict[str, Any] = json.loads((self.run_directory(job_id) / "status.json").read_text())
        return found

    def until(self, made: Path, job_id: str, is_so: Callable[[JobState, str], bool]) -> JobState:
        """Wait until Slurm's word on the job and its log are so; the log is shown when they never are."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            job, log = self.cluster.job(job_id), self.log(made, job_id)
            if is_so(job, log):
                return job
            hopeless = time.monotonic() > deadline or job.has_ended
            assert not hopeless, f"{job}\n{self.cluster.states()}\n{log[-6000:]}"
            time.sleep(_LOOK_S)

    def cut(self, made: Path, job_id: str, name: str) -> None:
        """A node loses its power, Slurm counts it out and starts the job again; then it boots."""
        self.cluster.cut(name)
        self.cluster.ask("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=power")
        self.until(made, job_id, lambda job, _: job.restarts > 0)
        self.cluster.bring_back(name)

    def end(self, made: Path, job_id: str) -> JobState:
        """Wait for the job's end."""
        return self.until(made, job_id, lambda job, _: job.has_ended)
