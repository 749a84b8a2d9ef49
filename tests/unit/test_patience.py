"""Calls that fail are tried again: how often, how long, and who hears of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from cloud.stack.sdk.patience import LONGEST_PAUSE_S, Patience, Refusal


@dataclass
class Clock:
    """A time that passes only by sleeping."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Pass."""
        self.slept.append(seconds)
        self.now += seconds

    def patience(self, chance: float = 1.0, **other: float) -> Patience:
        """A patience in this time."""
        return Patience(
            note=self.said.append, clock=lambda: self.now, sleep=self.sleep, chance=lambda: chance, **other
        )


@dataclass
class Call:
    """Fails as it is told, then answers."""

    statuses: list[int]
    retry_after_s: float = 0.0
    count: int = 0

    def __call__(self) -> str:
        """Fail or answer."""
        self.count += 1
        if self.statuses:
            raise Refusal(self.statuses.pop(0), "no", service="Heat", retry_after_s=self.retry_after_s)
        return "yes"


@pytest.mark.parametrize("status", [0, 408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    """No answer, 408, 429 and 5xx of a gateway or an API are tried again."""
    call = Call([status, status])
    assert Clock().patience().done(call) == "yes"
    assert call.count == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 495, 501])
def test_an_answer_is_an_answer(status: int) -> None:
    """What an API has decided is not asked a second time."""
    call = Call([status])
    with pytest.raises(Refusal):
        Clock().patience().done(call)
    assert call.count == 1


@pytest.mark.parametrize(("status", "count"), [(0, 1), (500, 1), (502, 1), (504, 1), (429, 2), (503, 2)])
def test_what_may_be_done_is_not_done_twice(status: int, count: int) -> None:
    """A call that must not happen twice is tried again only where the API did not take it."""
    call = Call([status])
    try:
        Clock().patience().done(call, is_repeatable=False)
    except Refusal:
        assert status not in {429, 503}
    assert call.count == count


def test_500_is_believed_at_the_third() -> None:
    """An internal error rarely passes: three tries."""
    call = Call([500] * 9)
    with pytest.raises(Refusal):
        Clock().patience().done(call)
    assert call.count == 3


def test_pauses_grow_to_a_limit() -> None:
    """Each pause is twice the one before, 20 s at most."""
    clock = Clock()
    with pytest.raises(Refusal):
        clock.patience().done(Call([503] * 99))
    assert clock.slept[:6] == [1, 2, 4, 8, 16, LONGEST_PAUSE_S]
    assert max(clock.slept) == LONGEST_PAUSE_S


def test_half_of_a_pause_is_chance() -> None:
    """Clients that failed together don't come back together."""
    early, late = Clock(), Clock()
    early.patience(chance=0.0).done(Call([503, 503]))
    late.patience(chance=1.0).done(Call([503, 503]))
    assert early.slept == [0.5, 1.0]
    assert late.slept == [1.0, 2.0]


def test_the_time_is_bounded() -> None:
    """All ends within the time after the first failure."""
    clock = Clock()
    with pytest.raises(Refusal):
        clock.patience(limit_s=180.0).done(Call([503] * 999))
    assert 150.0 < sum(clock.slept) <= 180.0


def test_what_the_api_asks_for_is_waited() -> None:
    """Retry-After counts, up to a minute."""
    clock = Clock()
    clock.patience().done(Call([429], retry_after_s=7.0))
    clock.patience().done(Call([429], retry_after_s=9999.0))
    assert clock.slept == [7.0, 60.0]


def test_a_long_wait_is_said_and_a_short_one_not() -> None:
    """A word when it takes two seconds, then one in 15 s; it names who and how long."""
    clock = Clock()
    clock.patience().done(Call([502]))
    assert clock.said == []
    clock.patience().done(Call([0, 0, 0, 0, 0, 0]))
    assert clock.said[0] == "Heat does not answer; asking again for 3 min at most"
    assert len(clock.said) == 2


def test_other_errors_pass_through() -> None:
    """What is no refusal is not caught."""
    with pytest.raises(ZeroDivisionError):
        Clock().patience().done(lambda: 1 / 0)
