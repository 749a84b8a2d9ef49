"""Logs are followed until the run is over, also when its master goes away without a word."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cloud.commands.shell import _show
from cloud.errors import DeadlinePassed, NoAccess, Problem, RunFailed
from cloud.stack import shell as shells
from cloud.stack.api import CloudError, Stack
from cloud.stack.login import access
from cloud.stack.shell import NoShell, Shell
from cloud.stack.shell.follow_logs import OverSsh, Wanted, of_consoles
from cloud.stack.shell.run_end import ASK_EVERY_S, LOST_S, Lost, why_over
from tests.unit.fake_cloud import FakeCloud
from tests.unit.stacks import NAME, Clock, Told, made, settled, trained


def training(cloud: FakeCloud) -> Stack:
    """A stack whose machines passed the gate."""
    made(cloud)
    cloud.gate(NAME)
    return settled(cloud)


def code(found: Problem | None) -> str:
    """Of a problem, empty for none."""
    return found.code if found else ""


def test_a_run_goes_on_until_heat_says_that_it_ends() -> None:
    """By a result of this run, by the end of its time, by a delete; not by that of the run before."""
    cloud = FakeCloud()
    stack = training(cloud)
    assert why_over(cloud, stack) is None
    trained(cloud)
    assert code(why_over(cloud, stack)) == "run-over"
    cloud.update(stack, {"rerun": "1"})
    assert why_over(cloud, stack) is None
    cloud.now += dt.timedelta(hours=24)
    assert code(why_over(cloud, stack)) == "deadline-passed"
    cloud.delete(stack.id)
    assert code(why_over(cloud, stack)) == "stack-gone"
    settled_away(cloud)
    assert code(why_over(cloud, stack)) == "stack-gone"


def settled_away(cloud: FakeCloud) -> None:
    """Look until a stack that is being deleted is gone."""
    while cloud.stack(NAME) is not None:
        pass


def test_the_cloud_is_asked_now_and_then_while_the_master_is_lost() -> None:
    """Not before, not at every try, and not once it answers again."""
    clock, asked = Clock(), []
    lost = Lost(lambda: asked.append(clock.now), clock)

    def some_looks() -> None:
        for _ in range(10):
            assert lost.why_over() == ""
            clock.sleep(ASK_EVERY_S / 5)

    some_looks()
    lost.begin()
    some_looks()
    lost.end()
    some_looks()
    assert asked == [2 * ASK_EVERY_S, 3 * ASK_EVERY_S]


@pytest.mark.parametrize("is_silent", [False, True])
def test_a_master_that_stays_lost_ends_the_waiting(is_silent: bool) -> None:
    """Whatever the cloud says, or does not."""

    def over() -> None:
        if is_silent:
            raise CloudError(Problem(code="cloud-unreachable", what="no answer"))

    clock = Clock()
    lost = Lost(over, clock)
    lost.begin()
    while clock.now < LOST_S:
        assert lost.why_over() == ""
        clock.sleep(1)
    clock.sleep(ASK_EVERY_S)
    with pytest.raises(NoAccess, match="could not be reached again for 15 min"):
        lost.why_over()


class Broken:
    """A shell to a master that was there once."""

    machines = (SimpleNamespace(name="master"),)

    def python(self, *words: str, **_: Any) -> Any:
        """The first question is answered, and no connection stands after it."""
        if words[0] == "status":
            return SimpleNamespace(line=lambda _: b'{"phase": "running"}', end=lambda: 0)
        raise NoShell(Problem(code="ssh-unreachable", what="the master can't be reached by ssh"))


def test_logs_over_ssh_end_with_the_run_that_they_lost() -> None:
    """A run that is over is said; a stack that is gone or out of time is a failure."""
    said: list[str] = []

    def lines(found: Problem) -> list[Any]:
        over = OverSsh(cast("Shell", Broken()), Wanted(follow=True), said.append, lambda: found)
        return list(over.lines())

    assert lines(Problem(code="run-over", level="note", what="it is over (done)", fix="fetch it")) == []
    assert said == [
        "the master can't be reached by ssh; trying again for 15 min",
        "it is over (done); fetch it",
    ]
    for name, ended in (("stack-gone", RunFailed), ("deadline-passed", DeadlinePassed)):
        with pytest.raises(ended):
            lines(Problem(code=name, what="over"))


def test_the_command_ends_when_somebody_deletes_the_stack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`logs --follow` asks the cloud that it found the stack in."""
    cloud = FakeCloud()
    stack = training(cloud)

    class Deleted(Broken):
        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing is open."""

        def python(self, *words: str, **more: Any) -> Any:
            if words[0] == "follow":
                cloud.delete(stack.id)
            return super().python(*words, **more)

    monkeypatch.setattr(access, "require_sdk", lambda: None)
    monkeypatch.setattr(access, "connect", lambda *_, **__: cloud)
    monkeypatch.setattr(shells, "shell_of", lambda *_: Deleted())
    with pytest.raises(RunFailed, match="digits is being deleted, so its logs end here"):
        _show(NAME, tmp_path, None, Wanted(follow=True), Told())


def test_consoles_are_followed_to_the_end_of_the_run_of_today() -> None:
    """The result of the run before a rerun ends nothing; a delete ends it, and is no success."""
    cloud = FakeCloud()
    made(cloud)
    stack = trained(cloud)
    master = next(each.id for each in cloud.resources(stack.id) if each.machine == "master")
    cloud.consoles[master] = "one\nhal"
    assert [line.text for line in of_consoles(cloud, stack, Wanted(follow=True), pytest.fail)] == ["one"]
    cloud.update(stack, {"rerun": "1"})
    sleeps: list[float] = []

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        if len(sleeps) == 2:
            cloud.delete(stack.id)

    lines = of_consoles(cloud, stack, Wanted(follow=True), sleep)
    assert next(lines).text == "one"
    with pytest.raises(RunFailed, match="is being deleted, so its logs end here"):
        list(lines)
    assert len(sleeps) == 2
