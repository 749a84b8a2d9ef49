"""A stack -> nothing: recorded, deleted, waited for, and every physical id asked for again.

    judge ─► record every id ─► delete ─► wait, again where it failed ─► ask for every id ─► Downed

Killed at any step it can be run again: the record in runs/NAME only grows, and Heat goes on by itself.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloud.errors import DeadlinePassed, Interrupted, Problem, ProblemsFound, RequestError, RunFailed
from cloud.stack import deadline, record, told
from cloud.stack.api import CloudError, machine_ids
from cloud.stack.down import kept as keeping
from cloud.stack.down import left, unfetched
from cloud.stack.down.deleting import Deleting

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cloud.stack.api import Cloud, Resource, Stack
    from cloud.stack.down.left import Left
    from cloud.stack.record import Record
    from cloud.ui import Ui

DEADLINE_S = 1800.0  # 33 machines took 35 s; bare metal takes 10 minutes to let go of one
SETTLE_S = 30.0  # Nova and Neutron take a moment longer than Heat with ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Downed:
    """How a `down` ended."""

    name: str
    stack_id: str
    state: str
    """`gone`, `failed` (Heat gave up deleting) or `deadline`."""
    asked: int
    """How many recorded ids were looked for."""
    left: tuple[Left, ...] = ()
    """What is still there."""
    reason: str = ""
    """Heat's, when it gave up."""
    lease: tuple[str, ...] = ()
    """Sentences with the command that ends each lease that the machines used."""

    @property
    def exit_code(self) -> int:
        """0 only when nothing is left."""
        if self.state == "deadline":
            return DeadlinePassed.exit_code
        return RunFailed.exit_code if self.left or self.state == "failed" else 0

    def as_json(self) -> dict[str, Any]:
        """The document of `down --json`."""
        return {
            "schema": 1, "exit_code": self.exit_code, "stack": self.name, "stack_id": self.stack_id,
            "state": self.state, "reason": self.reason, "asked": self.asked,
            "left": [one.as_json() for one in self.left], "lease": list(self.lease),
        }  # fmt: skip


