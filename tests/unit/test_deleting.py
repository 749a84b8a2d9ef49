from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cloud.stack import down, record
from cloud.stack.api import CloudError
from tests.unit.fake_cloud import FakeCloud
from tests.unit.fake_heat import refused
from tests.unit.stacks import NAME, Clock, Told, folder, made, settled


def ended(
    cloud: FakeCloud, tmp_path: Path, ui: Told, sleep: Callable[[float], None] | None = None
) -> down.Downed:
    """`down` of the one stack, in no time."""
    clock = Clock()

    def passes(seconds: float) -> None:
        clock.sleep(seconds)
        if sleep:
            sleep(seconds)

    stack = settled(cloud, looks=1)
    return down.down(cloud, stack, ui, folder(tmp_path), discard=True, clock=clock, sleep=passes)


def test_an_unknown_lease_keeps_no_machine_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning is said, the stack goes, and what to type is still there."""
    cloud, ui = FakeCloud(), Told()
    made(cloud)

    def stumbles() -> None:
        raise refused("Internal Error", 500)

    monkeypatch.setattr(cloud, "reservations", stumbles)
    monkeypatch.setattr("cloud.stack.deadline.reservations", lambda _: ("r-1",))
    found = ended(cloud, tmp_path, ui)
    assert (found.exit_code, "warning: which lease" in ui.err.getvalue()) == (0, True)
    assert "openstack reservation lease list" in found.lease[0]


def test_unknown_ports_keep_no_machine_alive(tmp_path: Path) -> None:
    """They are asked for again at the next look, as they are gone with their machines."""
    cloud, ui = FakeCloud(), Told()
    made(cloud)
    cloud.faults["ports_of"] = [refused("Forbidden", 403)]
    found = ended(cloud, tmp_path, ui)
    assert (found.exit_code, "warning: its ports" in ui.err.getvalue()) == (0, True)
    kept = record.read(folder(tmp_path), NAME)
    assert kept is not None
    assert "OS::Neutron::Port" in [kind for kind, _ in kept.resources]


def test_a_delete_that_was_not_heard_is_asked_for_again(tmp_path: Path) -> None:
    """As a look that got no answer is."""
    cloud, ui = FakeCloud(), Told()
    made(cloud)
    cloud.faults["delete"] = [refused("Internal Error", 500), refused("Bad Gateway", 502)]
    assert ended(cloud, tmp_path, ui).exit_code == 0
    assert cloud.calls.count("delete") == 3
    assert "does not answer" in ui.err.getvalue()


@pytest.mark.parametrize("status", [400, 403])
def test_a_delete_that_is_refused_for_good_is_an_error_at_once(tmp_path: Path, status: int) -> None:
    """Asking again would change nothing."""
    cloud = FakeCloud()
    made(cloud)
    cloud.faults["delete"] = [refused("no", status)]
    with pytest.raises(CloudError):
        ended(cloud, tmp_path, Told())
    assert cloud.calls.count("delete") == 1


def test_without_an_answer_nothing_is_done(tmp_path: Path) -> None:
    """What Heat does meanwhile is not known, so nothing is asked for again."""
    cloud, ui = FakeCloud(), Told()
    made(cloud)
    deleted, silence = cloud.delete, [refused("Internal Error", 500) for _ in range(200)]

    def then_silent(stack_id: str) -> None:
        deleted(stack_id)
        cloud.faults["stack"] = silence

    cloud.delete = then_silent  # type: ignore[method-assign]
    assert ended(cloud, tmp_path, ui).exit_code == 0
    assert cloud.calls.count("delete") == 1


def test_what_was_fetched_of_an_earlier_stack_of_this_name_does_not_count(tmp_path: Path) -> None:
    """Only its ids stay in the record."""
    cloud = FakeCloud()
    made(cloud)
    earlier = record.Record(
        cloud=cloud.label,
        name=NAME,
        template_sha256="",
        stack_id="before",
        resources=(("OS::Neutron::Net", "n"),),
    )
    record.write(folder(tmp_path), earlier.brought("r1"))
    ended(cloud, tmp_path, Told())
    kept = record.read(folder(tmp_path), NAME)
    assert kept is not None
    assert (kept.fetched, ("OS::Neutron::Net", "n") in kept.resources) == (frozenset(), True)
