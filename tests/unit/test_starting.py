"""Machines of a rerun that are shut off, or power off a moment later, are started."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from cloud.stack.api import Stack, machine_ids
from tests.unit.fake_cloud import FakeCloud
from tests.unit.fake_heat import refused
from tests.unit.stacks import NAME, Clock, Told, made, trained
from tests.unit.test_rerun import begun


def failed_with_a_worker_off() -> tuple[FakeCloud, Stack, str]:
    """A stack whose run failed and whose worker, the id, is shut off."""
    cloud = FakeCloud()
    stack = made(cloud)
    cloud.fails(NAME, "worker-1: no", problems=[])
    worker = machine_ids(cloud.resources(stack.id))["worker-1"]
    cloud.shut_off.add(worker)
    return cloud, stack, worker


def test_a_machine_that_heat_does_not_list_for_a_moment_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the group is changed its members may be missing from the answer; they are known from before."""
    cloud, stack, worker = failed_with_a_worker_off()
    update = cloud.update

    def updated(*words: Any) -> None:
        update(*words)
        found = cloud.made[stack.id].resources
        for key in [key for key, entry in found.items() if entry.id == worker]:
            del found[key]

    before = cloud._machines()
    monkeypatch.setattr(cloud, "update", updated)
    monkeypatch.setattr(cloud, "_machines", lambda: before)
    assert begun(cloud, tmp_path).started == ("worker-1",)


def test_machines_that_are_shut_off_are_started(tmp_path: Path) -> None:
    """Workers of a good run power off; one that goes away is not started."""
    cloud = FakeCloud()
    made(cloud, workers="2")
    ids = machine_ids(cloud.resources(trained(cloud).id))
    cloud.shut_off |= {ids["worker-1"], ids["worker-2"]}
    assert begun(cloud, tmp_path, workers=1).started == ("worker-1",)


def test_a_worker_that_powers_off_a_moment_later_is_started(tmp_path: Path) -> None:
    """Workers of a good run do so with a delay; they would miss the rerun."""
    cloud, clock = FakeCloud(), Clock()
    made(cloud)
    worker = machine_ids(cloud.resources(trained(cloud).id))["worker-1"]

    def passes(seconds: float) -> None:
        clock.sleep(seconds)
        if "update" in cloud.calls and "start_server" not in cloud.calls:
            cloud.shut_off.add(worker)

    assert begun(cloud, tmp_path, sleep=passes).started == ("worker-1",)
    assert worker not in cloud.shut_off


def test_a_run_that_is_followed_is_followed_at_once(tmp_path: Path) -> None:
    """What powers off later is started beside that."""
    cloud, done = FakeCloud(), threading.Event()
    made(cloud)
    worker = machine_ids(cloud.resources(trained(cloud).id))["worker-1"]
    started = cloud.start_server

    def start(server_id: str) -> None:
        started(server_id)
        done.set()

    cloud.start_server = start  # type: ignore[method-assign]
    here = threading.current_thread()

    def passes(_: float) -> None:
        assert threading.current_thread() is not here
        cloud.shut_off.add(worker)

    assert begun(cloud, tmp_path, sleep=passes, is_followed=True).started == ()
    assert done.wait(60)


def test_a_machine_that_is_busy_is_asked_again_to_start(tmp_path: Path) -> None:
    """409 is Nova's word for one that is on its way from one state to another."""
    cloud, ui = FakeCloud(), Told()
    made(cloud)
    worker = machine_ids(cloud.resources(trained(cloud).id))["worker-1"]
    cloud.shut_off.add(worker)
    cloud.faults["start_server"] = [refused("task_state powering-off", 409), refused("too fast", 429)]
    assert begun(cloud, tmp_path, ui=ui).started == ("worker-1",)
    assert "could not be started" in ui.err.getvalue()


def test_a_machine_that_starts_though_nobody_said_so_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cloud heard it, and its answer was lost."""
    cloud, *_ = failed_with_a_worker_off()

    def unheard(server_id: str) -> None:
        cloud.shut_off.discard(server_id)
        raise refused("Nova does not answer", 504)

    monkeypatch.setattr(cloud, "start_server", unheard)
    assert begun(cloud, tmp_path).started == ("worker-1",)


def test_machines_of_a_failed_run_are_not_waited_for(tmp_path: Path) -> None:
    """They stand by; nobody powers off."""
    cloud = FakeCloud()
    made(cloud)
    trained(cloud, state="failed")

    def never(seconds: float) -> None:
        raise AssertionError(seconds)

    assert begun(cloud, tmp_path, sleep=never).started == ()
