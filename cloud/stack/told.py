"""What nodes told Heat: a stack's output `status` -> gate, result, machines. Pure.

The handle keeps every signal that it ever got, those of servers that are gone too. So only data whose
`server` is the master's id of today counts, and of these the highest run: `gate`, `result`, then `gate-N`,
`result-N` after the Nth rerun. What another machine of today tells, whatever its id, is its own trouble, and
belongs to the run that its data's `rerun` names.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cloud.errors import Problem
from cloud.stack.api import machine_ids

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from cloud.stack.api import Resource, Stack

OUTPUT = "status"
_IDENTITY = re.compile(r"(gate|result)(?:-([1-9][0-9]{0,8}))?")
_HOST_KEY = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/=]+")

State = Literal["", "running", "done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldMachine:
    """A machine as the master told of it."""

    name: str
    address: str
    host_key: str
    """`ssh-ed25519 AAAA…`; empty where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is believed of the signals; empty when there is none yet."""

    number: int = 0
    """Of the rerun, 0 for the first run."""
    run: str = ""
    """The run id, as in `runs/RUN/ATTEMPT` on the master."""
    gate: Mapping[str, Any] | None = None
    """The data of this run's `gate`."""
    result: Mapping[str, Any] | None = None
    """The data of this run's `result`: the document of status.json."""
    machines: tuple[ToldMachine, ...] = ()
    """Of the newest gate that had them, whatever run: host keys outlive a rerun."""
    others: tuple[Problem, ...] = ()
    """What other machines of today told themselves, because they had lost the master or never reached it."""
    earlier: tuple[str, ...] = ()
    """Runs before this one that came to train under the same master, the first first."""
    stale: tuple[str, ...] = ()
    """Ids of signals that were not believed: a server's that is gone, or without one."""

    @property
    def state(self) -> State:
        """`done` or `failed` by the result; `failed` by a machine that lost the master; else by the gate."""
        if self.result is not None:
            return "done" if self.result.get("state") == "done" else "failed"
        if self.others or (self.gate is not None and self.gate.get("state") == "failed"):
            return "failed"
        return "running" if self.gate is not None else ""

    @property
    def is_training(self) -> bool:
        """Whether the master said that this run trains, and nothing since."""
        return self.result is None and self.gate is not None and self.gate.get("state") == "running"

    @property
    def has_begun(self) -> bool:
        """Whether this run came to train, so that it may have left results."""
        return self.result is not None or self.is_training

    @property
    def is_by_others(self) -> bool:
        """Whether it has failed only by what others tell; the master may go on without them."""
        return self.result is None and bool(self.others) and (self.gate is None or self.is_training)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of this run."""
        return self.state in ("done", "failed")

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What the master judged, the first first."""
        return (*_problems(self.result or self.gate or {}), *(self.others if self.result is None else ()))

    def host_key(self, name: str) -> str:
        """The host key of a machine, empty when it is not known."""
        return next((machine.host_key for machine in self.machines if machine.name == name), "")


def by(stack: Stack, resources: Iterable[Resource], *, with_workers: bool = False) -> Told:
    """Return what the machines of these resources told; `with_workers`: their own troubles too."""
    ids = machine_ids(resources)
    master_id = ids.pop("master", "")
    return read(stack, master_id, ids.values() if with_workers else ())


def read(stack: Stack, master_id: str, others: Collection[str] = ()) -> Told:
    """Return what the stack's own machines told.

    `master_id`: the master's physical id today; empty believes nothing. `others`: those of the workers, whose
    word counts where they lost the master or never reached it.
    """
    own: dict[int, dict[str, Mapping[str, Any]]] = {}
    beside, stale = [], []
    for identity, data in signals(stack).items():
        matched = _IDENTITY.fullmatch(identity)
        server = data.get("server") if isinstance(data, dict) else None
        if matched and master_id and server == master_id:
            own.setdefault(int(matched[2] or 0), {})[matched[1]] = data
        elif server and server in (*others, master_id):
            beside.append(data)
        else:
            stale.append(identity)
    number = max((*own, *map(_rerun, beside)), default=0)
    gate, result = (own.get(number, {}).get(kind) for kind in ("gate", "result"))
    run = str((result or gate or {}).get("run") or "")
    told = [each for data in beside if _is_of(data, number, run) for each in _problems(data)]
    gates = [own[each]["gate"] for each in sorted(own, reverse=True) if "gate" in own[each]]
    return Told(
        number=number, run=run, gate=gate, result=result, others=tuple(told), stale=tuple(stale),
        earlier=tuple(_begun(own, before=number)),
        machines=next((listed for each in gates if (listed := _machines(each))), ()),
    )  # fmt: skip


def _begun(own: Mapping[int, Mapping[str, Mapping[str, Any]]], before: int) -> Iterator[str]:
    """Ids of runs that have a result, or a gate that let them train; each once."""
    seen: set[str] = set()
    for number in sorted(each for each in own if each < before):
        gate, result = own[number].get("gate"), own[number].get("result")
        run = str((result or gate or {}).get("run") or "")
        has_begun = result is not None or (gate or {}).get("state") == "running"
        if has_begun and run not in seen:
            seen.add(run)
            yield run


def _rerun(data: Mapping[str, Any]) -> int:
    """The number of the rerun that a machine speaks of; machines of older templates tell none."""
    number = data.get("rerun")
    return number if isinstance(number, int) and number > 0 else 0


def _is_of(data: Mapping[str, Any], number: int, run: str) -> bool:
    """Whether a machine speaks of this run; one that never reached the master knows no run id."""
    return _rerun(data) == number and (not run or data.get("run") in (run, "", None))


def _problems(document: Mapping[str, Any]) -> list[Problem]:
    listed = document.get("problems")
    return [Problem.told(raw) for raw in listed if isinstance(raw, dict)] if isinstance(listed, list) else []


def signals(stack: Stack) -> dict[str, Any]:
    """Return id -> data of all signals; empty where there is none, or no such output."""
    value = stack.outputs.get(OUTPUT)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def _machines(gate: Mapping[str, Any]) -> tuple[ToldMachine, ...]:
    """What comes from a machine is looked at: a host key that is none would become lines of known_hosts."""
    listed = gate.get("machines")
    found = []
    for each in listed if isinstance(listed, list) else []:
        if not isinstance(each, list) or len(each) != 3 or not all(isinstance(one, str) for one in each):
            continue
        name, address, key = each
        found.append(
            ToldMachine(name=name, address=address, host_key=key if _HOST_KEY.fullmatch(key) else "")
        )
    return tuple(found)
