from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from cloud.errors import Interrupted, ProblemsFound
from cloud.stack import down, record
from cloud.stack.api import Port, Resource
from cloud.stack.down import left
from tests.unit.fake_cloud import FakeCloud
from tests.unit.fake_heat import refused
from tests.unit.stacks import NAME, Clock, Told, folder, made, settled, trained


def ended(cloud: FakeCloud, tmp_path: Path, *, discard: bool = False, **more: object) -> down.Downed:
    """`down` of the one stack, in no time."""
    clock = Clock()
    stack = settled(cloud, looks=1)
    return down.down(
        cloud, stack, Told(), folder(tmp_path), discard=discard, clock=clock, sleep=clock.sleep, **more
    )  # type: ignore[arg-type]


def test_a_stack_that_trained_nothing_goes_and_nothing_is_left(tmp_path: Path) -> None:
    """Machines that never passed the gate have nothing to lose; every id is asked for."""
    cloud = FakeCloud()
    made(cloud)
    found = ended(cloud, tmp_path)
    assert (found.state, found.left, found.exit_code) == ("gone", (), 0)
    kept = record.read(folder(tmp_path), NAME)
    assert kept is not None
    kinds = [kind for kind, _ in kept.resources]
    assert kinds.count("OS::Nova::Server") == 2
    assert "OS::Neutron::Port" in kinds, "the ports of its machines too"


def test_results_that_were_not_fetched_are_not_deleted(tmp_path: Path) -> None:
    """The refusal names both ways on, and nothing was asked of the cloud."""
    cloud = FakeCloud()
    made(cloud)
    trained(cloud)
    with pytest.raises(ProblemsFound) as refusal:
        ended(cloud, tmp_path)
    problem = refusal.value.problems[0]
    assert problem.code == "results-not-fetched"
    assert f"fetch {NAME}" in problem.fix
    assert f"down {NAME} --discard" in problem.fix
    assert "delete" not in cloud.calls
    assert ended(cloud, tmp_path, discard=True).exit_code == 0


def test_a_run_that_trains_is_not_deleted(tmp_path: Path) -> None:
    """Also when it was fetched in between."""
    cloud = FakeCloud()
    stack = made(cloud)
    cloud.gate(NAME)
    settled(cloud)
    kept = record.Record(
        cloud=cloud.label, name=NAME, template_sha256="", stack_id=stack.id, fetched_run="r1"
    )
    record.write(folder(tmp_path), kept)
    with pytest.raises(ProblemsFound, match="trains now"):
        ended(cloud, tmp_path)


def test_fetched_results_let_it_go(tmp_path: Path) -> None:
    """The run that is at home is the run that the master told."""
    cloud = FakeCloud()
    made(cloud)
    stack = trained(cloud)
    kept = record.Record(
        cloud=cloud.label, name=NAME, template_sha256="", stack_id=stack.id, fetched_run="r0"
    )
    record.write(folder(tmp_path), kept)
    with pytest.raises(ProblemsFound, match="were not fetched"):
        ended(cloud, tmp_path)
    record.write(folder(tmp_path), dataclasses.replace(kept, fetched_run="r1"))
    assert ended(cloud, tmp_path).exit_code == 0


def test_a_stack_of_somebody_else_needs_to_be_told(tmp_path: Path) -> None:
    """Without the tag and with another description it is not ours."""
    cloud = FakeCloud()
    stack = dataclasses.replace(made(cloud), tags=(), description="web shop")
    clock = Clock()
    with pytest.raises(ProblemsFound, match="not made from a template of hotrun"):
        down.down(cloud, stack, Told(), tmp_path, discard=True, clock=clock, sleep=clock.sleep)
    assert "delete" not in cloud.calls


def test_what_is_left_is_named_with_the_command_that_removes_it(tmp_path: Path) -> None:
    """Exit 5 and a line for each thing."""
    cloud = FakeCloud()
    made(cloud)
    network = next(one.id for one in cloud.resources(settled(cloud, looks=1).id) if one.type == left.NETWORK)
    cloud.stays.add(network)
    found = ended(cloud, tmp_path)
    assert found.exit_code == 5
    assert [one.command for one in found.left] == [f"openstack network delete {network}"]


def test_a_stack_that_is_gone_is_looked_for_by_its_recorded_ids(tmp_path: Path) -> None:
    """What an interrupted `down` had seen is asked for by the next."""
    cloud = FakeCloud()
    stack = made(cloud)
    resources = cloud.resources(stack.id)
    kept = record.Record(cloud=cloud.label, name=NAME, template_sha256="", stack_id=stack.id).grow(resources)
    record.write(folder(tmp_path), kept)
    cloud.delete(stack.id)
    for _ in range(9):
        cloud.stack(NAME)
    server = next(one.id for one in resources if one.machine == "worker-1")
    cloud.stays.add(server)
    clock = Clock()
    found = down.gone(cloud, NAME, Told(), folder(tmp_path), clock=clock, sleep=clock.sleep)
    assert found is not None
    assert [one.command for one in found.left] == [f"openstack server delete {server}"]
    cloud.stays.clear()
    found = down.gone(cloud, NAME, Told(), folder(tmp_path), clock=clock, sleep=clock.sleep)
    assert found is not None
    assert found.exit_code == 0


