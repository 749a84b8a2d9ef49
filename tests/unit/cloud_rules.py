"""What every cloud behind the Protocol does: one list of rules, run on FakeCloud and on a real OpenStack.

The fake runs them in test_cloud_rules.py, the real one in tests/openstack/test_sdk.py.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import yaml

from cloud.stack.api import CloudError, Stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.stack.api import Cloud

VALUES = {
    "image": "tiny",
    "master_flavor": "m1.tiny",
    "worker_flavor": "m1.tiny",
    "key_name": "",
    "workers": 1,
}
NOWHERE = "00000000-0000-0000-0000-000000000000"
SERVER = "OS::Nova::Server"


def a_template_is_read(cloud: Cloud, template: str) -> None:
    """Heat takes our template, and says in its own words what is wrong with another."""
    cloud.validate(template)
    with pytest.raises(CloudError, match="Template not in valid format") as refused:
        cloud.validate("a: [")
    assert refused.value.status == 400


def a_preview_counts_resources(cloud: Cloud, template: str) -> None:
    """A preview counts each worker, makes nothing, and the name stays free."""
    one = cloud.preview("rules", template, VALUES)
    assert cloud.preview("rules", template, {**VALUES, "workers": 3}) == one + 2
    assert cloud.stack("rules") is None


def a_preview_refuses_in_heats_words(cloud: Cloud, template: str) -> None:
    """An image, a parameter, a count that can't be: status 400 and Heat's sentence, without any address."""
    for values, words in (
        ({**VALUES, "image": "noimg"}, "No images matching"),
        ({**VALUES, "nosuch": "x"}, r"The Parameter \(nosuch\) was not defined in template"),
        ({**VALUES, "workers": 300}, "Parameter 'workers' is invalid"),
    ):
        with pytest.raises(CloudError, match=words) as refused:
            cloud.preview("rules", template, values)
        assert refused.value.status == 400
        assert "http" not in refused.value.problems[0].what


def what_is_not_there_is_none(cloud: Cloud, template: str) -> None:
    """No stack, no machine and nothing physical: None, False, and no error from a delete."""
    assert cloud.stack("nosuch") is None
    assert cloud.stack(NOWHERE) is None
    assert cloud.server(NOWHERE) is None
    cloud.delete(NOWHERE)
    assert not any(
        cloud.exists(kind, NOWHERE) for kind in (SERVER, "OS::Neutron::Port", "OS::Heat::SoftwareConfig")
    )
    assert not cloud.exists("OS::Heat::ResourceGroup", NOWHERE)
    assert not cloud.exists("OS::Heat::RandomString", "rules-secret-abc")
    assert cloud.ports_of([]) == []
    assert cloud.stacks() == []


def a_project_shows_what_it_may_use(cloud: Cloud, template: str) -> None:
    """Flavors, images, networks, keys and quotas are there; leases are None without Blazar."""
    assert {"m1.tiny", "m1.small"} <= {flavor.name for flavor in cloud.flavors()}
    assert "tiny" in {image.name for image in cloud.images()}
    public = next(network for network in cloud.networks() if network.name == "public")
    assert public.is_external
    assert not public.is_own
    assert cloud.free_floating_ips(public.id) == 0
    assert cloud.key_names() == []
    assert {"instances", "cores", "ports"} <= set(cloud.quotas())
    assert cloud.reservations() is None
    assert not cloud.is_application_credential
    assert "project" in cloud.label


RULES = (
    a_template_is_read,
    a_preview_counts_resources,
    a_preview_refuses_in_heats_words,
    what_is_not_there_is_none,
    a_project_shows_what_it_may_use,
)


def a_stack_lives(cloud: Cloud, template: str, look: Callable[[str, Callable[[Stack], bool]], Stack]) -> None:
    """A stack is made, hears its master, grows in place, and goes with all that it made.

    `look(name, is_so)` looks again and again until the stack is so.
    """
    stack_id = cloud.create("rules", template, VALUES, timeout_min=60, tags=["hotrun", "rules"])
    _name_is_taken(cloud, template, stack_id)
    made = look(stack_id, lambda _: {"master", "worker-1"} <= _machines(cloud, stack_id, "CREATE_COMPLETE"))
    assert not made.is_settled
    _machines_are_nova_s(cloud, made)
    cloud.signal(
        made, "gate_handle", {"status": "SUCCESS", "id": "gate", "data": {"state": "running"}, "reason": "ok"}
    )
    settled = look(stack_id, lambda stack: stack.is_settled)
    assert settled.status == "CREATE_COMPLETE"
    assert json.loads(settled.outputs["status"]) == {"gate": {"state": "running"}}
    ids = {server.name: server.id for server in cloud.servers(settled)}
    cloud.update(settled, {"workers": 2})
    grown = look(stack_id, lambda stack: stack.action == "UPDATE" and stack.is_settled)
    assert grown.status == "UPDATE_COMPLETE", grown.reason
    assert grown.tags == ("hotrun", "rules")
    assert grown.parameters["workers"] == "2"
    assert grown.parameters["image"] == "tiny", "what is not given stays"
    assert ids.items() <= {server.name: server.id for server in cloud.servers(grown)}.items(), (
        "nobody is replaced"
    )
    _events_are_in_order(cloud, stack_id)
    _all_goes(cloud, stack_id)


def _name_is_taken(cloud: Cloud, template: str, stack_id: str) -> None:
    with pytest.raises(CloudError, match="already exists") as refused:
        cloud.create("rules", template, {**VALUES, "workers": 2}, timeout_min=60, tags=["hotrun"])
    assert refused.value.status == 409
    (listed,) = cloud.stacks()
    assert (listed.id, listed.is_ours, listed.outputs) == (stack_id, True, {})
    kept = yaml.safe_load(cloud.template(stack_id))
    assert set(kept["resources"]) == set(yaml.safe_load(template)["resources"])


def _machines_are_nova_s(cloud: Cloud, made: Stack) -> None:
    servers = cloud.servers(made)
    assert [server.name for server in servers] == ["rules-master", "rules-worker-1"]
    assert [server.status for server in servers] == ["ACTIVE", "ACTIVE"]
    assert [server.metadata["hotrun_rank"] for server in servers] == ["0", "1"]
    assert all(server.addresses and not server.fault for server in servers)
    assert cloud.server(servers[0].id) == servers[0]
    ports = cloud.ports_of([server.id for server in servers])
    assert len(ports) == 2
    assert all(cloud.exists("OS::Neutron::Port", port) for port in ports)
    assert isinstance(cloud.console(servers[0].id, 5), str)
    cloud.start_server(servers[0].id)  # it runs: no error


def _events_are_in_order(cloud: Cloud, stack_id: str) -> None:
    events = cloud.events(stack_id)
    assert [event.time for event in events] == sorted(event.time for event in events)
    assert max(Counter(event.id for event in events).values()) == 1
    told = [event.status for event in events if event.resource == "rules"]
    assert told == ["CREATE_IN_PROGRESS", "CREATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"]
    assert {"1", "2", "master"} <= {event.resource for event in events}


def _all_goes(cloud: Cloud, stack_id: str) -> None:
    things = [(entry.type, entry.id) for entry in cloud.resources(stack_id) if entry.id]
    inside = {"OS::Heat::WaitCondition", "OS::Heat::WaitConditionHandle", "OS::Heat::RandomString"}
    assert [kind for kind, thing in things if cloud.exists(kind, thing) == (kind in inside)] == []
    cloud.delete(stack_id)
    for _ in range(200):
        if cloud.stack(stack_id) is None:
            break
        _pause()
    assert cloud.stack("rules") is None
    assert [thing for thing in things if cloud.exists(*thing)] == []
    cloud.delete(stack_id)  # gone: no error


def _pause() -> None:
    import time

    time.sleep(0.5)


def _machines(cloud: Cloud, stack_id: str, status: str) -> set[str]:
    return {entry.machine for entry in cloud.resources(stack_id) if entry.machine and entry.status == status}
