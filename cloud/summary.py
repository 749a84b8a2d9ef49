"""What was generated, in the lines and in the JSON document that `generate` shows. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloud.by_hand import create_line, stack_name
from cloud.git.entrypoint import ENGINE_NAMES
from cloud.model import EVERYBODY
from cloud.request.profiles import FLAVORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.errors import Problem
    from cloud.model import Cluster
    from cloud.plan import Plan
    from cloud.repository import Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """All that is known when a template is made."""

    cluster: Cluster
    """What was asked for, with its commit."""
    findings: Findings
    """What the repository said."""
    problems: tuple[Problem, ...]
    """Warnings and notes of all steps."""
    plan: Plan
    """The template, read again."""
    out: str
    """Where it went; `-` for stdout."""
    is_published: bool = False
    """Whether it is for everybody, and the cluster without what is its author's alone."""
    left_out: tuple[Problem, ...] = ()
    """What a published template has not, or should not have."""


def rows(made: Made) -> Iterator[tuple[str, str]]:
    """Yield (label, text) lines for a person."""
    yield "commit", _not_pinned(made) if made.is_published else commit_of(made.cluster, made.findings)
    yield "engine", engine_of(made.cluster, made.findings)
    for problem in made.problems:
        if problem.level == "note" and problem in made.plan.problems:
            continue  # the defaults' own notes: `check` shows them
        yield problem.level, f"{problem.where}: {problem.what}" if problem.where else problem.what
        if problem.fix:
            yield "", f"fix: {problem.fix}"
    yield "cluster", _machines(made.cluster)
    if made.cluster.network.ssh_cidr == EVERYBODY:
        yield "open", "port 22 of the master to the whole internet; narrow it with --ssh-cidr"
    yield "size", _size(made.plan)


def next_steps(made: Made, program: str) -> Iterator[tuple[str, str]]:
    """Yield the commands to type next."""
    file = shlex.quote(made.out)
    source = made.findings.stand_in
    yield "try it here", f"{program} rehearse {file}" + (f" --source {shlex.quote(source)}" if source else "")
    if made.cluster.job.is_local:
        yield "run it", "only here: no machine of a cloud can reach a local path; git push it first"
    elif made.is_published:
        yield "give it", f"{file}, to anybody with Horizon: Orchestration > Stacks > Launch Stack"
    else:
        yield "run it", f"{program} up {file}"
        yield "", f"or  {create_line(made.out, stack_name(made.plan), {}, anyway={})}"
        yield "", "or  upload it in Horizon: Orchestration > Stacks"


def document(made: Made) -> dict[str, Any]:
    """Return the JSON document; the template itself is in it when it went to no file."""
    job, found, is_file = made.cluster.job, made.findings.recognition, made.out != "-"
    engine = {
        "asked": job.engine,
        "found": found.engine if found else None,
        "where": f"{found.file}:{found.line}" if found else None,
        "evidence": found.evidence if found else None,
    }
    return {
        "schema": 1, "exit_code": 0, "path": made.out if is_file else None,
        "repo": job.repo, "ref": job.ref, "commit": job.commit, "workers": made.cluster.workers,
        "engine": engine, "bytes": len(made.plan.text.encode()), "sizes": made.plan.sizes,
        "problems": [problem.as_json() for problem in (*made.left_out, *made.problems)],
    } | ({} if is_file else {"template": made.plan.text})  # fmt: skip


def commit_of(cluster: Cluster, findings: Findings) -> str:
    """What will be trained, and how old it is."""
    if not cluster.job.commit and cluster.job.is_local:
        return "none: the directory is not in git"
    if not cluster.job.commit:
        wanted = cluster.job.ref or "the default branch"
        return f"not known yet: {wanted}, as the master finds it"
    told = ", ".join(part for part in (findings.branch, findings.age) if part)
    return f"{cluster.job.commit[:7]} ({told})" if told else cluster.job.commit[:7]


def _not_pinned(made: Made) -> str:
    return f"not pinned: {made.cluster.job.ref or 'the default branch'}, as it is when a stack is made"


def engine_of(cluster: Cluster, findings: Findings) -> str:
    """What trains, and how that is known."""
    found = findings.recognition
    asked = cluster.job.engine
    if asked != "auto" and not (found and found.engine == asked):
        return f"{ENGINE_NAMES[asked]}, as asked"
    if not found:
        return "read from the entrypoint when the machines boot"
    if found.engine == "python":
        return f"{ENGINE_NAMES['python']}: {found.evidence}"
    return f"{ENGINE_NAMES[found.engine]}: {found.evidence} found in {found.file}:{found.line}"


def _machines(cluster: Cluster) -> str:
    master, worker, workers = cluster.master.flavor, cluster.worker.flavor, cluster.workers
    if workers == 0:
        told = f"1 master, {master}"
    else:
        plural = "worker" if workers == 1 else "workers"
        each = f"{master} each" if master == worker else f"{master} and {worker}"
        told = f"1 master + {workers} {plural}, {each}"
    if master not in FLAVORS or worker not in FLAVORS:
        return told
    cores = FLAVORS[master][0] + workers * FLAVORS[worker][0]
    memory = FLAVORS[master][1] + workers * FLAVORS[worker][1]
    instances = f"{cluster.nnodes} instance" + ("s" if cluster.nnodes > 1 else "")
    return f"{told}; quota needed: {instances}, {cores:,} core{'s' if cores > 1 else ''}, {memory:,g} GiB"


def _size(plan: Plan) -> str:
    sizes = plan.sizes
    resources = len(plan.template.section("resources"))
    kib = len(plan.text.encode()) / 1024
    return f"{kib:.0f} KiB, {resources} resources; user data {sizes['total']:,} of {sizes['limit']:,} bytes"
