"""An ended run -> another one on the machines that exist, with a new ref, arguments or number of workers.

Only parameters are sent (PATCH), which Heat writes into the machines' metadata in place: `rerun` counts up,
and every machine that stands by sees it within seconds. Nothing is replaced; what is shut off is started.
"""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloud import repository
from cloud.errors import Problem, ProblemsFound, RequestError
from cloud.model import Job
from cloud.node.console import node_name
from cloud.request import addresses, rules
from cloud.stack import deadline, record
from cloud.stack import told as told_
from cloud.stack.api import machine_ids
from cloud.stack.change import changing, settle
from cloud.stack.change.starting import Starting
from cloud.stack.down import kept as keeping
from cloud.stack.down import unfetched

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cloud.stack.api import Cloud, Resource, Stack
    from cloud.stack.record import Record
    from cloud.stack.told import Told
    from cloud.ui import Ui

COUNT, REF, ARGS = "rerun", "rerun_ref", "rerun_args"
MAX_ARGS_CHARACTERS = 255  # of a value of a machine's metadata, Nova's schema
NO_ARGS = " "  # empty means: those of the template
GATE, HANDLE = "gate", "gate_handle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What is asked for; None: as it was."""

    ref: str | None = None
    """Branch, tag or commit."""
    args: str | None = None
    """Arguments of the program as shell words; empty for none."""
    workers: int | None = None
    anyway: bool = False
    """Also when the results of the run before were not fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A rerun that the cloud has taken."""

    name: str
    number: int
    """The rerun's: its signals are `gate-N` and `result-N`."""
    ref: str
    """What it runs: a commit where it could be resolved."""
    args: str
    workers: int
    started: tuple[str, ...] = ()
    """Machines that were shut off and were started."""

    def as_json(self) -> dict[str, Any]:
        """The document of `rerun --detach --json`."""
        return {
            "schema": 1, "exit_code": 0, "stack": self.name, "rerun": self.number, "ref": self.ref,
            "args": self.args, "workers": self.workers, "started": list(self.started),
        }  # fmt: skip