def down(
    cloud: Cloud, stack: Stack, ui: Ui, runs_dir: Path, *, discard: bool, anyway: bool = False,
    deadline_s: float = DEADLINE_S, clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Downed:  # fmt: skip
    """Delete a stack in any state and look that nothing of it is left. `anyway`: also one that is not ours.

    Raises ProblemsFound (`not-ours`, `results-not-fetched`, `other-cloud`) before anything is deleted,
    Interrupted in the wait, and CloudError.
    """
    resources = _resources(cloud, stack)
    kept = keeping.of(cloud, stack, runs_dir)
    _refuse(cloud, stack, resources, kept, discard=discard, anyway=anyway, program=ui.program)
    lease = lease_lines(cloud, stack, ui.say)
    keeper = _Keeper(cloud, kept, runs_dir, ui)
    keeper.see(resources)
    ui.say(f"deleting {stack.name}, made {record.moment(stack.created)}")
    deleting = Deleting(cloud=cloud, stack=stack, ui=ui, see=keeper.see, clock=clock, sleep=sleep)
    state, reason = deleting.run(deadline_s)
    if state == "gone":
        keeper.deleted(cloud.time())
    found = _looked(
        cloud, keeper.record, ui, clock=clock, sleep=sleep, patience_s=SETTLE_S if state == "gone" else 0.0
    )
    return Downed(
        name=stack.name, stack_id=stack.id, state=state, reason=reason, left=tuple(found), lease=lease,
        asked=left.asked(keeper.record.resources),
    )  # fmt: skip


def gone(
    cloud: Cloud, name: str, ui: Ui, runs_dir: Path, *,
    clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
) -> Downed | None:  # fmt: skip
    """Look at what is remembered of a stack that Heat does not have; None when nothing is remembered.

    Raises ProblemsFound (`other-cloud`) and CloudError.
    """
    kept = record.read(runs_dir, name) if name in record.names(runs_dir) else None
    if kept is None:
        return None
    if kept.cloud != cloud.label:
        raise ProblemsFound(keeping.other_cloud(kept, cloud.label, runs_dir))
    ui.say(f"{name} is gone already; asking for the {left.asked(kept.resources)} ids that it had")
    found = _looked(cloud, kept, ui, clock=clock, sleep=sleep, patience_s=SETTLE_S)
    return Downed(
        name=name, stack_id=kept.stack_id, state="gone", asked=left.asked(kept.resources), left=tuple(found)
    )


def lease_lines(cloud: Cloud, stack: Stack, tell: Callable[[str], None]) -> tuple[str, ...]:
    """Return what to type to end each lease that a stack's machines use; empty without one.

    A cloud that does not say which it is keeps no machine alive: `tell` gets a warning.
    """
    ids = deadline.reservations(stack.parameters)
    if not ids:
        return ()
    try:
        leases = {one.lease_id: one for one in cloud.reservations() or () if one.id in ids}
    except CloudError as error:
        tell(f"warning: which lease it uses could not be asked: {error.problems[0].what}")
        leases = {}
    if not leases:
        return (
            f"reservation {', '.join(ids)} is charged until its lease ends: openstack reservation lease list",
        )
    return tuple(
        f"lease {one.lease_name} is charged until it ends"
        + (f" ({record.moment(one.end)})" if one.end else "")
        + f"; to end it now: openstack reservation lease delete {one.lease_id}"
        for one in leases.values()
    )


class _Keeper:
    """Writes down every physical id that is seen, before it can be lost."""

    def __init__(self, cloud: Cloud, kept: Record, runs_dir: Path, ui: Ui) -> None:
        self.record = kept
        self._cloud, self._runs_dir, self._ui = cloud, runs_dir, ui
        self._machines: set[str] = set()
        self._is_written = False
        self._is_warned = self._is_told = False

    def see(self, resources: Sequence[Resource]) -> set[str]:
        """Take resources and the ports of machines not seen before into the record; return all ids in it."""
        machines = [one.id for one in resources if one.machine and one.id and one.id not in self._machines]
        ports = self._ports_of(machines) if machines else []
        grown = self.record.grow([*resources, *((left.PORT, port) for port in ports)])
        if grown is not self.record or not self._is_written:
            self.record = grown
            self._write()
        return {identity for _, identity in grown.resources}

    def deleted(self, now: dt.datetime) -> None:
        """Write down that Heat has it no more, and since when."""
        self.record = dataclasses.replace(self.record, deleted=record.moment(now))
        self._write()

    def _ports_of(self, machines: Sequence[str]) -> Sequence[str]:
        """The machines' ports; none when the cloud does not say, which is asked again at the next look."""
        try:
            ports = self._cloud.ports_of(machines)
        except CloudError as error:
            if not self._is_told:
                self._ui.say(f"warning: its ports could not be asked for: {error.problems[0].what}")
            self._is_told = True
            return ()
        self._machines.update(machines)
        return ports

    def _write(self) -> None:
        kept = self.record
        try:
            record.require_place(self._runs_dir, kept.cloud, kept.name, kept.stack_id)
            record.write(self._runs_dir, kept)
            self._is_written = True
        except RequestError as error:  # neither a full disk nor a rehearsal of this name keeps machines alive
            if not self._is_warned:
                self._ui.say(f"{error.problems[0].what}: a later down could not look for these ids")
            self._is_warned = True


def _resources(cloud: Cloud, stack: Stack) -> Sequence[Resource]:
    try:
        return cloud.resources(stack.id)
    except CloudError as error:
        if error.status != 404:  # it went a moment ago
            raise
        return ()


def _refuse(
    cloud: Cloud, stack: Stack, resources: Sequence[Resource], kept: Record, *,
    discard: bool, anyway: bool, program: str,
) -> None:  # fmt: skip
    if not stack.is_ours and not anyway:
        what = f"{stack.name} was not made from a template of hotrun"
        fix = f"{program} down {stack.name} --yes, if it is really meant"
        raise ProblemsFound(Problem(code="not-ours", what=what, fix=fix))
    master = machine_ids(resources).get("master", "")
    if discard or not stack.is_ours or not master or cloud.server(master) is None:
        return  # without its master there is nothing to fetch any more
    problem = unfetched.at_stake(stack, told.by(stack, resources, with_workers=True), kept, program)
    if problem:
        raise ProblemsFound(problem)


def _looked(
    cloud: Cloud, kept: Record, ui: Ui, *, clock: Callable[[], float], sleep: Callable[[float], None],
    patience_s: float,
) -> list[Left]:  # fmt: skip
    """Ask for all recorded ids, again for a while when some are left."""
    until = clock() + patience_s
    try:
        found = left.leftovers(cloud, kept.resources, ui.say)
        while found and clock() < until:
            ui.say(f"still there: {', '.join(map(str, found[:3]))}; asking again")
            sleep(5.0)
            found = left.leftovers(cloud, [(one.type, one.id) for one in found])
    except KeyboardInterrupt:
        what = f"interrupted while looking for what is left of {kept.name}"
        raise Interrupted(
            Problem(code="interrupted", what=what, fix=f"{ui.program} down {kept.name} looks again")
        ) from None
    return found
