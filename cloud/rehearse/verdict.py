"""What machines, Heat's wait condition and the master's status document say -> problems, exit code. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

from cloud.errors import Problem
from cloud.rehearse.follow import BOOT, Machine
from cloud.rehearse.returns import ended_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.rehearse.signals import WaitCondition

_DEADLINES = ("deadline", "deadline-passed")  # a stage's own, and the rehearsal's

End = Literal["ended", "interrupted", "deadline", "stuck"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that a rehearsal knows when its machines are gone."""

    end: End
    interrupted_by: str
    machines: Sequence[Machine]
    condition: WaitCondition
    status: dict[str, Any]
    """The master's status document: told to Heat, else found in its root; empty without one."""
    transport: str
    is_single_allowed: bool
    dropped: Sequence[Any]
    """Bodies of signals that Heat would have dropped."""
    stuck: Sequence[str] = ()
    """Machines that had to be ended."""


def problems(evidence: Evidence) -> list[Problem]:
    """All findings, the one that decided first."""
    found = _told(evidence)
    if evidence.end == "interrupted":
        found.insert(0, Problem(code="interrupted", what=f"interrupted by {evidence.interrupted_by}"))
    if evidence.end == "deadline":
        found.insert(
            0, Problem(code="deadline-passed", what=f"the time is over: {_waiting_for(evidence.machines)}")
        )
    if evidence.end == "ended" and not any(each.level == "error" for each in found):
        found += _contradictions(evidence)
    if evidence.stuck:
        names = ", ".join(evidence.stuck)
        what = f"{names} did not end after the others and had to be ended"
        found.append(Problem(code="machine-did-not-end", what=what, node=evidence.stuck[0]))
    return found + _signal_problems(evidence) + recoveries(evidence.status)


def exit_code(evidence: Evidence, found: Sequence[Problem]) -> int:
    """0, 5, 6 or 130, see `cloud.errors`."""
    if evidence.end == "interrupted":
        return 130
    if evidence.end == "deadline" or any(problem.code in _DEADLINES for problem in found[:1]):
        return 6
    return 5 if any(problem.level == "error" for problem in found) else 0


def recoveries(status: dict[str, Any]) -> list[Problem]:
    """A note for each attempt that was lost and followed by another."""
    told = [raw for raw in status.get("recoveries") or () if isinstance(raw, dict)]
    attempts = max(int(status.get("attempt") or 1), len(told) + 1)
    is_done = status.get("state") == "done"
    return [_recovery(raw, number, attempts, is_done=is_done) for number, raw in enumerate(told, 2)]


def _recovery(raw: dict[str, Any], number: int, attempts: int, *, is_done: bool) -> Problem:
    node, stage = str(raw.get("node") or ""), str(raw.get("stage") or "")
    what = str(raw.get("what") or f"{node or 'a machine'} was lost{f' in {stage}' if stage else ''}")
    if node and node not in what:
        what = f"{node}: {what}"
    resumed = PurePath(str(raw.get("resumed") or "")).stem
    how = f"went on from checkpoint {resumed}" if resumed else "began again"
    sentence = f"{what}; all machines {how} (attempt {number} of {attempts})"
    code = "recovered" if is_done else "tried-again"
    return Problem(code=code, level="note", what=sentence, node=node, stage=stage)


def status_of(condition: WaitCondition, written: dict[str, Any]) -> dict[str, Any]:
    """The status document: as `result` told Heat, else as the master wrote it, else what any signal told."""
    result, gate, *others = (condition.data.get(identity) for identity in ("result", "gate", *condition.data))
    told = [document for document in (result, written, gate, *others) if isinstance(document, dict)]
    return next((document for document in told if document.get("state") in ("done", "failed")), {})


def _told(evidence: Evidence) -> list[Problem]:
    """What the master judged; when it could not, what the consoles and exit codes show."""
    told = [Problem.told(raw) for raw in evidence.status.get("problems", []) if isinstance(raw, dict)]
    killed = [_killed(machine) for machine in evidence.machines if machine.was_killed]
    if any(problem.node == "master" for problem in killed):  # what a worker told then is only that it lost it
        return killed + told
    if any(problem.level == "error" for problem in told) or evidence.end == "interrupted":
        return told
    if evidence.status.get("state") == "done" and not killed:
        return told
    boots = [machine for machine in evidence.machines if machine.failure.get("stage") == BOOT]
    failed = boots or sorted(evidence.machines, key=lambda machine: bool(machine.rank))
    own = [problem for machine in failed if (problem := machine.problem()) is not None]
    return told + killed + own


def _contradictions(evidence: Evidence) -> list[Problem]:
    """Nobody reports a problem; the run counts only if everything that it needs is there."""
    unclean = [machine for machine in evidence.machines if machine.exit_code != 0]
    if unclean:
        named = ", ".join(
            f"{machine.name} {'never started' if machine.exit_code is None else f'with {machine.exit_code}'}"
            for machine in unclean
        )
        first = unclean[0]
        what = f"ended without a reason: {named}"
        return [
            Problem(
                code="ended-without-reason",
                what=what,
                node=first.name,
                stage=first.stage,
                log=tuple(first.tail),
            )
        ]
    if evidence.status.get("state") != "done":
        what = "the master ended without a verdict on the run"
        return [Problem(code="no-verdict", what=what, node="master", log=tuple(evidence.machines[0].tail))]
    world = evidence.status.get("world_size", {})
    proven, expected = int(world.get("proven", 0)), int(world.get("expected", len(evidence.machines)))
    if proven < expected and not evidence.is_single_allowed:
        what = f"the machines did not train as one: world size {proven} of {expected}"
        return [Problem(code="not-distributed", what=what)]
    if evidence.transport != "NO_SIGNAL" and evidence.condition.statuses.get("gate") != "SUCCESS":
        what = "the master never told Heat that all machines passed the gate; a stack would wait in vain"
        return [Problem(code="gate-not-signalled", what=what, node="master")]
    return []


def _signal_problems(evidence: Evidence) -> list[Problem]:
    found = []
    for identity in evidence.condition.unstorable:
        what = f"signal {identity}: its reason can't be stored by Heat's database; a real stack would hang"
        found.append(Problem(code="signal-unstorable", what=what, node="master"))
    if evidence.dropped:
        keys = ", ".join(sorted(evidence.dropped[0])) if isinstance(evidence.dropped[0], dict) else "no map"
        what = f"Heat would have dropped {len(evidence.dropped)} signals without a word ({keys})"
        found.append(Problem(code="signal-dropped", level="warning", what=what, node="master"))
    return found


def _killed(machine: Machine) -> Problem:
    number = ended_by(machine.exit_code or 0)
    how = f"was ended by {number.name}" if number else f"ended with exit code {machine.exit_code}"
    where = f" in {machine.stage}" if machine.stage else ""
    where += f", after it had come back {machine.returns} times" if machine.returns else ""
    return Problem(
        code="machine-lost", what=f"{machine.name}: its node program {how}{where}", node=machine.name,
        stage=machine.stage, log=tuple(machine.tail),
    )  # fmt: skip


def _waiting_for(machines: Sequence[Machine]) -> str:
    late = [machine for machine in machines if machine.state in ("running", "waiting", "stopped")]
    named = ", ".join(f"{machine.name} (in {machine.stage or 'no stage yet'})" for machine in late[:5])
    return f"waiting for {named}" if named else "nothing ended in time"
