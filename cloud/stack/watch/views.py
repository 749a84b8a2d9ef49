"""One machine of a stack now, from what Heat, Nova, the signals, its console and the master tell. Pure.

Where sources differ, the nearest to the machine counts: the result, the master's own view, the console,
Nova.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cloud.node.console import STAGES, node_name
from cloud.rehearse import follow

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping, Sequence

    from cloud.rehearse.follow import Machine
    from cloud.stack.api import Event, Resource, Server, Stack
    from cloud.stack.told import Told

BEFORE_THE_GATE = STAGES[: STAGES.index("train")]
ENDED = ("done", "failed", "stopped", "lost")
GONE = ("ERROR", "SHUTOFF", "DELETED", "SOFT_DELETED", "gone")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One machine now."""

    name: str
    rank: int
    address: str = ""
    machine: str = ""
    """As Nova calls it: `BUILD`, `ACTIVE` …; `planned` before it is asked for, `gone` after it was there."""
    state: str = "waiting"
    """`waiting`, `running`, `done`, `failed`, `stopped` or `lost`, as in the JSON document."""
    stage: str = ""
    is_in_stage: bool = False
    """Whether the stage has begun and not ended."""
    stages: Mapping[str, float] = field(default_factory=dict)
    """Stage -> seconds, of those that ended."""
    progress: str = ""
    """What the program last told about its training."""
    heard_s: float | None = None
    """Seconds since it was last heard of, None for never."""
    since_s: float | None = None
    """Seconds since its stage began, None where nobody knows."""
    tail: tuple[str, ...] = ()
    """Its last lines, oldest first."""

    @property
    def is_up(self) -> bool:
        """Whether the cloud has made it."""
        return self.machine == "ACTIVE"

    def as_json(self) -> dict[str, Any]:
        """One entry of `nodes`."""
        return {
            "name": self.name, "rank": self.rank, "address": self.address, "state": self.state,
            "stages": dict(self.stages), "machine": self.machine,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What was asked, as it was answered."""

    stack: Stack
    resources: Sequence[Resource] = ()
    servers: Sequence[Server] = ()
    consoles: Mapping[str, Machine] = field(default_factory=dict)
    heard: Mapping[str, float] = field(default_factory=dict)
    """Name -> seconds since its console said something new."""
    now: float = 0.0
    """By the clock that the consoles' lines were taken with."""
    master: Mapping[str, Any] | None = None
    """The master's own view over ssh (`Viewer.look`)."""
    seen: Collection[str] = ()
    """Names of machines that were there once."""
    events: Sequence[Event] = ()
    """All that Heat has told of the stack."""
    moment: dt.datetime | None = None
    """When it was, by the cloud's clock; None: whether Heat still works is not looked at."""
    answers_since: dt.datetime | None = None
    """When the cloud answered again after a silence."""


def view(rank: int, sources: Sources, ids: Mapping[str, str], told: Told) -> View:
    """Return one machine from all sources, the farthest first, so that nearer ones may correct it."""
    name = node_name(rank)
    server = next((one for one in sources.servers if one.id == ids.get(name)), None)
    known: dict[str, Any] = {"name": name, "rank": rank, "heard_s": sources.heard.get(name)}
    known["machine"] = server.status if server else "gone" if name in sources.seen else "planned"
    if server is None and name in ids:
        known["machine"] = "gone" if name in sources.seen else "BUILD"
    known["address"] = server.addresses[0] if server and server.addresses else _address(name, told)
    known |= _of_console(sources.consoles.get(name), sources.now)
    if sources.master and sources.master.get("run"):
        known |= _of_master(name, sources.master)
    if told.is_training and (known.get("stage") or "network") in BEFORE_THE_GATE:
        known |= {"state": "running", "stage": "train", "is_in_stage": True, "since_s": None}
    known |= _of_result(name, told) or _of_failure(name, told)
    if known["machine"] == "ERROR":
        known["state"] = "failed"
    return View(**known)


def _address(name: str, told: Told) -> str:
    return next((each.address for each in told.machines if each.name == name), "")


def _of_console(machine: Machine | None, now: float) -> dict[str, Any]:
    if machine is None:
        return {}
    state = "failed" if machine.failure else "running" if machine.stage else "waiting"
    if machine.stage == "finish" and machine.stage_state in ("ok", "skipped") and not machine.failure:
        state = "stopped" if machine.stopped_in else "done"
    stage = machine.failure.get("stage") or machine.stopped_in or machine.stage
    is_in_stage = machine.stage_state == "begin"
    return {
        "state": state, "stage": stage, "stages": dict(machine.stages), "progress": machine.progress,
        "is_in_stage": is_in_stage, "since_s": now - machine.began_at if is_in_stage else None,
        "tail": tuple(machine.tail),
    }  # fmt: skip


def _of_master(name: str, master: Mapping[str, Any]) -> dict[str, Any]:
    node = _named(master.get("nodes"), name)
    if not node or not node.get("stage"):
        return {}
    state = {"here": "running", "lost": "lost"}.get(str(node.get("state")))
    stage, stages = str(node["stage"]), dict(node.get("stages") or {})
    found: dict[str, Any] = {"stage": stage, "stages": stages, "is_in_stage": stage not in stages}
    if state:
        found["state"] = state
    if isinstance(node.get("heard_s"), int | float):
        found["heard_s"] = float(node["heard_s"])
    if name == "master" and master.get("lines"):
        found |= _progress(master["lines"])
    return found


def _progress(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the master's newest line tells of the training, where it tells something."""
    told = follow.progress(str(lines[-1].get("text", "")))
    return {"progress": told} if told else {}


def _of_result(name: str, told: Told) -> dict[str, Any]:
    node = _named((told.result or {}).get("nodes"), name)
    if not node:
        return {}
    return {
        "state": str(node.get("state") or "done"), "stages": dict(node.get("stages") or {}),
        "is_in_stage": False,
    }  # fmt: skip


def _of_failure(name: str, told: Told) -> dict[str, Any]:
    """What a failure that was told without a document says of a machine: it is the one, or was stopped."""
    if told.state != "failed" or told.result is not None:
        return {}
    own = next((one for one in told.problems if one.node == name), None)
    if own is None and told.is_by_others:
        return {}
    if own is None:
        return {"state": "stopped", "is_in_stage": False}
    return {"state": "failed", "stage": own.stage, "is_in_stage": False}


def _named(nodes: object, name: str) -> Mapping[str, Any] | None:
    listed = nodes if isinstance(nodes, list) else []
    return next((node for node in listed if isinstance(node, dict) and node.get("name") == name), None)


def progress_of(view: View) -> tuple[int, int]:
    """Return how far a machine is; the one that is behind has the smallest."""
    order = list(STAGES)
    return (int(view.is_up), order.index(view.stage) + 1 if view.stage in order else 0)


_BEFORE = {
    "": "not made yet",
    "planned": "not made yet",
    "BUILD": "being made",
    "ACTIVE": "no word from it yet",
    "ERROR": "failed in the cloud",
}


def before_a_word(view: View) -> str:
    """Where a machine is that has not spoken: `being made`. The one place that says so."""
    return _BEFORE.get(view.machine, view.machine.lower())


def last_heard(view: View) -> str:
    """`worker-2 (last heard in environment, 40 s ago)`."""
    if not view.is_up or not view.stage:
        return f"{view.name} ({before_a_word(view)})"
    ago = f", {view.heard_s:.0f} s ago" if view.heard_s is not None else ""
    return f"{view.name} (last heard in {view.stage}{ago})"
