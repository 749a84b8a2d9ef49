"""How following a stack ended -> the document of `--json`, and the screen that a person reads. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from cloud.errors import Interrupted, Problem
from cloud.rehearse import verdict
from cloud.stack import deadline
from cloud.stack.watch import outcome_text, reasons
from cloud.stack.watch.loop import SILENCE_S, Followed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cloud.stack.watch.loop import End
    from cloud.stack.watch.snapshot import Snapshot
    from cloud.stack.watch.views import View

State = Literal["done", "failed", "running"]
_TAIL_LINES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A stack that was followed, or is left to itself."""

    name: str
    state: State
    exit_code: int
    run_dir: Path
    program: str = "hotrun"
    """What to type."""
    nodes: tuple[View, ...] = ()
    expected: int = 0
    proven: int = 0
    backend: str = ""
    gradient_bytes: int = 0
    result: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 1
    problems: tuple[Problem, ...] = ()
    run: str = ""
    """The run that began to train, whatever became of it; empty when none did."""
    stack_status: str = ""
    is_gone: bool = False
    """Whether the stack is not there any more."""
    waiting_for: str = ""
    stays: Literal["", "ssh", "unreachable"] = ""
    """Whether results are on the machines only: a key may bring them (`ssh`), or no way leads there."""
    down: Mapping[str, Any] | None = None
    """The document of `down`, where it was asked for and done."""

    def as_json(self) -> dict[str, Any]:
        """The document of `--json`, also kept as status.json: the keys of a rehearsal's."""
        return {
            "schema": 1, "name": self.name, "level": "cloud",
            "state": self.state, "exit_code": self.exit_code,
            "world_size": {"expected": self.expected, "proven": self.proven, "backend": self.backend},
            "nodes": [node.as_json() for node in self.nodes], "result": dict(self.result),
            "run_dir": str(self.run_dir), "attempts": self.attempts,
            "problems": [problem.as_json() for problem in self.problems],
            "stack": self.stack_status, **({"down": dict(self.down)} if self.down else {}),
        }  # fmt: skip

    def __str__(self) -> str:
        return outcome_text.text(self)

    @property
    def errors(self) -> list[tuple[int, Problem]]:
        """The problems that decided, with their index."""
        return [(index, one) for index, one in enumerate(self.problems) if one.level == "error"]

    def plus(self, *problems: Problem, code: int = 5) -> Outcome:
        """The outcome with what came out afterwards: an error changes the exit code, not how it ended."""
        has_failed = any(one.level == "error" for one in problems)
        told = (replace(one, level="warning") if one.level == "error" else one for one in problems)
        return replace(
            self, problems=(*self.problems, *told), exit_code=self.exit_code or (code if has_failed else 0)
        )

    def leaving(self, why_not: str) -> Outcome:
        """The outcome of a run whose files stayed on the machines; `why_not` says why no ssh leads there."""
        return replace(self, stays="unreachable" if why_not else "ssh")

    def cut_short(self, problem: Problem) -> Outcome:
        """The outcome of a stack whose delete was interrupted; `problem` says what becomes of it now."""
        rest = (one for one in self.problems if one.code != problem.code)
        return replace(self, problems=(problem, *rest), exit_code=Interrupted.exit_code)

    def after_down(self, document: Mapping[str, Any], *, is_clean: bool) -> Outcome:
        """The outcome of a stack that was deleted; what is left of it fails a run that was done."""
        code = self.exit_code if is_clean or self.exit_code else 5
        return replace(self, down=document, is_gone=is_clean, exit_code=code)


def again(program: str, run_dir: Path, name: str) -> str:
    """Return what to type to go on with a stack: with the template that is kept, where it is."""
    kept = run_dir / "template.yml"
    return f"{program} up {kept if kept.exists() else 'TEMPLATE'} --name {name}"


def interrupted(name: str, run_dir: Path, by: str, program: str = "hotrun") -> Outcome:
    """Return what `up` ends with when it was interrupted: the stack is kept."""
    what = f"interrupted by {by or 'Ctrl-C'}; the stack {name} is kept and costs"
    fix = f"{again(program, run_dir, name)} goes on with it; {program} down {name} deletes it"
    return Outcome(
        name=name, state="running", exit_code=130, run_dir=run_dir, program=program,
        problems=(Problem(code="interrupted", what=what, fix=fix),),
    )  # fmt: skip


def judged(followed: Followed, name: str, run_dir: Path, program: str = "hotrun") -> Outcome:
    """Judge how following ended."""
    found = _problems(followed, name, program, run_dir)
    code = _exit_code(followed, found)
    if followed.last is None:
        return Outcome(
            name=name, state="failed", exit_code=code, run_dir=run_dir, program=program,
            problems=tuple(found), is_gone=followed.end == "gone",
        )  # fmt: skip
    made = picture(followed.last, name, run_dir, program)
    return replace(
        made, state="failed" if code else "done", exit_code=code, problems=tuple(found),
        is_gone=followed.end == "gone",
    )  # fmt: skip


def picture(last: Snapshot, name: str, run_dir: Path, program: str = "hotrun") -> Outcome:
    """Return what is known now, as of a run that goes on."""
    document = last.told.result or {}
    world = document.get("world_size") or {}
    return Outcome(
        name=name, state="running", exit_code=0, run_dir=run_dir, program=program, nodes=last.views,
        expected=int(world.get("expected") or len(last.views)), proven=int(world.get("proven") or 0),
        backend=str(world.get("backend") or ""), gradient_bytes=int(document.get("gradient_bytes") or 0),
        result=document.get("result") or {}, attempts=int(document.get("attempt") or 1),
        problems=last.problems, run=last.told.run if last.told.has_begun else "",
        stack_status=last.stack.status, waiting_for=last.waiting_for(),
    )  # fmt: skip