def begin(
    cloud: Cloud, stack: Stack, asked: Rerun, ui: Ui, runs_dir: Path, *,
    is_followed: bool = False, clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Begun:  # fmt: skip
    """Ask for another run; returns when the cloud has taken it and no machine powers off any more.

    `is_followed`: returns at once, and looks after those machines beside what follows.
    Raises RequestError for a ref or arguments that can't be, ProblemsFound (`not-ours`, `template-too-old`,
    `stack-being-made`, `run-not-over`, `deadline-over`, `results-not-fetched`, `ref-not-found`,
    `quota-too-small` …) before anything is changed; RunFailed `heat-stalled`; Interrupted.
    """
    changing.require_ours(stack)
    args = _args(asked.args)
    _require_parameters(stack, ui.program)
    changing.require_made(cloud, stack, record.directory(runs_dir, stack.name), ui.program)
    stack = settle.settled(cloud, stack, ui, clock=clock, sleep=sleep)
    resources = cloud.resources(stack.id)
    told = told_.by(stack, resources)
    _refuse(stack, told, ui.program, cloud.time())
    if not asked.anyway:
        _require_fetched(stack, told, keeping.of(cloud, stack, runs_dir), ui.program)
    if asked.workers is not None:
        changing.require_room(cloud, stack, asked.workers)
    ref = _resolved(stack, asked.ref, ui)
    keeping.written(cloud, stack, resources, runs_dir)
    number = stack.rerun + 1
    wanted: dict[str, Any] = {COUNT: number}
    wanted |= {REF: ref} if ref is not None else {}
    wanted |= {ARGS: args} if args is not None else {}
    wanted |= {"workers": asked.workers} if asked.workers is not None else {}
    _forgive(cloud, stack, resources)
    cloud.update(stack, wanted)
    workers = stack.workers if asked.workers is None else asked.workers
    staying = {node_name(rank) for rank in range(workers + 1)}
    names = {identity: name for name, identity in machine_ids(resources).items() if name in staying}
    starting = Starting(
        cloud=cloud, stack=stack, resources=resources, names=names, may_power_off=told.state != "failed",
        ui=ui, clock=clock, sleep=sleep,
    )  # fmt: skip
    started = starting.run_beside() if is_followed else starting.run()
    return _begun(stack, wanted, workers, started)


def _begun(stack: Stack, wanted: dict[str, Any], workers: int, started: tuple[str, ...]) -> Begun:
    now = {**stack.parameters, **{key: str(value) for key, value in wanted.items()}}
    args = now.get(ARGS, "") or now.get("args", "")
    ref = now.get(REF, "") or now.get("ref", "")
    return Begun(
        name=stack.name, number=wanted[COUNT], ref=ref, args=args.strip(), workers=workers, started=started
    )


def _args(args: str | None) -> str | None:
    """The parameter's value; raises RequestError for what machines could not take."""
    if args is None:
        return None
    where = "flag --args"
    if len(args) > MAX_ARGS_CHARACTERS:
        what = f"args has {len(args)} characters, but a machine that exists takes {MAX_ARGS_CHARACTERS}"
        fix = "put the rest into a file of the repository, or generate a new template with these arguments"
        raise RequestError(Problem(code="value-too-long", what=what, where=where, fix=fix))
    try:
        rules.words(args)
    except rules.Refused as refused:
        raise RequestError(
            Problem(code=refused.code, what=f"args {refused.why}", where=where, fix=refused.fix)
        ) from refused
    return args if shlex.split(args) else NO_ARGS


def _require_parameters(stack: Stack, program: str) -> None:
    if COUNT in stack.parameters:
        return
    what = f"{stack.name} was made from an older template, whose machines can't be asked to run again"
    fix = f"generate it anew; then {program} down {stack.name}, and {program} up with the new one"
    raise ProblemsFound(Problem(code="template-too-old", what=what, fix=fix))


def _refuse(stack: Stack, told: Told, program: str, now: dt.datetime) -> None:
    name = stack.name
    is_pending = changing.is_pending(stack, told)
    if is_pending or (not told.is_over and (told.state or not stack.is_silent)):
        doing = (
            "trains now" if told.state == "running" and not is_pending else "has not told how its run ended"
        )
        what = f"{name} {doing}, and only an ended run can be followed by another"
        fix = (
            f"wait for it: {program} status {name}; for more or fewer workers now: {program} resize {name} N"
        )
        raise ProblemsFound(Problem(code="run-not-over", what=what, fix=fix))
    limit = deadline.deadline_of(stack)
    if limit is not None and limit.is_past(now):
        over = deadline.sentence(limit, now)
        what = f"the machines of {name} would power off at once: {over}"
        fix = f"{program} down {name}, then {program} up with more --max-hours"
        raise ProblemsFound(Problem(code="deadline-over", what=what, fix=fix))


def _resolved(stack: Stack, ref: str | None, ui: Ui) -> str | None:
    """The commit that a ref means on the repository's host, the ref itself where the host says nothing."""
    if ref is None:
        return None
    where = "flag --ref"
    try:
        ref = addresses.ref(ref)
    except rules.Refused as refused:
        raise RequestError(
            Problem(code=refused.code, what=f"ref {refused.why}", where=where, fix=refused.fix)
        ) from refused
    get = stack.parameters.get
    job = Job(
        repo=get("repo", ""), ref=ref, requirements=get("requirements", "."),
        entrypoint=get("entrypoint", ""), engine=get("engine", "auto"),
    )  # fmt: skip
    ui.say(f"asking {job.repo} for {ref or 'its default branch'}")
    job, findings = repository.inspect(job, stack.workers + 1)
    errors = [one for one in findings.problems if one.level == "error"]
    if errors:
        raise ProblemsFound(*errors)
    for one in findings.problems:
        ui.say(f"{one.level}: {one.what}")
    if job.commit:
        age = f", {findings.age}" if findings.age else ""
        ui.say(f"commit {job.commit[:7]} ({findings.branch or ref}{age})")
    return job.pinned_ref


def _require_fetched(stack: Stack, told: Told, kept: Record, program: str) -> None:
    """Every run keeps a directory of its own on the master, but `fetch` by itself brings the newest."""
    what = unfetched.newest(stack, told, kept)
    if what:
        name = stack.name
        fix = f"{program} fetch {name}, then {program} rerun {name}; or leave them on the master, where "
        fix += f"fetch --run {told.run or 'ID'} finds them: {program} rerun {name} --anyway"
        raise ProblemsFound(Problem(code=unfetched.CODE, what=what, fix=fix))


def _forgive(cloud: Cloud, stack: Stack, resources: Sequence[Resource]) -> None:
    """Take back the failures that a failed gate holds: they would fail the update within seconds.

    The handle keeps every signal; one with the same id and data, but SUCCESS, takes the place of the old one.
    What the master told stays as it is, and the next run's signals have ids of their own.
    """
    gate = next((one for one in resources if one.name == GATE and not one.parent), None)
    if gate is None or not gate.status.endswith("_FAILED"):
        return
    for identity, data in told_.signals(stack).items():
        details = {"id": identity, "status": "SUCCESS", "reason": "a new run was asked for", "data": data}
        cloud.signal(stack, HANDLE, details)
