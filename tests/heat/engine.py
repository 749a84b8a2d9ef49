"""The real Heat engine in this process: it stores and validates stacks and resolves user data.

Only what a cloud would answer is stood in for: its catalogue of images, flavors and networks, and tokens.
"""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

from heat.tests import (
    common,
    utils,
)  # first: it chooses threads for oslo.service, which anything else decides otherwise

# isort: split
from heat.common import template_format
from heat.engine import api, constraints, environment, node_data, scheduler, service, stk_defn
from heat.engine import stack as parser
from heat.engine import template as engine_template
from heat.engine.resources.openstack.heat import wait_condition_handle

if TYPE_CHECKING:
    from collections.abc import Iterator

PLUGINS = "heat.engine.clients.os."
LIMITS = {"maxPersonality": 0, "maxPersonalitySize": 0, "maxServerMeta": 128}
ANSWERS: dict[str, dict[str, Any]] = {
    "heat.engine.resource.Resource.is_service_available": {"return_value": (True, None)},
    PLUGINS + "glance.GlanceClientPlugin.get_image": {
        "return_value": SimpleNamespace(id="image", min_ram=0, min_disk=0, size=0, status="active")
    },
    PLUGINS + "glance.GlanceClientPlugin.find_image_by_name_or_id": {"side_effect": lambda name: name},
    PLUGINS + "nova.NovaClientPlugin.get_flavor": {
        "return_value": SimpleNamespace(id="flavor", name="m1.medium", ram=4096, disk=40, vcpus=2)
    },
    PLUGINS + "nova.NovaClientPlugin.find_flavor_by_name_or_id": {"side_effect": lambda name: name},
    PLUGINS + "nova.NovaClientPlugin.absolute_limits": {"return_value": LIMITS},
    PLUGINS + "neutron.NeutronClientPlugin.find_resourceid_by_name_or_id": {
        "side_effect": lambda _kind, name, **_: name
    },
    PLUGINS + "neutron.NeutronClientPlugin.has_extension": {"return_value": True},
    PLUGINS + "heat_plugin.HeatClientPlugin.get_heat_url": {
        "return_value": "https://heat.example:8004/v1/project"
    },
    PLUGINS + "heat_plugin.HeatClientPlugin.get_insecure_option": {"return_value": False},
}


class Engine(common.HeatTestCase):
    """Heat 27's engine on a database in memory."""

    def setUp(self) -> None:
        """Make the database; resources hold their stacks only weakly, so somebody must hold them."""
        super().setUp()
        self.stacks: list[Any] = []

    def runTest(self) -> None:
        """The test case is used for its set-up alone."""

    def stack(self, text: str, parameters: dict[str, Any] | None = None, name: str = "digits") -> Any:
        """Return the stored and validated stack; raises what the engine raises."""
        template = engine_template.Template(
            template_format.parse(text), env=environment.Environment({"parameters": parameters or {}})
        )
        stack = parser.Stack(utils.dummy_context(), self._free(name), template, convergence=False)
        self.stacks.append(stack)
        stack.store()
        stack.validate()
        return stack

    def _free(self, name: str) -> str:
        taken = {stack.name for stack in self.stacks}
        return f"{name}-{len(taken)}" if name in taken else name

    def form(self, text: str) -> dict[str, Any]:
        """What the service answers to validate-template: all that Horizon's form is made of."""
        answer = service.EngineService("host", "topic").validate_template(
            utils.dummy_context(), template_format.parse(text), {}, files={}
        )
        return dict(answer)

    def signal_attributes(self, transport: str) -> dict[str, Any]:
        """`signal`, `endpoint` and `token` of a real wait condition handle."""
        handle = self.stack(
            "heat_template_version: 2018-08-31\nresources:\n"
            "  handle:\n    type: OS::Heat::WaitConditionHandle\n"
            f"    properties: {{signal_transport: {transport}}}\n",
            name=transport.lower().replace("_", "-"),
        )["handle"]
        scheduler.TaskRunner(handle.create)()
        return {name: handle.FnGetAtt(name) for name in ("signal", "endpoint", "token")}

    def user_data(self, stack: Any, attributes: dict[str, dict[Any, Any]]) -> bytes:
        """The text of `boot` as Heat writes it, once its resources have these attributes."""
        self._told(stack, attributes)
        return str(stack["boot"].properties["config"]).encode()

    def _told(self, stack: Any, attributes: dict[str, dict[Any, Any]]) -> None:
        for name, values in attributes.items():
            data = node_data.NodeData(1, name, f"uuid-{name}", f"id-{name}", values, "CREATE", "COMPLETE")
            stk_defn.update_resource_data(stack.defn, name, data)

    def waiting(self, stack: Any) -> Any:
        """Create the stack's real handle, let its real gate wait, and return the handle to be signalled."""
        scheduler.TaskRunner(stack["gate_handle"].create)()
        stack["gate"].state_set("CREATE", "IN_PROGRESS")
        return stack["gate_handle"]

    def outputs(self, stack: Any, attributes: dict[str, dict[Any, Any]]) -> dict[str, Any]:
        """What the service answers about a stack's outputs now; an error is an answer too."""
        self._told(stack, attributes)
        gate = stack["gate"].node_data(for_resources=False, for_outputs=True)
        stk_defn.update_resource_data(stack.defn, "gate", gate)
        for output in stack.outputs.values():
            output._resolved_value = None  # kept for one answer
        told = api.format_stack_outputs(stack.outputs, resolve_value=True)
        return {each["output_key"]: each.get("output_error", each["output_value"]) for each in told}

    def wait_condition(self, count: int = 1) -> tuple[Any, Any]:
        """A real handle, created, and a condition on it that has not started to wait."""
        stack = self.stack(
            "heat_template_version: 2018-08-31\nresources:\n  handle: {type: OS::Heat::WaitConditionHandle}\n"
            "  condition:\n    type: OS::Heat::WaitCondition\n"
            f"    properties: {{handle: {{get_resource: handle}}, timeout: 60, count: {count}}}\n",
            name="waits",
        )
        scheduler.TaskRunner(stack["handle"].create)()
        return stack["handle"], stack["condition"]

    def nested(self, stack: Any, group: str = "worker_group") -> dict[str, Any]:
        """The template that a resource group makes of its members, as plain JSON."""
        names = list(stack[group]._resource_names())
        return {"resources": {}, **json.loads(json.dumps(stack[group]._assemble_nested(names).t))}


@contextlib.contextmanager
def running() -> Iterator[Engine]:
    """Set the engine up, and take it down again."""
    engine = Engine()
    with contextlib.ExitStack() as stack:
        for place, answer in ANSWERS.items():
            stack.enter_context(mock.patch(place, **answer))
        stack.enter_context(mock.patch.object(constraints.BaseCustomConstraint, "validate", lambda *_: True))
        stack.enter_context(
            mock.patch.object(
                wait_condition_handle.HeatWaitConditionHandle, "_user_token", return_value="TOKEN"
            )
        )
        engine.setUp()
        stack.callback(engine.doCleanups)
        yield engine
