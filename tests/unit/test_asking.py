from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cloud.errors import Problem
from cloud.stack.api import CloudError
from cloud.stack.launch import asking
from cloud.stack.launch.asking import AT_A_TIME, asked

COUNT = AT_A_TIME + 7


class Hanging:
    """A cloud that answers nothing until it is told to."""

    def __init__(self) -> None:
        self.begun: list[threading.Thread] = []
        self.goes_on = threading.Event()

    def question(self) -> str:
        """One question."""
        self.begun.append(threading.current_thread())
        assert self.goes_on.wait(30)
        return "answer"


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    """It, and a program that soon says that it waits."""
    monkeypatch.setattr(asking, "SAY_EVERY_S", 0.2)
    cloud = Hanging()
    yield cloud
    cloud.goes_on.set()


def questions(of: Callable[[], Any]) -> dict[str, Callable[[], Any]]:
    """More of them than are asked at a time."""
    return {f"q{number}": of for number in range(COUNT)}


def test_what_interrupts_the_waiting_leaves_at_once(hanging: Hanging) -> None:
    """No queued question is begun any more, and the end of the interpreter waits for none that was."""

    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        asked(questions(hanging.question), interrupted)
    assert not hanging.goes_on.is_set()
    assert len(hanging.begun) == AT_A_TIME
    assert all(thread.daemon for thread in hanging.begun)
    hanging.goes_on.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
    assert len(hanging.begun) == AT_A_TIME


def test_it_says_what_it_waits_for_and_brings_all_answers(hanging: Hanging) -> None:
    """So many at a time, each by its name."""
    said: list[str] = []

    def say(sentence: str) -> None:
        said.append(sentence)
        hanging.goes_on.set()

    found, failed = asked(questions(hanging.question), say)
    assert (found, failed) == (dict.fromkeys(questions(hanging.question), "answer"), {})
    assert "so far: q0, q1, q10, q2" in said[0]


def test_a_failure_is_kept_beside_the_answers() -> None:
    """One that is no CloudError is a bug, and raised."""
    error = CloudError(Problem(code="cloud-unreachable", what="no answer"), status=0)

    def refused() -> None:
        raise error

    assert asked({"a": refused, "b": lambda: 1}, print) == ({"b": 1}, {"a": error})
    with pytest.raises(ZeroDivisionError):
        asked({"a": refused, "b": lambda: 1 / 0}, print)
