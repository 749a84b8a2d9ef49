"""What a machine gets from Heat is what a rehearsal gives to a node, byte for byte."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cloud import hot, resolve, userdata
from tests.heat.clusters import ODD_STRINGS, clusters, variants

if TYPE_CHECKING:
    from cloud.model import Cluster
    from tests.heat.engine import Engine

SECRET = "s3cret%<&>'\""
MASTER = "10.8.0.5"


def facts_of(engine: Engine, cluster: Cluster, name: str = "digits") -> resolve.Facts:
    """Addresses, secret and the attributes of a real wait condition handle."""
    addresses = (MASTER, *(f"10.8.1.{rank}" for rank in range(1, cluster.workers + 1)))
    signal = engine.signal_attributes(cluster.signal_transport)
    return resolve.Facts(stack_name=name, addresses=addresses, secret=SECRET, signal=signal)


def attributes_of(facts: resolve.Facts) -> dict[str, dict[object, object]]:
    """The same facts as the attributes of the stack's resources."""
    return {
        "master_port": {("fixed_ips", 0, "ip_address"): MASTER},
        "secret": {"value": SECRET},
        "gate_handle": dict(facts.signal),
    }


@pytest.mark.parametrize("cluster", variants().values(), ids=variants())
def test_heat_and_resolve_write_the_same_user_data(engine: Engine, cluster: Cluster) -> None:
    """The engine's resolved text and cloud.resolve's are equal, byte for byte."""
    text = hot.text(cluster)
    facts = facts_of(engine, cluster)
    expected = engine.user_data(engine.stack(text), attributes_of(facts))
    template = resolve.load(text)
    actual = resolve.node(template, resolve.parameters(template, {}), 0, facts)
    assert expected == actual.user_data
    job = expected.partition(b"<<'HOTRUN_JOB'\n")[2].partition(b"\nHOTRUN_JOB\n")[0]
    assert json.loads(job)["secret"] == SECRET
    assert len(expected) <= userdata.MAX_USER_DATA_BYTES


def test_heat_and_resolve_agree_when_parameters_are_overridden(engine: Engine) -> None:
    """What somebody sets in Horizon reaches the node as in a rehearsal, odd strings included."""
    changed = {
        "args": "--name '@@JOB@@' ü 🙂",
        "workers": "1",
        "boot_timeout": "120",
        "network_cidr": "10.9.0.0/24",
    }
    text = hot.text(ODD_STRINGS)
    facts = facts_of(engine, ODD_STRINGS)
    expected = engine.user_data(engine.stack(text, changed), attributes_of(facts))
    template = resolve.load(text)
    actual = resolve.node(template, resolve.parameters(template, changed), 0, facts)
    assert expected == actual.user_data


def test_every_string_of_the_request_arrives_as_it_was_typed(engine: Engine) -> None:
    """No shell, YAML, JSON or Heat character changes on its way into the job line."""
    facts = facts_of(engine, ODD_STRINGS)
    text = engine.user_data(engine.stack(hot.text(ODD_STRINGS)), attributes_of(facts)).decode()
    line = next(line for line in text.splitlines() if line.startswith('{"adapt"'))
    job = json.loads(line)
    asked = ODD_STRINGS.job
    expected = (asked.repo, asked.pinned_ref, asked.requirements, asked.entrypoint, asked.args, asked.setup)
    assert expected == tuple(
        job[key] for key in ("repo", "ref", "requirements", "entrypoint", "args", "setup")
    )
    assert list(asked.env) == job["env"]
    assert (MASTER, SECRET) == (job["master"], job["secret"])
    assert line.isascii()


@pytest.mark.parametrize("cluster", clusters().values(), ids=clusters())
def test_heat_and_resolve_give_the_same_metadata_and_names(engine: Engine, cluster: Cluster) -> None:
    """Rank, number of workers and name of each node are those of the server that Heat would ask Nova for."""
    text = hot.text(cluster)
    stack = engine.stack(text, name="digits")
    facts = facts_of(engine, cluster)
    template = resolve.load(text)
    parameters = resolve.parameters(template, {})
    master, members = stack["master"].properties, engine.nested(stack)["resources"]
    servers = [(master["name"], master["metadata"])]
    servers += [
        (member["properties"]["name"], member["properties"]["metadata"]) for member in members.values()
    ]
    for rank, (name, metadata) in enumerate(servers):
        node = resolve.node(template, parameters, rank, facts)
        assert {key: str(value) for key, value in metadata.items()} == node.metadata
        assert name.removeprefix("digits-") == node.name.removeprefix("digits-")


def test_what_each_part_of_the_user_data_takes(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    """Boot script, node program and job line stay below what Nova takes; the table is printed."""
    cluster = ODD_STRINGS
    facts = facts_of(engine, cluster)
    text = engine.user_data(engine.stack(hot.text(cluster)), attributes_of(facts)).decode()
    line = next(line for line in text.splitlines() if line.startswith('{"adapt"'))
    sizes = userdata.sizes(userdata.boot_text(), line)
    with capsys.disabled():
        print("\n" + "\n".join(f"    {name:20}{size:>8,} bytes" for name, size in sizes.items()))
    assert len(text.encode()) == sizes["total"]
    assert sizes["boot script"] + sizes["node program"] <= userdata.MAX_BODY_BYTES
    assert sizes["total"] <= sizes["limit"]
