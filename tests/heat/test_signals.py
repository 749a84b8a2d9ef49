"""The rehearsal's stand-in for Heat's wait condition, held against the real one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cloud.rehearse.signals import WaitCondition

if TYPE_CHECKING:
    from tests.heat.engine import Engine

GATE = {"id": "gate", "status": "SUCCESS", "data": {"server": "4f"}, "reason": "master: ready"}
FAILED = {
    "id": "gate",
    "status": "FAILURE",
    "data": None,
    "reason": "worker-3: environment: No matching distribution",
}
RESULT = {"id": "result", "status": "SUCCESS", "data": {"state": "done", "accuracy": 0.98}, "reason": "done"}
SEQUENCES: dict[str, list[Any]] = {
    "gate": [GATE],
    "gate, then result": [GATE, RESULT],
    "gate, then a failed result": [GATE, {**RESULT, "status": "FAILURE", "reason": "training failed"}],
    "failure": [FAILED],
    "failure, then success with the same id": [FAILED, GATE],
    "success, then failure with the same id": [GATE, FAILED],
    "two failures": [FAILED, {**FAILED, "id": "other", "reason": "worker-1: lost"}],
    "the same again": [GATE, GATE, RESULT, RESULT],
    "a foreign key": [{**GATE, "extra": 1}],
    "a foreign status": [{**GATE, "status": "DONE"}],
    "no status": [{"id": "gate", "data": "x", "reason": "y"}],
    "no id": [{"status": "SUCCESS", "data": "first"}, {"status": "SUCCESS", "data": "second"}],
    "empty": [{}],
    "nothing": [None],
    "a numeric id": [{**GATE, "id": 1}, {"status": "SUCCESS"}],
    "odd characters": [{**GATE, "reason": "ü € 100% \n second line"}],
    "data as text": [{**GATE, "data": "plain"}],
    "nothing at all": [],
}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("sequence", SEQUENCES.values(), ids=SEQUENCES)
def test_the_stand_in_judges_as_heat_does(engine: Engine, sequence: list[Any], count: int) -> None:
    """The same signals record the same data and end in the same state with the same reason."""
    handle, condition = engine.wait_condition(count)
    waiting = condition.handle_create()
    stand_in = WaitCondition(count=count)
    verdict = ("waiting", "")
    for body in sequence:
        assert recorded_by_heat(handle, body) == stand_in.signal(body)
        if verdict[0] == "waiting":
            verdict = one_look(condition, waiting)
    assert verdict == (stand_in.state, stand_in.reason)
    assert json.loads(condition.FnGetAtt("data")) == json.loads(json.dumps(stand_in.data))


def recorded_by_heat(handle: Any, body: Any) -> bool:
    """Signal a real handle; the service answers 200 to what it drops, so only the metadata tells."""
    before = handle.metadata_get(refresh=True)
    try:
        handle.signal(body)
    except Exception:  # noqa: BLE001 - what kind it is, is the engine's affair: a service logs and forgets it
        assert before == handle.metadata_get(refresh=True)
        return False
    return True


def one_look(condition: Any, waiting: Any) -> tuple[str, str]:
    """State and reason of a real condition, looked at once, as Heat does every few seconds."""
    from heat.engine.resources.wait_condition import WaitConditionFailure

    try:
        is_complete = condition.check_create_complete(waiting)
    except WaitConditionFailure as error:
        return "failed", str(error)
    return ("complete" if is_complete else "waiting"), ""
