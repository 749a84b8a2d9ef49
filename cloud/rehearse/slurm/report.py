"""How a rehearsed job ended -> the report of a rehearsal. Reads and writes files, nothing else."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cloud.errors import Problem
from cloud.rehearse import keep, verdict
from cloud.rehearse.report import NodeReport, Report
from cloud.rehearse.sentences import as_one, figures, other_problems, where

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cloud.rehearse.follow import Machine
    from cloud.rehearse.keep import Kept
    from cloud.rehearse.slurm.control import JobState
    from cloud.rehearse.verdict import End

NOT_SHOWN = "your cluster's partitions, accounts, modules, file systems, GPUs and network"
JOB_LOG = "job"


@dataclass(frozen=True, slots=True)
class Next:
    """What to type on the cluster itself; in the place of a `Launch`."""

    job: str
    push: tuple[str, ...] = ()
    fetch: str = ""
    """The command that --prepare ran behind `--`, a line for bash."""

    def steps(self, template: Path, name: str) -> list[str]:
        """The lines after `next`."""
        del template, name
        job, fetch = shlex.quote(self.job), f" -- {shlex.quote(self.fetch)}" if self.fetch else ""
        return [
            *self.push,
            "on the cluster's login node:",
            f"bash {job} --prepare{fetch}",
            f"sbatch {job}",
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmReport(Report):
    """A `Report` whose success says what this cluster is not."""

    def __str__(self) -> str:
        if self.state != "done":
            return Report.__str__(self)
        lines = [as_one(self), *figures(self.result), f"not shown here: {NOT_SHOWN}"]
        steps = self.launch.steps(self.run_dir, self.name)
        return "\n".join([*lines, *other_problems(self.problems), "", *where(self.run_dir, steps)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a session saw of its job, which is over."""

    end: End
    interrupted_by: str
    machines: Mapping[str, Machine]
    job: JobState | None
    """As slurmctld last told; None when it was never submitted."""
    found: Sequence[Problem]
    """What the session itself noticed."""
    never: Sequence[Problem]
    """Faults that were asked for and did not happen."""
    seconds: float
    work_run: Path
    """The job's own directory of this run."""
    known: Sequence[Problem] = ()
    """Warnings from before."""


def report(ended: Ended, kept: Kept, next_steps: Next) -> SlurmReport:
    """Keep, judge and tell; the run's directory is complete afterwards."""
    told = keep.status(ended.work_run)
    problems = _problems(ended, told)
    if ended.work_run.is_dir():
        problems += keep.collect(ended.work_run, kept)
    code = _exit_code(ended, problems)
    problems += [replace(each, level="note") if code else each for each in ended.never]
    code = code or (5 if ended.never else 0)
    problems += verdict.recoveries(
        {"recoveries": told.get("recoveries"), "attempt": told.get("attempts"), "state": told.get("state")}
    )
    problems += [each for each in ended.known if each.level != "error"]
    world: dict[str, Any] = told.get("world_size") or {}
    made = SlurmReport(
        name=kept.name, level="slurm", state="failed" if code else "done", exit_code=code,
        expected=int(world.get("expected") or len(ended.machines)), proven=int(world.get("proven") or 0),
        backend=str(world.get("backend") or ""), gradient_bytes=int(told.get("gradient_bytes") or 0),
        nodes=_nodes(ended, told), result=dict(told.get("result") or {}), run_dir=kept.directory,
        attempts=int(told.get("attempts") or 1), problems=tuple(problems), seconds=ended.seconds,
        places=_places(problems, kept), launch=next_steps,  # type: ignore[arg-type]
    )  # fmt: skip
    kept.event("finished", exit_code=made.exit_code)
    kept.write(keep.STATUS, made.as_json())
    return made


def _problems(ended: Ended, told: dict[str, Any]) -> list[Problem]:
    """All findings, the one that decided first."""
    found = list(ended.found)
    if ended.end == "interrupted":
        found.insert(0, Problem(code="interrupted", what=f"interrupted by {ended.interrupted_by}"))
    own = [Problem.told(each) for each in told.get("problems") or () if isinstance(each, dict)]
    if told.get("state") == "done" or any(each.level == "error" for each in found):
        own = [each for each in own if each.level != "error" or told.get("state") == "failed"]
    found += own
    if any(each.level == "error" for each in found) or ended.job is None:
        return found
    if ended.job.state != "COMPLETED" or told.get("state") != "done":
        found.append(_without_reason(ended, told))
    return found


def _without_reason(ended: Ended, told: dict[str, Any]) -> Problem:
    """Slurm ended the job, or the job ended without a verdict."""
    assert ended.job is not None
    state, tail = ended.job.state, tuple(ended.machines["master"].tail)
    if state == "TIMEOUT":
        what = "Slurm ended the job at its time limit, and it was not requeued"
        return Problem(code="slurm-time-limit", what=what, fix="ask for more with --time", log=tail)
    if state == "COMPLETED":
        return Problem(code="no-verdict", what="the job ended without a verdict on the run", log=tail)
    why = f", {ended.job.reason}" if ended.job.reason else ""
    code = f"exit code {ended.job.exit_code}" if not ended.job.signal else f"signal {ended.job.signal}"
    last = str(told.get("state") or "nothing")
    what = f"Slurm says {state} ({code}{why}), and the job's own last word was {last}"
    return Problem(code="slurm-job-failed", what=what, log=tail)


def _exit_code(ended: Ended, problems: Sequence[Problem]) -> int:
    """0, 5, 6 or 130, see `cloud.errors`."""
    if ended.end == "interrupted":
        return 130
    first = next((each for each in problems if each.level == "error"), None)
    if first is None:
        return 0
    return 6 if first.code in ("deadline-passed", "slurm-time-limit", "slurm-job-waits", "time-limit") else 5


def _nodes(ended: Ended, told: dict[str, Any]) -> tuple[NodeReport, ...]:
    by_name = {each.get("name"): each for each in told.get("nodes") or () if isinstance(each, dict)}
    made = []
    for machine in ended.machines.values():
        own = by_name.get(machine.name, {})
        state = str(own.get("state") or machine.state)
        is_final = told.get("state") in ("done", "failed")
        made.append(NodeReport(
            name=machine.name, rank=machine.rank, address=str(own.get("address") or machine.address),
            state=state if is_final or state != "running" else "stopped",
            stages=dict(own.get("stages") or machine.stages),
            last_stage=machine.failure.get("stage") or machine.stopped_in or machine.stage,
        ))  # fmt: skip
    return tuple(made)


def _places(problems: Sequence[Problem], kept: Kept) -> dict[int, str]:
    """Where a log shows each problem: the node's own, else the job's."""
    places = {}
    for index, problem in enumerate(problems):
        for name in (problem.node, JOB_LOG):
            log = kept.log(name) if name else None
            if log is not None and log.is_file() and (line := keep.line_of(log, problem, 0)):
                places[index] = f"logs/{name}.log:{line}"
                break
    return places
