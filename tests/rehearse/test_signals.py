"""Heat's rules for signals; tests/heat holds the same class against the real engine."""

from __future__ import annotations

import pytest

from cloud.rehearse.signals import WaitCondition, is_storable


def test_success_completes_and_later_signals_only_add_data() -> None:
    """A FAILURE after completion is kept as data and changes nothing else."""
    condition = WaitCondition(count=1)
    assert condition.signal({"id": "gate", "status": "SUCCESS", "reason": "ready", "data": 1})
    assert condition.signal({"id": "result", "status": "FAILURE", "reason": "oom", "data": {"rc": 137}})
    assert (condition.state, condition.reason) == ("complete", "")
    assert condition.data == {"gate": 1, "result": {"rc": 137}}


def test_failure_before_completion_fails_for_good() -> None:
    """The reason is that of the failures, and a later success does not mend it."""
    condition = WaitCondition(count=1)
    condition.signal({"id": "gate", "status": "FAILURE", "reason": "worker-3: environment"})
    condition.signal({"id": "gate", "status": "SUCCESS"})
    assert (condition.state, condition.reason) == ("failed", "worker-3: environment")


@pytest.mark.parametrize(
    "body", [{"status": "DONE"}, {"status": "SUCCESS", "extra": 1}, ["SUCCESS"], "SUCCESS"]
)
def test_bodies_against_the_rules_are_dropped(body: object) -> None:
    """Other keys, other statuses and other shapes are not recorded."""
    condition = WaitCondition()
    assert not condition.signal(body)
    assert (condition.state, condition.data) == ("waiting", {})


def test_missing_ids_are_numbers_and_collide_with_explicit_ones() -> None:
    """The number is that of the signals so far plus one, so it can overwrite an explicit id."""
    condition = WaitCondition(count=3)
    for body in ({"id": 2, "data": "a"}, {"data": "b"}, {"data": "c"}):
        condition.signal(body)
    assert (condition.data, condition.state) == ({"2": "b"} | {"2": "c"}, "waiting")


@pytest.mark.parametrize(
    ("reason", "expected"), [("ü € 100%\nx", True), ("no 🙂", False), ("x" * 70_000, False)]
)
def test_reasons_that_hang_a_real_stack_are_known(reason: str, expected: bool) -> None:
    """Characters above U+FFFF and very long texts don't fit the database's column."""
    condition = WaitCondition()
    condition.signal({"id": "gate", "reason": reason})
    assert is_storable(reason) is expected
    assert condition.unstorable == ([] if expected else ["gate"])
