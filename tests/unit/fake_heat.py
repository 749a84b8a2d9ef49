"""One stack as Heat makes, changes and deletes it, without Heat: each look is a moment that passes."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

import yaml

from cloud.errors import Problem
from cloud.stack.api import CloudError, Event, Resource, Stack

SIGNAL_KEYS = {"status", "id", "data", "reason"}  # Heat drops a body with any other, and answers 200


def refused(sentence: str, status: int = 400) -> CloudError:
    """Heat's no."""
    return CloudError(Problem(code="cloud-refused", what=f"Heat refused: {sentence}"), status=status)


@dataclass
class FakeStack:
    """A stack on its way: machines come at the first look, the end of a delete at the first look after it."""

    name: str
    content: dict[str, Any]
    given: dict[str, Any]
    tags: tuple[str, ...]
    timeout_min: int
    created: dt.datetime
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "CREATE_IN_PROGRESS"
    reason: str = "Stack CREATE started"
    signals: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    """Signal id -> reason of those that said FAILURE."""
    resources: dict[tuple[str, str], Resource] = field(default_factory=dict)
    """By parent and name."""
    events: list[Event] = field(default_factory=list)
    is_up: bool = False
    is_lost: bool = False
    """Whether its engine is gone: it stays as it is until it is deleted."""

    def __post_init__(self) -> None:
        self._numbers = itertools.count()
        self._tell(self.name, self.status, self.reason)
        for name, resource in self._wanted():
            kind = resource["type"]
            self._put(Resource(name=name, type=kind, status="INIT_COMPLETE", reason="", id=""))

    @property
    def parameters(self) -> dict[str, str]:
        """Values as Heat shows them."""
        defaults = {key: value.get("default", "") for key, value in self.content["parameters"].items()}
        own = {"OS::stack_id": self.id, "OS::stack_name": self.name, "OS::project_id": "fake"}
        return {key: str(value) for key, value in {**own, **defaults, **self.given}.items()}

    @property
    def workers(self) -> int:
        """Machines beside the master."""
        return int(self.parameters["workers"])

    @property
    def is_gone(self) -> bool:
        """Whether Heat shows it no more."""
        return self.status == "DELETE_COMPLETE"

    def shown(self) -> Stack:
        """It, as `stack` shows it."""
        outputs = {"workers": self.workers, "status": json.dumps(self.signals) if self.signals else None}
        return Stack(
            id=self.id, name=self.name, status=self.status, reason=self.reason, created=self.created, tags=self.tags,
            description=self.content.get("description", ""), parameters=self.parameters, outputs=outputs,
        )  # fmt: skip

    def look(self) -> None:
        """Let a moment pass."""
        if self.is_lost and self.status != "DELETE_IN_PROGRESS":
            return
        if self.status == "DELETE_IN_PROGRESS":
            self.resources.clear()
            self._become("DELETE_COMPLETE", "Stack DELETE completed successfully")
        elif self.status.endswith("_IN_PROGRESS") and not self.is_up:
            self.is_up = True
            self._make_all()
        elif self.status.endswith("_IN_PROGRESS"):
            self._settle()

    def change(self, parameters: dict[str, Any]) -> None:
        """Begin an update: PATCH."""
        self.given.update(parameters)
        self.is_up = False
        self._become("UPDATE_IN_PROGRESS", "Stack UPDATE started")

    def delete(self) -> None:
        """Begin to delete."""
        self._become("DELETE_IN_PROGRESS", "Stack DELETE started")

    def take(self, body: dict[str, Any]) -> None:
        """Keep a signal by its id; one with other keys is dropped."""
        if set(body) <= SIGNAL_KEYS and body.get("status") in {"SUCCESS", "FAILURE"}:
            key = str(body.get("id", len(self.signals) + 1))
            self.signals[key] = body.get("data")
            self.failed.pop(key, None)
            if body["status"] == "FAILURE":
                self.failed[key] = str(body.get("reason", ""))
            if self.is_up and self.status.endswith("_IN_PROGRESS"):
                self._settle()

    def _settle(self) -> None:
        action = self.status.partition("_")[0]
        if self.failed:
            said = next(iter(self.failed.values()))
            self._set("gate", f"{action}_FAILED", f"WaitConditionFailure: resources.gate: {said}")
            self._become(
                f"{action}_FAILED", f"Resource {action} failed: WaitConditionFailure: resources.gate: {said}"
            )
        elif self.signals or "gate" not in self.content["resources"]:
            self._set("gate", f"{action}_COMPLETE", "state changed")
            self._become(f"{action}_COMPLETE", f"Stack {action} completed successfully")

    def _make_all(self) -> None:
        """All but the gate, whose end is a signal; members of the group come and go with `workers`."""
        for name, _ in self._wanted():
            if name != "gate":
                self._set(name, "CREATE_COMPLETE", "state changed")
        members = {("worker_group", str(number)) for number in range(1, self.workers + 1)}
        for key in [key for key in self.resources if key[0] and key not in members]:
            del self.resources[key]
        for parent, name in sorted(members - set(self.resources), key=lambda key: int(key[1])):
            self._put(
                Resource(
                    name=name,
                    type="OS::Nova::Server",
                    status="INIT_COMPLETE",
                    reason="",
                    id="",
                    parent=parent,
                )
            )
            self._set(name, "CREATE_COMPLETE", "state changed", parent=parent)
        self._set("gate", "CREATE_IN_PROGRESS", "state changed")

    def _wanted(self) -> list[tuple[str, dict[str, Any]]]:
        """Resources of the template; a condition here means: with an external network."""
        has_network = bool(self.parameters.get("external_network", ""))
        return [
            (name, resource)
            for name, resource in self.content["resources"].items()
            if has_network or "condition" not in resource
        ]

    def _set(self, name: str, status: str, reason: str, parent: str = "") -> None:
        old = self.resources.get((parent, name))
        if old is None or old.status == status:
            return
        made = old.id or ("" if old.type == "OS::Heat::WaitCondition" else str(uuid.uuid4()))
        self._put(Resource(name=name, type=old.type, status=status, reason=reason, id=made, parent=parent))
        self._tell(name, status, reason)

    def _put(self, resource: Resource) -> None:
        self.resources[resource.parent, resource.name] = resource

    def _become(self, status: str, reason: str) -> None:
        self.status, self.reason = status, reason
        self._tell(self.name, status, reason)

    def _tell(self, name: str, status: str, reason: str) -> None:
        number = next(self._numbers)
        time = (self.created + dt.timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.events.append(
            Event(id=str(uuid.uuid4()), time=time, resource=name, status=status, reason=reason)
        )


def content_of(template: str) -> dict[str, Any]:
    """A template as Heat reads it."""
    try:
        content = yaml.safe_load(template)
    except yaml.YAMLError as error:
        raise refused(f"Template not in valid format: {error}") from None
    if not isinstance(content, dict) or "heat_template_version" not in content:
        raise refused("Template format version not found.")
    return content


def check_values(content: dict[str, Any], given: dict[str, Any], known: dict[str, set[str]]) -> None:
    """Heat's first findings: a parameter too many, one too few, a name that the cloud has not."""
    declared = content.get("parameters", {})
    for name in given:
        if name not in declared:
            raise refused(f"The Parameter ({name}) was not defined in template.")
    for name, parameter in declared.items():
        if name not in given and "default" not in parameter:
            raise refused(f"The Parameter ({name}) was not provided.")
    for kind, words in (
        ("image", "images"),
        ("master_flavor", "Flavor"),
        ("worker_flavor", "Flavor"),
        ("key_name", "Key"),
    ):
        value = str(given.get(kind, declared.get(kind, {}).get("default", "")))
        if value and value not in known[words]:
            raise refused(f"Error validating value '{value}': No {words} matching {{'name': '{value}'}}.")
    workers = given.get("workers", declared["workers"].get("default", 0))
    if not 0 <= int(workers) <= 254:
        raise refused("Parameter 'workers' is invalid: workers is a whole number from 0 to 254, like 4.")
