"""What the engine says to our templates."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cloud import hot
from tests.golden.accept import EXAMPLES, published
from tests.heat.clusters import ODD_STRINGS, clusters, variants

if TYPE_CHECKING:
    from cloud.model import Cluster
    from tests.heat.engine import Engine

MAX_TEMPLATE_BYTES = 524_288  # heat.conf max_template_size
MAX_RESOURCES = 1000  # heat.conf max_resources_per_stack


@pytest.mark.parametrize("cluster", variants().values(), ids=variants())
def test_the_engine_accepts_every_example_in_every_variant(engine: Engine, cluster: Cluster) -> None:
    """A template stores and validates, and holds the machines that were asked for."""
    text = hot.text(cluster)
    stack = engine.stack(text)
    assert len(text.encode()) < MAX_TEMPLATE_BYTES
    assert list(stack["worker_group"]._resource_names()) == [str(n) for n in range(1, cluster.workers + 1)]
    assert ("router" in stack.resources) == bool(cluster.network.external)
    assert ("floating_ip" in stack.resources) == bool(cluster.network.external)
    assert ("security_group" in stack.resources) == cluster.network.security_group
    assert (stack["master"].properties["key_name"] or "") == cluster.key_name
    hints = stack["master"].properties["scheduler_hints"] or {}
    assert hints.get("reservation", "") == cluster.master.reservation


def test_the_engine_accepts_the_published_example(engine: Engine) -> None:
    """The file that a reader uploads stores and validates, and its form has our fields."""
    text = published()
    assert list(engine.stack(text)["worker_group"]._resource_names()) == ["1", "2"]
    assert [group["label"] for group in engine.form(text)["ParameterGroups"]] == [
        "Training",
        "Machines",
        "Network",
    ]


def test_there_are_example_requests() -> None:
    """The tests of this folder speak about docs/examples, so it must not be empty."""
    assert EXAMPLES


@pytest.mark.parametrize("workers", [0, 1, 254])
def test_one_file_launches_at_any_size(engine: Engine, workers: int) -> None:
    """`workers` is a parameter: the same text serves 0 to 254."""
    stack = engine.stack(hot.text(ODD_STRINGS), {"workers": workers})
    assert len(list(stack["worker_group"]._resource_names())) == workers


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"workers": 255}, "workers"),
        ({"workers": -1}, "workers"),
        ({"repo": "http://example.org/digits.git"}, "repo"),
        ({"repo": "https://me:secret@example.org/digits.git"}, "repo"),
        ({"ref": "-x"}, "ref"),
        ({"requirements": "../up"}, "requirements"),
        ({"entrypoint": "main.sh"}, "entrypoint"),
        ({"args": "two\nlines"}, "args"),
        ({"args": "x" * 1001}, "args"),
        ({"image": ""}, "image"),
        ({"network_cidr": "10.8.0.0"}, "network_cidr"),
        ({"security_groups": "maybe"}, "security_groups"),
        ({"signal_transport": "CFN_SIGNAL"}, "signal_transport"),
        ({"boot_timeout": 1}, "boot_timeout"),
    ],
)
def test_the_engine_refuses_a_wrong_parameter_with_our_sentence(
    engine: Engine, parameters: dict[str, Any], named: str
) -> None:
    """A value outside a constraint is refused before anything is created, in a sentence that names the parameter."""
    from heat.common import exception

    with pytest.raises((exception.StackValidationFailed, ValueError), match=rf"{named} (is|must|has)"):
        engine.stack(hot.text(ODD_STRINGS), parameters)


def test_254_workers_fit_into_what_heat_takes(engine: Engine) -> None:
    """The nested template of the largest group has one server per rank, each with its own name and rank."""
    nested = engine.nested(engine.stack(hot.text(ODD_STRINGS), {"workers": 254}))
    servers = nested["resources"]
    expected = {str(rank): (f"digits-worker-{rank}", str(rank), "254") for rank in range(1, 255)}
    found = {
        name: (
            server["properties"]["name"],
            server["properties"]["metadata"]["hotrun_rank"],
            str(server["properties"]["metadata"]["hotrun_workers"]),
        )
        for name, server in servers.items()
    }
    assert found == expected
    assert len(json.dumps(nested)) < MAX_TEMPLATE_BYTES
    assert len(servers) + len(hot.template(ODD_STRINGS, "@@JOB@@")["resources"]) < MAX_RESOURCES


def test_machines_wait_for_their_way_out(engine: Engine) -> None:
    """Nothing boots before the router has its interface, and the gate waits for all machines."""
    stack = engine.stack(hot.text(ODD_STRINGS))

    def requires(name: str) -> set[str]:
        return {resource.name for resource in stack.dependencies.requires(stack[name])}

    assert {"router_interface", "master_port", "boot"} <= requires("master")
    assert {"router_interface", "boot"} <= requires("worker_group")
    assert {"gate_handle", "master", "worker_group"} <= requires("gate")


@pytest.mark.parametrize("cluster", clusters().values(), ids=clusters())
def test_outputs_read_no_worker(engine: Engine, cluster: Cluster) -> None:
    """An output that reads the group costs a call into the nested stack for every signal."""
    stack = engine.stack(hot.text(cluster))
    for output in stack.outputs.values():
        assert "worker_group" not in output.required_resource_names()
