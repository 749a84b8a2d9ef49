"""Every fault ends in a proven recovery or in its own named error, and nothing is left over.

FAULTS_SCHEDULES (6) schedules by chance come from FAULTS_SEED, which is printed; 20 take some ten minutes more.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from tests.faults.rows import ROWS, UNDISTURBED, Row, schedule

if TYPE_CHECKING:
    from tests.faults.rehearsed import Bench, Outcome

pytestmark = pytest.mark.rehearsal
SCHEDULES = int(os.environ.get("FAULTS_SCHEDULES", "6"))
SEED = int(os.environ.get("FAULTS_SEED", random.randrange(10_000)))
CHANCES = [schedule(SEED, number) for number in range(SCHEDULES)]


def judge(outcome: Outcome, bench: Bench) -> None:
    """A recovered run has the undisturbed one's weights to the bit; a failed one names machine and reason."""
    row = outcome.row
    if row.becomes == "recovered":
        assert (outcome.exit_code, outcome.errors) == (0, []), str(outcome)
        weights = bench.outcome(UNDISTURBED[row.workers]).document["result"]["weights"]
        assert outcome.document["result"]["weights"] == weights, str(outcome)
        world = outcome.document["world_size"]
        assert world["proven"] == world["expected"] == row.workers + 1
        return
    assert outcome.exit_code == 5, str(outcome)
    first = outcome.errors[0]
    assert first["code"] in row.codes, str(outcome)
    assert row.names in f"{first['node']} {first['what']}", str(outcome)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_fault_is_recovered_from_or_named(row: Row, outcome: Outcome, bench: Bench) -> None:
    """One fault, one restart: what may pass costs minutes, what may not has a name."""
    judge(outcome, bench)
    if row.becomes == "recovered":
        assert outcome.document["attempts"] == len(outcome.recoveries) + 1 <= 2, str(outcome)


@pytest.mark.parametrize("row", CHANCES, ids=[f"seed {SEED} number {n}" for n in range(SCHEDULES)])
def test_faults_by_chance_end_well_or_by_name(row: Row, outcome: Outcome, bench: Bench) -> None:
    """What is made only of faults that pass is recovered from; the others fail as their worst fault does."""
    judge(outcome, bench)