def test_another_clouds_record_is_no_proof(tmp_path: Path) -> None:
    """Ids of another cloud are not there either: that must not read as gone."""
    cloud = FakeCloud()
    record.write(folder(tmp_path), record.Record(cloud="other", name=NAME, template_sha256="", stack_id="s"))
    with pytest.raises(ProblemsFound, match="remembers a stack of other"):
        down.gone(cloud, NAME, Told(), folder(tmp_path))


def test_a_cloud_that_stumbles_is_asked_again(tmp_path: Path) -> None:
    """An error in the wait is said, and the wait goes on."""
    cloud = FakeCloud()
    made(cloud)
    cloud.faults["exists"] = []
    stack = settled(cloud, looks=1)
    deleted = cloud.delete

    def stumbling(stack_id: str) -> None:
        deleted(stack_id)
        cloud.faults["stack"] = [refused("Internal Error", 500)]

    cloud.delete = stumbling  # type: ignore[method-assign]
    clock, ui = Clock(), Told()
    found = down.down(cloud, stack, ui, tmp_path, discard=True, clock=clock, sleep=clock.sleep)
    assert found.exit_code == 0
    assert "does not answer" in ui.err.getvalue()


def test_ctrl_c_says_that_the_cloud_goes_on(tmp_path: Path) -> None:
    """The delete was asked for; what goes on without this program is said."""
    cloud = FakeCloud()
    stack = made(cloud)

    def pressed(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as interrupted:
        down.down(cloud, stack, Told(), tmp_path, discard=True, clock=Clock(), sleep=pressed)
    assert "goes on deleting" in interrupted.value.problems[0].what


def test_a_hanging_delete_ends_with_what_is_left(tmp_path: Path) -> None:
    """The deadline is exit 6, with each thing's own command."""
    cloud = FakeCloud()
    made(cloud)
    cloud.delete = lambda stack_id: None  # type: ignore[method-assign]
    found = ended(cloud, tmp_path, discard=True, deadline_s=60.0)
    assert (found.state, found.exit_code) == ("deadline", 6)
    assert found.left[0].command.startswith("openstack server delete ")


def test_a_foreign_machine_on_the_network_is_named_by_its_own_command() -> None:
    """Detached, not deleted: it is somebody's."""
    ports = [
        Port(id="p1", name="", device_id="m1", device_owner="compute:nova"),
        Port(id="p2", name="byhand", device_id="", device_owner=""),
        Port(id="p3", name="", device_id="dhcp1", device_owner="network:dhcp"),
        Port(id="p4", name="", device_id="r1", device_owner="network:router_interface"),
    ]
    found = left.foreign_ports(ports, {"r1"})
    assert [one.command for one in found] == [
        "openstack server remove port m1 p1", "openstack port delete p2",
    ]  # fmt: skip


def test_what_is_still_there_is_counted_by_kind() -> None:
    """`2 machines, 1 network`; what is deleted or lives in Heat alone is not counted."""

    def one(kind: str, status: str = "CREATE_COMPLETE") -> Resource:
        return Resource(name="x", type=kind, status=status, reason="", id="1")

    kinds = [one(left.SERVER), one(left.SERVER), one(left.NETWORK), one(left.ROUTER, "DELETE_COMPLETE")]
    assert left.counted([*kinds, one("OS::Heat::RandomString")]) == "2 machines, 1 network"


def test_an_interface_is_removed_from_its_router() -> None:
    """Heat's id names router and subnet."""
    found = left.command(left.INTERFACE, "r1:subnet_id=s1")
    assert found == "openstack router remove subnet r1 s1"


def test_a_rehearsals_directory_stays_as_it_was(tmp_path: Path) -> None:
    """A stack of the same name goes all the same."""
    cloud = FakeCloud()
    stack = made(cloud)
    place = record.directory(folder(tmp_path), NAME)
    place.mkdir(parents=True)
    (place / "status.json").write_text("{}\n")
    clock, ui = Clock(), Told()
    found = down.down(cloud, stack, ui, folder(tmp_path), discard=False, clock=clock, sleep=clock.sleep)
    assert (found.state, found.left, found.exit_code) == ("gone", (), 0)
    assert [path.name for path in place.iterdir()] == ["status.json"]
    assert f"{place} holds a rehearsal and is never overwritten: a later down could not" in " ".join(
        ui.err.getvalue().split()
    )
