"""Stacks past their deadline -> deleted, after a try to bring their results home.

A timer runs this where nobody looks: one stack that can't be deleted does not keep the others, and nothing is
asked. Stacks whose template has no deadline are named and left alone. One that may be somebody else's is left
while it has results that are not here.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloud.errors import HotrunError, Interrupted, RunFailed
from cloud.stack import deadline, record, told
from cloud.stack import down as downing
from cloud.stack.api import machine_ids
from cloud.stack.down import unfetched

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable
    from pathlib import Path

    from cloud.stack.api import Cloud, Stack
    from cloud.stack.record import Record
    from cloud.ui import Ui

FETCH_S = 900.0  # results of some gigabytes; a stack must not live on for more
_UNKNOWN = "this computer has no record of making this stack, so it may be somebody else's"


@dataclass(frozen=True, slots=True, kw_only=True)
class One:
    """One stack that was looked at."""

    name: str
    action: str
    """`kept` (has time), `unknown` (no deadline), `due` (dry run), `deleted`, `left` (still there)."""
    what: str
    """A sentence."""
    fetched: str = ""
    """What became of its results, as a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaped:
    """How a `reap` ended."""

    stacks: tuple[One, ...]

    @property
    def exit_code(self) -> int:
        """5 when something past its deadline is still there; a dry run only tells."""
        return RunFailed.exit_code if any(one.action == "left" for one in self.stacks) else 0

    def as_json(self) -> dict[str, Any]:
        """The document of `reap --json`."""
        listed = [
            {"stack": one.name, "action": one.action, "what": one.what, "fetched": one.fetched}
            for one in self.stacks
        ]
        return {"schema": 1, "exit_code": self.exit_code, "stacks": listed}


def reap(
    cloud: Cloud, ui: Ui, runs_dir: Path, *, dry_run: bool = False, identity: Path | None = None,
    now: dt.datetime | None = None, fetch: Callable[[Cloud, Stack, Ui, Path], str] | None = None,
) -> Reaped:  # fmt: skip
    """Delete every stack of ours whose hours are over. Raises Interrupted, and CloudError without a list."""
    fetch = fetch or functools.partial(fetched, identity=identity)
    all_listed = cloud.stacks()
    moment = now or cloud.time()  # its last answer's: this computer's clock may be hours ahead
    found = []
    for listed in all_listed:
        try:
            stack = cloud.stack(listed.id)
            if stack is not None:
                found.append(_one(cloud, stack, ui, runs_dir, now=moment, dry_run=dry_run, fetch=fetch))
        except Interrupted:
            raise
        except HotrunError as error:
            found.append(One(name=listed.name, action="left", what=str(error)))
            ui.say(f"{listed.name}: {error}")
    return Reaped(stacks=tuple(found))


def _one(
    cloud: Cloud, stack: Stack, ui: Ui, runs_dir: Path, *, now: dt.datetime, dry_run: bool,
    fetch: Callable[[Cloud, Stack, Ui, Path], str],
) -> One:  # fmt: skip
    limit = deadline.deadline_of(stack)
    if limit is None:
        what = f"its template has no {deadline.PARAMETER}: left alone ({ui.program} down {stack.name})"
        return One(name=stack.name, action="unknown", what=what)
    if limit.is_past(now):
        limit = deadline.last_moment(stack, told.by(stack, cloud.resources(stack.id))) or limit
    what = deadline.sentence(limit, now)
    if not limit.is_past(now):
        return One(name=stack.name, action="kept", what=what)
    is_known = _is_known(record.of_stack(runs_dir, stack))  # before the fetch, which may make a record
    if dry_run:
        if not is_known and _lost(cloud, stack, runs_dir):
            what += f"; {_UNKNOWN}: it goes only when its results come home first"
        return One(name=stack.name, action="due", what=what)
    ui.say(f"{stack.name}: {what}")
    results = fetch(cloud, stack, ui, runs_dir)
    ui.say(f"{stack.name}: {results}")
    lost = "" if is_known else _lost(cloud, stack, runs_dir)
    if lost:
        what += f"; {lost}, and {_UNKNOWN}: {ui.program} down {stack.name} --discard deletes it"
        return One(name=stack.name, action="left", what=what, fetched=results)
    downed = downing.down(cloud, stack, ui, runs_dir, discard=True)
    if downed.exit_code:
        left = ", ".join(map(str, downed.left)) or downed.reason or downed.state
        return One(name=stack.name, action="left", what=f"{what}; still there: {left}", fetched=results)
    return One(name=stack.name, action="deleted", what=what, fetched=results)


def _is_known(kept: Record | None) -> bool:
    """Whether this computer made a stack, or changed it; that its results were fetched makes it nobody's."""
    return kept is not None and bool(kept.template_sha256 or not kept.fetched)


def _lost(cloud: Cloud, stack: Stack, runs_dir: Path) -> str:
    """What a delete now would lose, as `down` sees it of runs that are over; empty for nothing."""
    resources = cloud.resources(stack.id)
    master = machine_ids(resources).get("master", "")
    if not master or cloud.server(master) is None:
        return ""  # without its master there is nothing to fetch any more
    said, kept = told.by(stack, resources, with_workers=True), record.of_stack(runs_dir, stack)
    earlier = [run for run in said.earlier if not kept or run not in kept.fetched]
    of_earlier = f"its earlier run {', '.join(earlier)} was not fetched to this computer" if earlier else ""
    return unfetched.newest(stack, said, kept) or of_earlier


def fetched(
    cloud: Cloud, stack: Stack, ui: Ui, runs_dir: Path, *,
    identity: Path | None = None, limit_s: float = FETCH_S,
) -> str:  # fmt: skip
    """Try to bring results home, for a while; return a sentence about it and raise nothing of its failure.

    It runs beside this program's own thread, as a transfer that hangs must not keep machines alive.
    """
    from cloud.stack import fetch

    ends: list[str] = []

    def run() -> None:
        try:
            brought = fetch.fetch(cloud, stack, ui, runs_dir, identity)
        except Exception as error:  # noqa: BLE001 - whatever it is, the stack's hours are over
            ends.append(f"results not fetched: {error}")
        else:
            whole = "fetched" if brought.is_whole else "fetched in part"
            ends.append(f"results {whole}: {brought.folder}")

    beside = threading.Thread(target=run, name="fetch", daemon=True)
    beside.start()
    beside.join(limit_s)
    return ends[0] if ends else f"results not fetched within {limit_s / 60:.0f} min"


def show(reaped: Reaped, ui: Ui) -> None:
    """Print one line per stack, and a last one."""
    words = {
        "kept": "kept",
        "unknown": "left alone",
        "due": "due",
        "deleted": "deleted",
        "left": "still there",
    }
    ui.rows(
        (one.name, f"{words[one.action]}: {one.what}" + (f"; {one.fetched}" if one.fetched else ""))
        for one in reaped.stacks
    )
    actions = [one.action for one in reaped.stacks]
    if "due" in actions:
        ui.result(f"{actions.count('due')} past the deadline; nothing was deleted (--dry-run)")
    elif not reaped.stacks:
        ui.result("no stack of hotrun here")
    else:
        ui.result(
            f"{actions.count('deleted')} deleted, {actions.count('left')} past the deadline still there"
        )
