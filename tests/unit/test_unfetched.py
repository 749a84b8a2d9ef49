from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from cloud.errors import Problem
from cloud.stack import told
from cloud.stack.down import unfetched
from cloud.stack.record import Record
from tests.unit.signalled import gate, result, stack, trouble

KEPT = Record(cloud="here", name="digits-1", template_sha256="", stack_id="stack-id")


def at_stake(signals: dict[str, Any], kept: Record | None = KEPT, **changes: Any) -> Problem | None:
    """Why this stack must not be deleted."""
    outputs = changes.pop("outputs_of", {})
    found = stack(signals, **changes)
    found = dataclasses.replace(found, outputs={**found.outputs, **outputs})
    heard = told.read(found, "id-master", ["id-worker-1"])
    return unfetched.at_stake(found, heard, kept)


def test_a_run_that_never_said_how_it_ended_may_have_results() -> None:
    """Whatever a worker said that lost the master; once it was fetched it may go."""
    lost = {"state": "failed", "server": "id-worker-1", "run": "r1", "problems": [trouble()]}
    problem = at_stake({"gate": gate(), "worker-1": lost})
    assert problem is not None
    assert problem.code == "results-not-fetched"
    assert "never said how it ended: its results may be on the master" in problem.what
    assert at_stake({"gate": gate(), "worker-1": lost}, KEPT.brought("r1")) is None


@pytest.mark.parametrize(
    "newer", [{"gate-1": gate("failed", run="r2")}, {"gate-1": gate(run="r2"), "result-1": result(run="r2")}]
)
def test_every_run_of_the_stack_is_protected(newer: dict[str, Any]) -> None:
    """A later run, also one that trained nothing, does not give the earlier one's results away."""
    signals = {"gate": gate(), "result": result(), **newer}
    problem = at_stake(signals, KEPT.brought("r2"))
    assert problem is not None
    assert (problem.code, "earlier run r1" in problem.what) == ("results-not-fetched", True)
    assert "--discard" in problem.fix
    assert at_stake(signals, KEPT.brought("r1").brought("r2")) is None


def test_an_earlier_run_without_an_end_is_protected_too() -> None:
    """Its gate was passed, so it may have written something."""
    newer = {"gate-1": gate(run="r2"), "result-1": result(run="r2")}
    assert at_stake({"gate": gate(), **newer}, KEPT.brought("r2")) is not None
    assert at_stake({"gate": gate("failed"), **newer}, KEPT.brought("r2")) is None


def test_what_a_machine_told_that_is_gone_is_gone() -> None:
    """Its results went with its disk."""
    newer = {"gate-1": gate(run="r2"), "result-1": result(run="r2")}
    assert at_stake({"result": result(server="id-before"), **newer}, KEPT.brought("r2")) is None


def test_a_silent_stack_must_be_fetched_once_for_each_run() -> None:
    """Nothing else says how many results it has."""
    silent = {"signal_transport": "NO_SIGNAL", "rerun": "1"}
    assert at_stake({}, KEPT.brought("r1"), parameters=silent) is not None
    assert at_stake({}, KEPT.brought("r1").brought("r2"), parameters=silent) is None


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"external_network": "", "key_name": "laptop"}, "it has no external network"),
        ({"external_network": "public", "key_name": ""}, "it has no key pair"),
    ],
)
def test_where_no_ssh_leads_the_way_on_is_one_that_works(parameters: dict[str, str], why: str) -> None:
    """`fetch` brings what Heat was told and never takes the refusal away: `down --discard` is named with it."""
    problem = at_stake({"gate": gate(), "result": result()}, parameters=parameters)
    assert problem is not None
    assert problem.fix.startswith(f"{why}, so hotrun fetch digits-1 brings only what Heat was told")
    assert problem.fix.endswith("hotrun down digits-1 --discard")
    inside = at_stake(
        {"gate": gate(), "result": result()}, parameters=parameters, outputs_of={"floating_ip": "192.0.2.7"}
    )
    assert inside is not None
    assert ("no external network" in inside.fix) is False


def test_an_earlier_run_is_fetched_by_its_id() -> None:
    """The refusal names it as `fetch --run` takes it."""
    signals = {"gate": gate(), "result": result(), "gate-1": gate(run="r2"), "result-1": result(run="r2")}
    problem = at_stake(signals, KEPT.brought("r2"))
    assert problem is not None
    assert "hotrun fetch digits-1 --run r1" in problem.fix
    assert at_stake(signals, KEPT.brought("r2").brought("r1", is_newest=False)) is None


def test_a_record_of_before_the_list_counts_as_it_did() -> None:
    """It has the last run that was fetched."""
    assert (
        at_stake({"gate": gate(), "result": result()}, Record(**{**json_of(KEPT), "fetched_run": "r1"}))
        is None
    )


def json_of(kept: Record) -> dict[str, Any]:
    """The fields that an older file has."""
    fields = ("cloud", "name", "template_sha256", "stack_id")
    return json.loads(json.dumps({name: getattr(kept, name) for name in fields}))  # type: ignore[no-any-return]
