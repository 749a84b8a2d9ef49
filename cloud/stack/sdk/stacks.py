"""Stacks of Heat: made, changed, read, deleted. Every request goes by Heat's own REST paths.

Updates are PATCH: PUT resets every parameter that is not given.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cloud.errors import Problem
from cloud.stack.api import CloudError, Event, Resource, Stack
from cloud.stack.sdk.calls import Api
from cloud.stack.sdk.heat_json import event_of, resource_of, stack_of, text_of
from cloud.stack.sdk.patience import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HEAT = "orchestration"
DEPTH = 2  # the stack, the group's stack inside it
HIDDEN = "******"  # what Heat shows of a hidden parameter
CREDENTIAL = "application-credential"


class Stacks(Api):
    """What Heat is asked."""

    _names: dict[str, str]
    """Name by id: Heat's paths have both."""

    @property
    def is_application_credential(self) -> bool:
        """Whether the login is an application credential, which some clouds let make no stacks."""
        raise NotImplementedError

    def heat_version(self) -> str:
        """Heat's version as it tells it, or empty where it does not."""
        try:
            told = self._get(HEAT, "/build_info", "tell its version") or {}
        except CloudError as error:
            if error.status in {0, 401}:
                raise
            return ""
        info = told.get("build_info", {})
        revisions = [str((info.get(part) or {}).get("revision") or "") for part in ("engine", "api")]
        return next((text for text in revisions if text not in {"", "unknown"}), "")

    def validate(self, template: str) -> None:
        """Let Heat read a template; CloudError with its sentence."""
        self._ask("POST", HEAT, "/validate", "take the template", body={"template": template})

    def preview(self, name: str, template: str, parameters: Mapping[str, Any]) -> int:
        """Let Heat go through all but the making; how many resources there would be."""
        body = _body(name, template, parameters, timeout_min=60, tags=())
        told = self._ask("POST", HEAT, "/stacks/preview", "make such a stack", body=body)
        return _leaves(told["stack"].get("resources") or [])

    def create(
        self,
        name: str,
        template: str,
        parameters: Mapping[str, Any],
        *,
        timeout_min: int,
        tags: Sequence[str],
    ) -> str:
        """Begin to make a stack, without rollback; its id. What a lost answer had made counts as made."""
        body = _body(name, template, parameters, timeout_min=timeout_min, tags=tags)
        is_lost = False

        def once() -> str:
            nonlocal is_lost
            try:
                return str(self._once("POST", HEAT, "/stacks", body=body)["stack"]["id"])
            except Refusal as refusal:
                if refusal.may_be_done or (is_lost and refusal.status == 409):
                    is_lost = True
                    made = self.stack(name)
                    if made is not None and _is_the_same(made, parameters, tags):
                        return made.id
                if refusal.status == 500 and self.is_application_credential:
                    raise _credential_error(refusal.sentence) from None
                raise

        made_id = str(self._patiently(once, f"make the stack {name}"))
        self._names[made_id] = name
        return made_id

    def update(self, stack: Stack, parameters: Mapping[str, Any]) -> None:
        """Begin to change parameters; all others, the template and the tags stay."""
        body: dict[str, Any] = {"parameters": dict(parameters)}
        if stack.tags:
            body["tags"] = ",".join(stack.tags)
        self._ask("PATCH", HEAT, _path(stack.name, stack.id), f"change the stack {stack.name}", body=body)

    def signal(self, stack: Stack, resource: str, details: Mapping[str, Any]) -> None:
        """Tell a resource something, as the stack's owner; a wait condition's handle keeps it by its `id`."""
        path = f"{_path(stack.name, stack.id)}/resources/{quote(resource, safe='')}/signal"
        self._ask("POST", HEAT, path, f"signal {resource} of {stack.name}", body=dict(details))

    def delete(self, stack_id: str) -> None:
        """Begin to delete; a stack that is gone is no error."""
        found = self.stack(stack_id)
        if found is None:
            return
        try:
            self._ask("DELETE", HEAT, _path(found.name, found.id), f"delete the stack {found.name}")
        except CloudError as error:
            if error.status != 404:
                raise

    def stack(self, name_or_id: str) -> Stack | None:
        """A stack with parameters and outputs, None when there is none (a deleted one is none)."""
        told = self._found(
            HEAT, f"/stacks/{quote(name_or_id, safe='')}", "show a stack", resolve_outputs="true"
        )
        if told is None or told["stack"]["stack_status"] == "DELETE_COMPLETE":
            return None
        found = stack_of(told["stack"])
        self._names[found.id] = found.name
        return found

    def stacks(self) -> list[Stack]:
        """The project's stacks that are ours, newest first."""
        told = map(stack_of, self._pages(HEAT, "/stacks", "stacks", "list stacks"))
        ours = [stack for stack in map(self._described, told) if stack is not None and stack.is_ours]
        return sorted(ours, key=lambda stack: stack.created, reverse=True)

    def _described(self, listed: Stack) -> Stack | None:
        """A stack of a list; Heat lists no descriptions, so one without our tag is looked at by itself."""
        self._names[listed.id] = listed.name
        if listed.is_ours:
            return listed
        path = _path(listed.name, listed.id)
        told = self._found(HEAT, path, "show a stack", resolve_outputs="false")
        return None if told is None else replace(listed, description=stack_of(told["stack"]).description)

    def template(self, stack_id: str) -> str:
        """The template of a stack as YAML text; Heat keeps its content, not its lines."""
        import yaml

        told = self._get(HEAT, self._inside(stack_id, "template"), "show a template")
        return yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=110)

    def resources(self, stack_id: str) -> list[Resource]:
        """All resources, those of the group too."""
        told = self._get(HEAT, self._inside(stack_id, "resources"), "list resources", nested_depth=DEPTH)
        return [resource_of(entry) for entry in told["resources"]]

    def events(self, stack_id: str) -> list[Event]:
        """All events, those of the group too, oldest first."""
        told = self._get(
            HEAT, self._inside(stack_id, "events"), "list events", nested_depth=DEPTH, sort_dir="asc"
        )  # fmt: skip
        return sorted(map(event_of, told["events"]), key=lambda event: event.time)

    def _inside(self, stack_id: str, what: str) -> str:
        """A path inside a stack; without its name Heat redirects."""
        name = self._names.get(stack_id)
        place = _path(name, stack_id) if name else f"/stacks/{quote(stack_id, safe='')}"
        return f"{place}/{what}"


