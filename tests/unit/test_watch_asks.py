"""How often Nova is asked while a stack is followed: in a few requests, whoever matters first."""

from __future__ import annotations

import pytest

from cloud import hot
from cloud.stack.watch import (
    CONSOLES_AT_ONCE,
    CONSOLES_AT_THE_END,
    CONSOLES_WHILE_MAKING,
    Watch,
)
from cloud.stack.watch.turns import FIRST_PAUSE_S, LONGEST_PAUSE_S, Turns
from tests.unit.clusters import cluster
from tests.unit.fake_cloud import FakeCloud
from tests.unit.signalled import trouble
from tests.unit.stacks import NAME, Clock

FITTING = {"image": "tiny", "master_flavor": "m1.tiny", "worker_flavor": "m1.tiny", "key_name": ""}


def many(workers: int) -> tuple[FakeCloud, Watch, Clock]:
    """A stack whose machines are there at its first look."""
    cloud, clock = FakeCloud(), Clock()
    made = cloud.create(NAME, hot.text(cluster(workers=workers)), FITTING, timeout_min=60, tags=["hotrun"])
    return cloud, Watch(cloud, made, clock=clock), clock


def looks(cloud: FakeCloud, watch: Watch, clock: Clock, count: int, pause_s: float = 5.0) -> list[int]:
    """Look some times; how many consoles were read at each."""
    read = []
    for _ in range(count):
        before = cloud.calls.count("console")
        watch.look()
        read.append(cloud.calls.count("console") - before)
        clock.sleep(pause_s)
    return read


def test_machines_are_one_question_and_silent_consoles_few() -> None:
    """34 machines over ten minutes in which none says a word: once a minute each, and never many at once."""
    cloud, watch, clock = many(33)
    read = looks(cloud, watch, clock, 120)
    assert max(read) == CONSOLES_AT_ONCE
    assert sum(read) <= 34 * (600 / LONGEST_PAUSE_S + 3)
    assert cloud.calls.count("servers") <= 600 / 30 + 2
    assert cloud.calls.count("server") == 0


def test_while_machines_come_nova_is_asked_less() -> None:
    """It has enough to do: one list every ten seconds, two consoles a look, none of a machine in BUILD."""
    cloud, watch, clock = many(33)
    cloud.stack(NAME)
    identities = [one.id for one in cloud.resources(cloud.made[next(iter(cloud.made))].id) if one.machine]
    cloud.building = set(identities[1:])
    assert looks(cloud, watch, clock, 1) == [1]
    cloud.building = set(identities[20:])
    hold(cloud)
    read = looks(cloud, watch, clock, 12)
    assert max(read) == CONSOLES_WHILE_MAKING
    assert cloud.calls.count("servers") <= 60 / 10 + 2


def hold(cloud: FakeCloud) -> None:
    """Heat shows machines in progress, and stays so."""
    import dataclasses

    (found,) = cloud.made.values()
    found.is_lost = True
    for key, one in found.resources.items():
        if one.machine and one.id in cloud.building:
            found.resources[key] = dataclasses.replace(one, status="CREATE_IN_PROGRESS")


def test_nova_is_not_asked_before_there_is_a_machine() -> None:
    """Heat makes the network first."""
    cloud, watch, clock = many(3)
    hold(cloud)
    looks(cloud, watch, clock, 5)
    assert not {"server", "servers", "console"} & set(cloud.calls)


def test_a_machine_that_speaks_is_read_at_each_look() -> None:
    """A line that is new brings the next question at once, and silence its pauses."""
    cloud, watch, clock = many(0)
    watch.look()
    (master,) = [one.id for one in cloud.resources(next(iter(cloud.made))) if one.machine]
    lines = []
    clock.sleep(FIRST_PAUSE_S)
    for number in range(5):
        clock.sleep(2.0)
        cloud.consoles[master] = "".join(f"line {one}\n" for one in range(number + 1)) + "x"
        watch.look()
        lines += [line.text for line in watch.lines]
    assert lines == [f"line {one}" for one in range(5)]


def test_a_machine_that_failed_is_read_at_the_end_however_many_there_are() -> None:
    """The last lines of a failing machine are what a failure is understood by."""
    cloud, watch, clock = many(120)
    looks(cloud, watch, clock, 3)
    ids = {one.machine: one.id for one in cloud.resources(next(iter(cloud.made))) if one.machine}
    cloud.consoles[ids["worker-111"]] = "ERROR: no torchh\nlogin:"
    cloud.broken[ids["worker-99"]] = "No valid host was found."
    cloud.consoles[ids["worker-99"]] = "Kernel panic\nlogin:"
    cloud.fails(NAME, "worker-111: no", problems=[trouble("worker-111")])
    before = cloud.calls.count("console")
    watch.look(is_last=True)
    assert cloud.calls.count("console") - before == CONSOLES_AT_THE_END
    assert {(line.node, line.text) for line in watch.lines} == {
        ("worker-111", "ERROR: no torchh"), ("worker-99", "Kernel panic"),
    }  # fmt: skip


def test_the_master_comes_first_then_who_failed_then_who_waited_longest() -> None:
    """Each has its turn."""
    turns, names = Turns(), ["worker-3", "worker-2", "master", "worker-1"]
    assert turns.next(names, 2, 0.0, failed={"worker-3"}) == ["master", "worker-3"]
    for name in ("master", "worker-3"):
        turns.read(name, 0.0, is_new=False)
    assert turns.next(names, 2, 1.0, failed={"worker-3"}) == ["worker-1", "worker-2"]
    assert turns.next(names, 9, FIRST_PAUSE_S, failed={"worker-3"})[:2] == ["master", "worker-3"]
    assert turns.next(names, 9, 0.0, is_last=True) == ["master", "worker-1", "worker-2", "worker-3"]


@pytest.mark.parametrize(("reads", "pause_s"), [(1, 10.0), (2, 20.0), (3, 40.0), (4, 60.0), (9, 60.0)])
def test_pauses_grow_to_a_minute(reads: int, pause_s: float) -> None:
    """A console that stays as it was."""
    turns = Turns()
    for _ in range(reads):
        turns.read("master", 100.0, is_new=False)
    assert turns.next(["master"], 1, 100.0 + pause_s - 1) == []
    assert turns.next(["master"], 1, 100.0 + pause_s) == ["master"]
    turns.forget("master")
    assert turns.next(["master"], 1, 100.0) == ["master"]
