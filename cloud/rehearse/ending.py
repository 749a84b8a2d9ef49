"""A rehearsal that ended -> its report: takes home what the master collected, has it judged, keeps both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cloud.rehearse import keep, verdict
from cloud.rehearse.report import NodeReport, Report
from cloud.rehearse.verdict import End, Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cloud.errors import Problem
    from cloud.rehearse.follow import Machine
    from cloud.rehearse.keep import Kept
    from cloud.rehearse.prepare import Prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a session saw of its machines, which are all gone."""

    end: End
    machines: Mapping[str, Machine]
    stuck: Sequence[str]
    interrupted_by: str
    dropped: Sequence[Any]
    seconds: float
    out: frozenset[str]
    """Machines that a fault took away for good: what lies on their disks can't be read either."""
    never: Sequence[Problem]
    """Faults that were asked for and did not happen."""


def report(ended: Ended, prepared: Prepared, kept: Kept) -> Report:
    """Keep, judge and tell; the run's directory is complete afterwards."""
    attempt = None if "master" in ended.out else keep.attempt_directory(prepared.nodes[0].root)
    condition = prepared.stand_ins.condition
    status = verdict.status_of(condition, keep.status(attempt))
    evidence = Evidence(
        end=ended.end, interrupted_by=ended.interrupted_by, machines=list(ended.machines.values()),
        condition=condition, status=status, transport=prepared.transport, dropped=ended.dropped,
        stuck=ended.stuck, is_single_allowed=prepared.job.get("allow_single") == "yes",
    )  # fmt: skip
    problems = verdict.problems(evidence)
    if attempt is not None:
        problems += keep.collect(attempt, kept)
    has_failed = any(problem.level == "error" for problem in problems)
    problems += [replace(each, level="note") if has_failed else each for each in ended.never]
    problems += [problem for problem in prepared.problems if problem.level != "error"]
    made = _judged(
        verdict.exit_code(evidence, problems), status, problems, ended, prepared=prepared, kept=kept
    )
    kept.event("finished", exit_code=made.exit_code)
    kept.write(keep.STATUS, made.as_json())
    return made


def _judged(
    code: int,
    status: dict[str, Any],
    problems: list[Problem],
    ended: Ended,
    *,
    prepared: Prepared,
    kept: Kept,
) -> Report:
    world, machines = status.get("world_size", {}), ended.machines
    return Report(
        name=kept.name, level=prepared.level.name, state="failed" if code else "done", exit_code=code,
        expected=int(world.get("expected") or len(machines)), proven=int(world.get("proven") or 0),
        backend=str(world.get("backend") or ""), gradient_bytes=int(status.get("gradient_bytes") or 0),
        nodes=tuple(map(_node_report, machines.values())), result=dict(status.get("result") or {}),
        run_dir=kept.directory, attempts=int(status.get("attempt") or 1), problems=tuple(problems),
        seconds=ended.seconds, places=_places(problems, machines, kept), launch=prepared.launch,
    )  # fmt: skip


def _places(problems: Sequence[Problem], machines: Mapping[str, Machine], kept: Kept) -> dict[int, str]:
    """Where the log shows each problem."""
    places = {}
    for index, problem in enumerate(problems):
        machine = machines.get(problem.node)
        if machine is None or not kept.log(machine.name).exists():
            continue
        line = keep.line_of(kept.log(machine.name), problem, machine.failure_line or machine.lines)
        places[index] = f"logs/{machine.name}.log:{max(1, line)}"
    return places


def _node_report(machine: Machine) -> NodeReport:
    last = machine.failure.get("stage") or machine.stopped_in or machine.stage
    return NodeReport(
        name=machine.name, rank=machine.rank, address=machine.address, state=machine.state,
        stages=dict(machine.stages), last_stage=last,
    )  # fmt: skip