def _path(name: str, stack_id: str) -> str:
    return f"/stacks/{quote(name, safe='')}/{quote(stack_id, safe='')}"


def _body(
    name: str, template: str, parameters: Mapping[str, Any], *, timeout_min: int, tags: Sequence[str]
) -> dict[str, Any]:
    body = {
        "stack_name": name,
        "template": template,
        "parameters": dict(parameters),
        "timeout_mins": timeout_min,
        "disable_rollback": True,  # a rollback erases the reason
    }
    return {**body, "tags": ",".join(tags)} if tags else body


def _leaves(resources: Any) -> int:
    """How many resources a preview lists; a group is a list of its own."""
    return sum(_leaves(entry) for entry in resources) if isinstance(resources, list) else 1


def _is_the_same(stack: Stack, parameters: Mapping[str, Any], tags: Sequence[str]) -> bool:
    """Whether a stack is what `create` was asked for."""
    shown = stack.parameters
    return (
        stack.action == "CREATE"
        and set(tags) <= set(stack.tags)
        and all(shown.get(key) in {text_of(value), HIDDEN} for key, value in parameters.items())
    )


def _credential_error(said: str) -> CloudError:
    what = f"this cloud does not let application credentials make stacks; Heat said only: {said}"
    fix = "log in with a password or by OIDC (ccauth) instead, or launch the template in Horizon"
    return CloudError(Problem(code=CREDENTIAL, what=what, fix=fix), status=500)
