"""What a cluster costs, and what ends the cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cloud.errors import RequestError
from cloud.stack.judge import prices
from tests.unit.judged import CHAMELEON, RESERVED, case, flavor, lease

if TYPE_CHECKING:
    from pathlib import Path


def test_the_cost_is_a_sum_with_what_ends_it() -> None:
    """From a table of one's own; without one only what ends the cost is known."""
    table = prices.Prices(unit="EUR", each={"m1.medium": 0.05})
    told = list(prices.cost(case(), table))

    assert (
        told[0]
        == "price: 1 × 0.05 + 2 × 0.05 = 0.15 EUR per hour; at most 3.60 EUR until the deadline of 24 h"
    )
    assert told[-1].endswith("hotrun down digits, or hotrun reap")
    assert not any("price" in line for line in prices.cost(case()))


def test_a_lease_is_charged_until_it_ends() -> None:
    """Deleting the stack saves nothing; the line that ends the lease does."""
    flavors = (flavor("reservation:r1"),)
    told = list(
        prices.cost(case(CHAMELEON, RESERVED, flavors=flavors, has_blazar=True, reservations=(lease(),)))
    )

    assert told[0] == "price: 1 × 0.04 + 2 × 0.04 = 0.12 SU per hour; charged for all of the lease"
    assert told[-1].endswith("openstack reservation lease delete mine")


@pytest.mark.parametrize(
    "content", ["- 1\n", "m1.medium: cheap\n", "m1.medium: -1\n", "m1.medium: true\n", "a: [\n"]
)
def test_a_price_is_a_number(content: str, tmp_path: Path) -> None:
    """A table that is none is refused before the cloud is asked."""
    (tmp_path / "p.yml").write_text(content)

    with pytest.raises(RequestError):
        prices.read(tmp_path / "p.yml")


def test_a_price_table_names_its_unit(tmp_path: Path) -> None:
    """Beside the flavors."""
    (tmp_path / "p.yml").write_text("unit: EUR\nm1.medium: 0.05\n")

    assert prices.read(tmp_path / "p.yml") == prices.Prices(unit="EUR", each={"m1.medium": 0.05})


@pytest.mark.parametrize(("given", "expected"), [("0.5", "0.5 h"), ("5", "5 h"), ("120", "120 h")])
def test_the_hours_are_those_of_the_parameter(given: str, expected: str) -> None:
    """What a plan promises about the end, and what it costs until then, is what the machines were told."""
    said = " ".join(
        prices.cost(case(overrides={"max_hours": given}), prices.Prices(unit="", each={"m1.medium": 2}))
    )

    assert f"or {expected} after the first start" in said
    assert f"at most {2 * 3 * float(given):.2f} until the deadline of {expected}" in said
