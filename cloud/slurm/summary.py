"""What was generated for a Slurm cluster: the lines and the JSON document of `generate`. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloud.slurm import program
from cloud.summary import commit_of, engine_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.errors import Problem
    from cloud.model import Cluster
    from cloud.repository import Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """All that is known when a job is made."""

    cluster: Cluster
    """What was asked for, with its commit."""
    findings: Findings
    """What the repository said."""
    problems: tuple[Problem, ...]
    """Warnings and notes of all steps."""
    text: str
    """The file."""
    out: str
    """Where it went; `-` for stdout."""


def rows(made: Made) -> Iterator[tuple[str, str]]:
    """Yield (label, text) lines for a person."""
    yield "commit", commit_of(made.cluster, made.findings)
    yield "engine", engine_of(made.cluster, made.findings)
    for problem in made.problems:
        yield problem.level, f"{problem.where}: {problem.what}" if problem.where else problem.what
        if problem.fix:
            yield "", f"fix: {problem.fix}"
    yield "job", _job(made.cluster)
    own = len(made.text.splitlines()) - len(program.packed().lines)
    yield "size", f"{len(made.text) / 1024:.0f} KiB: {own} lines to read, behind them the node program"


def next_steps(made: Made, called: str) -> Iterator[tuple[str, str]]:
    """Yield the commands to type next; `called`: the name that this program was called by."""
    file = shlex.quote(made.out)
    place = f" --in-place {shlex.quote(made.cluster.job.repo)}" if made.cluster.job.is_local else ""
    source = made.findings.stand_in
    yield "try it here", f"{called} rehearse {file}" + (f" --source {shlex.quote(source)}" if source else "")
    yield "prepare", f"bash {file} --prepare{place}    on the login node of the cluster"
    yield "run it", f"sbatch {file}"


def document(made: Made) -> dict[str, Any]:
    """Return the JSON document; the job itself is in it when it went to no file."""
    job, found, is_file = made.cluster.job, made.findings.recognition, made.out != "-"
    engine = {
        "asked": job.engine, "found": found.engine if found else None,
        "where": f"{found.file}:{found.line}" if found else None,
        "evidence": found.evidence if found else None,
    }  # fmt: skip
    return {
        "schema": 1, "exit_code": 0, "target": "slurm",
        "path": made.out if is_file else None, "repo": job.repo,
        "ref": job.ref, "commit": job.commit, "workers": made.cluster.workers, "engine": engine,
        "bytes": len(made.text), "problems": [problem.as_json() for problem in made.problems],
    } | ({} if is_file else {"job": made.text})  # fmt: skip


def _job(cluster: Cluster) -> str:
    asked, nnodes = cluster.slurm, cluster.nnodes
    parts = [f"{nnodes} node" + ("s" if nnodes > 1 else "")]
    parts.append(f"partition {asked.partition}" if asked.partition else "the default partition")
    parts += [f"{asked.gpus} GPUs each"] if asked.gpus else []
    parts += [f"{asked.cpus_per_task} cores each"] if asked.cpus_per_task else []
    parts += [f"{asked.mem} of memory each"] if asked.mem not in ("", "0") else []
    limit = f"{asked.time} minutes" if asked.time.isdigit() else asked.time
    parts.append(f"at most {limit}" if limit else "the partition's own time limit")
    return ", ".join(parts)
