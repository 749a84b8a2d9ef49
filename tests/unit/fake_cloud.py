"""A cloud in this process that follows the Protocol of cloud/stack/api.py; test_cloud_contract.py holds it to the real one.

cloud = FakeCloud(); cloud.create("digits", template, {...}, timeout_min=60, tags=["hotrun"])
cloud.stack("digits")                      each look is a moment: machines come at the first
cloud.gate("digits"), cloud.fails("digits", "worker-1: no room")       what the master signals
cloud.faults["resources"] = [error, …]     the next calls of that method raise them
cloud.calls                                names of the methods called so far
"""
# ruff: noqa: D102 - api.py says what the methods do

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any

import yaml

from cloud.stack.api import Port, Resource, Server, Stack
from tests.unit.fake_heat import FakeStack, check_values, content_of, refused
from tests.unit.fake_place import FakePlace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cloud.stack.api import Cloud, Event

START = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)
INSIDE_HEAT = {"OS::Heat::WaitCondition", "OS::Heat::WaitConditionHandle", "OS::Heat::RandomString"}


class FakeCloud(FakePlace):
    """One project with room for everything; attributes may be set to change what it has."""

    label = "fake / RegionOne / project demo"
    is_application_credential = False

    def __init__(self, now: dt.datetime = START) -> None:
        super().__init__()
        self.now = now
        self.made: dict[str, FakeStack] = {}
        """By id, deleted ones too."""
        self.stays: set[str] = set()
        """Physical ids that survive a delete."""
        self.consoles: dict[str, str] = {}
        self.shut_off: set[str] = set()
        self.building: set[str] = set()  # ids of machines that Nova has not made yet
        self.broken: dict[str, str] = {}
        """Machine id -> Nova's sentence: it is in ERROR."""

    # what tests do to it

    def gate(self, name: str, identifier: str = "gate", **data: Any) -> None:
        """The master's `gate` signal: the machines have met."""
        found = self._living(name)
        machines = [
            [entry.machine, "10.8.0.2", "ssh-ed25519 AAAA"]
            for entry in found.resources.values()
            if entry.machine
        ]
        told = {
            "state": "running",
            "server": self._master(found),
            "run": "r1",
            "problems": [],
            "machines": machines,
        }
        found.take(
            {"status": "SUCCESS", "id": identifier, "data": {**told, **data}, "reason": "master: ready"}
        )

    def fails(self, name: str, reason: str, identifier: str = "gate", **data: Any) -> None:
        """The master's signal of a failure."""
        found = self._living(name)
        told = {"state": "failed", "server": self._master(found), "run": "r1", "problems": [], "machines": []}
        found.take({"status": "FAILURE", "id": identifier, "data": {**told, **data}, "reason": reason})

    def result(self, name: str, identifier: str = "result", **data: Any) -> None:
        """The master's `result` signal."""
        found = self._living(name)
        told = {"server": self._master(found), "run": "r1", **data}
        found.take({"status": "SUCCESS", "id": identifier, "data": told, "reason": "master: done"})

    # the Protocol

    def time(self) -> dt.datetime:
        return self.now

    def heat_version(self) -> str:
        return self._called("heat_version") or "27.0.1"

    def validate(self, template: str) -> None:
        self._called("validate")
        content_of(template)

    def preview(self, name: str, template: str, parameters: Mapping[str, Any]) -> int:
        self._called("preview")
        made = self._new(name, template, parameters, 60, ())
        return len(made.resources) - ("worker_group" in made.content["resources"]) + made.workers

    def create(
        self, name: str, template: str, parameters: Mapping[str, Any], *, timeout_min: int, tags: Sequence[str]
    ) -> str:  # fmt: skip
        self._called("create")
        made = self._new(name, template, parameters, timeout_min, tags)
        self.made[made.id] = made
        return made.id

    def update(self, stack: Stack, parameters: Mapping[str, Any]) -> None:
        self._called("update")
        found = self._living(stack.id)
        check_values(found.content, {**found.given, **parameters}, self._known())
        found.change(dict(parameters))

    def signal(self, stack: Stack, resource: str, details: Mapping[str, Any]) -> None:
        self._called("signal")
        found = self._living(stack.id)
        if ("", resource) not in found.resources:
            raise refused(f"The Resource ({resource}) could not be found in Stack {stack.name}.", 404)
        found.take(dict(details))

    def delete(self, stack_id: str) -> None:
        self._called("delete")
        found = self._there(stack_id)
        if found is not None:
            found.delete()

    def stack(self, name_or_id: str) -> Stack | None:
        self._called("stack")
        found = self._there(name_or_id)
        if found is None:
            return None
        shown = found.shown()
        found.look()
        return shown

    def stacks(self) -> list[Stack]:
        self._called("stacks")
        shown = [made.shown() for made in self.made.values() if not made.is_gone]
        bare = [
            Stack(id=s.id, name=s.name, status=s.status, reason=s.reason, created=s.created, tags=s.tags,
                  description="" if s.tags else s.description)
            for s in shown if s.is_ours
        ]  # fmt: skip
        return sorted(bare, key=lambda stack: stack.created, reverse=True)

    def template(self, stack_id: str) -> str:
        self._called("template")
        return yaml.safe_dump(self._living(stack_id).content, sort_keys=False, allow_unicode=True)

    def resources(self, stack_id: str) -> list[Resource]:
        self._called("resources")
        return list(self._living(stack_id).resources.values())

    def events(self, stack_id: str) -> list[Event]:
        self._called("events")
        return list(self._living(stack_id).events)

    def server(self, server_id: str) -> Server | None:
        self._called("server")
        return next((server for server in self._machines() if server.id == server_id), None)

    def servers(self, stack: Stack, resources: Sequence[Resource] | None = None) -> list[Server]:
        self._called("servers")
        known = self._living(stack.id).resources.values() if resources is None else resources
        own = {entry.id for entry in known}
        return [server for server in self._machines() if server.id in own]

    def console(self, server_id: str, lines: int = 200) -> str:
        self._called("console")
        return "\n".join(self.consoles.get(server_id, "").splitlines()[-lines:])

    def start_server(self, server_id: str) -> None:
        self._called("start_server")
        self.shut_off.discard(server_id)

    def ports_of(self, server_ids: Sequence[str]) -> list[str]:
        self._called("ports_of")
        return [f"port-{machine.id}" for machine in self._machines() if machine.id in server_ids]

    def ports_on(self, network_id: str) -> list[Port]:
        self._called("ports_on")
        del network_id
        return [
            Port(id=f"port-{m.id}", name="", device_id=m.id, device_owner="compute:nova")
            for m in self._machines()
        ]

    def exists(self, resource_type: str, physical_id: str) -> bool:
        self._called("exists")
        if resource_type == "OS::Neutron::Port" and physical_id.startswith("port-"):
            physical_id = physical_id.removeprefix("port-")
        living = {entry.id for made in self.made.values() for entry in made.resources.values() if entry.id}
        there = living | {made.id for made in self.made.values() if not made.is_gone} | self.stays
        return resource_type not in INSIDE_HEAT and physical_id in there

    # inside

    def _new(
        self, name: str, template: str, parameters: Mapping[str, Any], timeout_min: int, tags: Sequence[str]
    ) -> FakeStack:
        content = content_of(template)
        check_values(content, dict(parameters), self._known())
        if self._there(name) is not None:
            raise refused(f"The Stack ({name}) already exists.", 409)
        return FakeStack(
            name, content, dict(parameters), tuple(tags), timeout_min, self.now, id=str(uuid.uuid4())
        )

    def _there(self, name_or_id: str) -> FakeStack | None:
        living = (made for made in self.made.values() if not made.is_gone)
        return next((made for made in living if name_or_id in {made.id, made.name}), None)

    def _living(self, name_or_id: str) -> FakeStack:
        found = self._there(name_or_id)
        if found is None:
            raise refused(f"The Stack ({name_or_id}) could not be found.", 404)
        return found

    def _master(self, stack: FakeStack) -> str:
        return next((entry.id for entry in stack.resources.values() if entry.machine == "master"), "")

    def _machines(self) -> list[Server]:
        return [
            self._machine(made, entry)
            for made in self.made.values()
            for entry in sorted(made.resources.values(), key=lambda one: int(one.name) if one.parent else 0)
            if entry.machine and entry.id
        ]

    def _machine(self, stack: FakeStack, entry: Resource) -> Server:
        rank = int(entry.name) if entry.parent else 0
        told = {"rank": str(rank), "workers": str(stack.workers)}
        told |= {key: stack.parameters.get(f"rerun_{key}", "") for key in ("ref", "args")}
        told["rerun"] = stack.parameters.get("rerun", "0")
        is_off, fault = entry.id in self.shut_off, self.broken.get(entry.id, "")
        state = (
            "ERROR" if fault else "SHUTOFF" if is_off else "BUILD" if entry.id in self.building else "ACTIVE"
        )
        return Server(
            id=entry.id, name=f"{stack.name}-{entry.machine}", status=state,
            fault=fault, metadata={f"hotrun_{key}": value for key, value in told.items()}, addresses=(f"10.8.0.{rank + 2}",),
        )  # fmt: skip


if TYPE_CHECKING:

    def _follows(fake: FakeCloud) -> Cloud:
        """Mypy's proof that nothing of the Protocol is missing."""
        return fake
