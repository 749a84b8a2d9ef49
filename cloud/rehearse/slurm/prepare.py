"""A job.sbatch -> all that its rehearsal needs before Slurm starts.

CACHE/nodes/slurm-digits-1a2b3c/0/
    work/        code and packages stay for the next rehearsal, runs do not
    home/        the job's HOME
    cluster/     state, logs and the nodes' own /tmp; emptied before
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.errors import Problem, ProblemsFound
from cloud.node.console import node_name
from cloud.rehearse import addresses, environment, roots, source, space
from cloud.rehearse.guardian import VARIABLE
from cloud.rehearse.slurm import job as job_
from cloud.rehearse.slurm.cluster import Site
from cloud.rehearse.slurm.configuration import Layout

if TYPE_CHECKING:
    from contextlib import ExitStack

    from cloud.rehearse import Options
    from cloud.rehearse.slurm.job import Asked

CIDR = "10.8.0.0/24"  # the cluster's own network, which nothing else can see
_REPO = re.compile(r'"repo": ?"((?:[^"\\]|\\.)+)"')
_MEMORY_MB = 1000

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a session starts with."""

    script: Path
    asked: Asked
    slurms: dict[str, str]
    """Name of each machine -> Slurm's name of the node."""
    site: Site
    layout: Layout
    work: Path
    environment: dict[str, str]
    tag: str
    held: tuple[int, ...]
    in_place: Path | None
    """A checkout of --source where that is not at the commit that the job pins."""
    commit: str
    """That checkout's, else empty."""
    problems: tuple[Problem, ...]

    @property
    def names(self) -> list[str]:
        """master, worker-1 …"""
        return list(self.slurms)

    @property
    def words(self) -> list[str]:
        """What is typed behind job.sbatch each time."""
        return ["--work-dir", str(self.work)]


def prepare(text: str, options: Options, stack: ExitStack, say: Say) -> Prepared:
    """Make all of it; what must be given back is left with `stack`. Raises ProblemsFound."""
    script = Path(options.template).absolute()
    asked = _asked(text, options, say)
    names = [node_name(rank) for rank in range(asked.nodes)]
    cache = roots.cache_directory(os.environ)
    repo = repository(text) or asked.name
    taken = roots.take(cache, "slurm-" + roots.key(repo, ""), ["cluster"], is_fresh=options.fresh)
    stack.callback(taken.close)
    uv_cache = roots.uv_cache(os.environ, cache, say)
    problems = space.problems(taken, uv_cache, asked.nodes, say)
    directory = taken.directory
    for old in ("cluster", "work/runs"):
        roots.remove(directory / old)
    for new in ("cluster", "work", "home"):
        (directory / new).mkdir(parents=True, exist_ok=True)
    standing_in = source.prepare(options.source, directory, say) if options.source else None
    gitconfig = source.gitconfig(directory / "gitconfig", repo, standing_in)
    in_place = _checkout(standing_in, text, directory, say)
    tag = secrets.token_hex(16)
    environ = environment.inherited(os.environ, []) | {
        "PATH": environment.search_path(os.environ, say), "HOME": str(directory / "home"), "LANG": "C.UTF-8",
        "USER": "root", "HOTRUN_GITCONFIG": str(gitconfig), "UV_CACHE_DIR": str(uv_cache), VARIABLE: tag,
    }  # fmt: skip
    kept = [directory, uv_cache, script.parent, Path(sys.prefix), Path(sys.base_prefix)]
    kept += environment.named_paths(environ)
    network = addresses.Subnet(ipaddress.IPv4Network(CIDR), asked.nodes)
    slurms = {name: f"node{rank}" for rank, name in enumerate(names, 1)}
    layout = Layout(
        nodes={slurm: network.node(rank) for rank, slurm in enumerate(slurms.values())},
        login=network.services, state=directory / "cluster/state", gpus=asked.gpus, features=asked.features,
        cpus=max(asked.cpus, options.cpus or len(os.sched_getaffinity(0)) // asked.nodes, 1),
        memory_mb=max(asked.memory_mb, _MEMORY_MB), partitions=asked.partitions or ("main",),
    )  # fmt: skip
    return Prepared(
        script=script, asked=asked, slurms=slurms, layout=layout, work=directory / "work",
        site=Site(directory=directory / "cluster", network=network, kept=kept), environment=environ,
        tag=tag, held=(taken.lock,), problems=tuple(problems), in_place=in_place,
        commit=standing_in.commit if standing_in and in_place else "",
    )  # fmt: skip


def repository(text: str) -> str:
    """The address in the job's line; empty where there is none."""
    found = _REPO.search(text)
    return found[1] if found else ""


def _checkout(used: source.Source | None, text: str, home: Path, say: Say) -> Path | None:
    """A checkout of what stands in, unless the job pins the same commit and clones it by itself."""
    if used is None or f'"{used.commit}"' in text:
        return None
    say(f"the commit is {used.commit[:7]} instead of the one that the job pins")
    place = home / "work/source"
    roots.remove(place)
    environ = {
        "PATH": environment.STANDARD_PATH, "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1", "GIT_ALLOW_PROTOCOL": "file", "GIT_LFS_SKIP_SMUDGE": "1",
    }  # fmt: skip
    for words in (["clone", "--quiet", "--no-checkout", used.directory.as_uri(), str(place)],
                  ["-C", str(place), "checkout", "--quiet", "--detach", used.commit]):  # fmt: skip
        done = subprocess.run(["git", *words], env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            what = f"{used.directory} can't be checked out: {done.stderr.strip()[-300:]}"
            raise ProblemsFound(Problem(code="source-unreadable", what=what, where="flag --source"))
    return place


def _asked(text: str, options: Options, say: Say) -> Asked:
    if not job_.is_ours(text):
        what = f"{options.template} is a batch script, but not one that generate --target slurm made"
        fix = "hotrun generate --target slurm makes one for a repository"
        raise ProblemsFound(Problem(code="job-not-ours", what=what, where=options.template, fix=fix))
    asked = job_.read(text, options.template, options.workers)
    for sentence in _differences(asked):
        say(sentence)
    return asked


def _differences(asked: Asked) -> list[str]:
    """What this cluster has because the job asks for it; whether the real one has it is not known here."""
    named = [f"partition {name}" for name in asked.partitions] + [
        f"feature {name}" for name in asked.features
    ]
    found = []
    if named:
        found.append(f"this cluster has {', '.join(named)} because the job asks for it; ask yours with sinfo")
    if asked.gpus:
        found.append(f"its nodes claim {asked.gpus} GPUs each, as the job asks; there is none behind them")
    if asked.nodelist:
        found.append(f"--nodelist {asked.nodelist} names nodes of your cluster and is not used here")
    return found