def standing(last: Snapshot, name: str, run_dir: Path, program: str = "hotrun") -> Outcome:
    """Return how a stack is now: ended as following would have judged it, else as it goes on."""
    end: End | None = None
    is_judged = last.is_told and (not last.told.is_by_others or last.master_is_gone)
    if is_judged and (last.stack.is_settled or last.told.result is not None):
        end = "told"
    elif last.has_failed:
        end = "failed"
    elif last.is_stalled:
        end = "stalled"
    if end is None:
        return picture(last, name, run_dir, program)
    return judged(Followed(end=end, last=last), name, run_dir, program)


def _problems(followed: Followed, name: str, program: str, run_dir: Path) -> list[Problem]:
    """All findings, the one that decided first."""
    last = followed.last
    if followed.end == "told" and last is not None and last.told.result is not None:
        own = list(last.told.problems)  # what consoles told of attempts that were lost is no failure
        if last.told.state == "failed" and not any(one.level == "error" for one in own):
            own.insert(0, Problem(code="run-failed", what="the master reported a failure without a reason"))
        return own + verdict.recoveries(dict(last.told.result))
    found = list(last.problems) if last else []
    if followed.end in ("told", "failed", "stalled"):
        if any(one.level == "error" for one in found):
            return found
        return [*(_of_stack(last) or _of_master(last, followed.end)), *found]
    if followed.end == "deadline":
        return [_past(last, program, name), *found]
    if followed.end == "gone":
        what = f"the stack {name} was deleted while it was followed"
        return [Problem(code="stack-gone", what=what, fix="what was fetched before is still here")]
    if followed.end == "silent":
        if followed.error is not None and 0 < followed.error.status < 500:
            return list(followed.error.problems)  # it has answered: no
        said = followed.error.problems[0].what if followed.error else ""
        what = f"the cloud has not answered for {SILENCE_S / 60:.0f} minutes; {name} is kept: {said}"
        fix = f"later: {again(program, run_dir, name)}, or {program} down {name}"
        return [Problem(code="cloud-silent", what=what, fix=fix)]
    return [*found, _master_lost(last)]


def _exit_code(followed: Followed, found: Sequence[Problem]) -> int:
    if followed.end == "deadline" or any(one.code == "deadline-passed" for one in found[:1]):
        return 6
    return 5 if any(one.level == "error" for one in found) else 0


def _of_stack(last: Snapshot | None) -> list[Problem]:
    """Heat gave up and no source says why: mostly that the master never spoke."""
    if last is None:
        return []
    if "WaitConditionTimeout" in last.stack.reason:
        return [_silent(last)]
    if last.stack.has_failed:
        sentence = reasons.plain(last.stack.reason)
        return [Problem(code="stack-failed", what=f"the stack failed: {sentence or 'Heat gives no reason'}")]
    return []


def _of_master(last: Snapshot | None, end: End) -> list[Problem]:
    """A run that ended without a result: only a master that is done has done it well."""
    if last is None or end != "told" or last.views[0].state == "done":
        return []
    master = last.views[0]
    what = f"the master {master.state}{f' in {master.stage}' if master.stage else ''} without a result"
    return [Problem(code="run-failed", what=what, node="master", stage=master.stage, log=master.tail)]


def _silent(last: Snapshot) -> Problem:
    """The master never signalled: what its console says last is all there is."""
    master = last.views[0]
    minutes = last.stack.parameters.get("boot_timeout", "")
    waited = f"within its {int(float(minutes)) // 60 or 1} min" if minutes else "in time"
    late = last.waiting_for().removeprefix("waiting for ")
    if master.stage:
        what = f"the machines were not ready {waited} after they were made: {late}"
        fix = "look at the last lines; a slow machine needs a longer --parameter boot_timeout=SECONDS"
    else:
        what = f"the master never spoke {waited} after it was made; nothing of hotrun is on its console"
        fix = (
            "its image must run cloud-init and reach the network; bare metal needs a longer "
            "--parameter boot_timeout=3600"
        )
    return Problem(
        code="master-silent", what=what, fix=fix, node="master", stage=master.stage,
        log=master.tail[-_TAIL_LINES:],
    )  # fmt: skip


def _master_lost(last: Snapshot | None) -> Problem:
    master = last.views[0] if last else None
    state = master.machine.lower() if master else "gone"
    what = f"the master is {state} and has not reported a result"
    return Problem(
        code="machine-lost", what=what, node="master", stage=master.stage if master else "",
        log=master.tail if master else (), fix="look at it in Horizon; rerun needs machines that are there",
    )  # fmt: skip


def _past(last: Snapshot | None, program: str, name: str) -> Problem:
    limit = deadline.deadline_of(last.stack) if last else None
    hours = f" of {limit.max_hours:g} h" if limit else ""
    waiting = f": {last.waiting_for()}" if last else ""
    return Problem(
        code="deadline-passed", what=f"the time{hours} is over{waiting}",
        fix=f"machines power off by themselves, which may still be charged: {program} down {name}",
    )  # fmt: skip
