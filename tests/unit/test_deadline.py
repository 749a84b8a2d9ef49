from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from cloud.stack import deadline
from tests.unit.fake_cloud import START, FakeCloud
from tests.unit.stacks import made

HOUR = dt.timedelta(hours=1)


def test_the_deadline_is_creation_and_max_hours() -> None:
    """Whoever made the stack: both are in Heat."""
    found = deadline.deadline_of(made(FakeCloud(), max_hours="2.5"))
    assert found is not None
    assert found.at == START + 2.5 * HOUR
    assert not found.is_past(START + 2.4 * HOUR)
    assert found.is_past(START + 2.5 * HOUR)
    assert deadline.sentence(found, START + HOUR) == "until 2026-01-01 14:30 UTC, 1 h 30 min left"
    assert (
        deadline.sentence(found, START + 3 * HOUR) == "its time was over at 2026-01-01 14:30 UTC, 30 min ago"
    )


@pytest.mark.parametrize("value", ["", "soon", "nan", "-1", "0", "1e9"])
def test_a_value_that_is_no_time_is_no_deadline(value: str) -> None:
    """Nothing is deleted for a number that can't be."""
    stack = dataclasses.replace(made(FakeCloud()), parameters={"max_hours": value})
    assert deadline.deadline_of(stack) is None


@pytest.mark.parametrize("value", ["9999.9", "8761"])
def test_every_value_of_the_form_is_a_deadline(value: str) -> None:
    """What the template's pattern allows is never without a deadline."""
    stack = dataclasses.replace(made(FakeCloud()), parameters={"max_hours": value})
    assert deadline.deadline_of(stack) is not None


def test_reservations_are_found_in_hints_and_flavors() -> None:
    """Bare metal has hints, KVM a flavor of the reservation's name."""
    found = deadline.reservations(
        {"master_flavor": "reservation:a", "worker_flavor": "reservation:a", "worker_reservation": "b"}
    )
    assert found == ("b", "a")
