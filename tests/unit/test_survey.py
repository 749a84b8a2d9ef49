"""A cloud is asked and judged: what it refuses, and services that do not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from cloud import plan
from cloud.errors import Problem
from cloud.stack.api import CloudError
from cloud.stack.judge import judge
from cloud.stack.judge.refusals import refusals
from cloud.stack.launch.survey import survey, to_send
from tests.unit.judged import ELSEWHERE, NOW, case, flavor, network, room

if TYPE_CHECKING:
    from cloud.stack.api import Cloud


def test_what_heat_refuses_is_not_said_twice() -> None:
    """A judge's sentence has the near miss, Heat's has not; what no judge knows stays."""
    refused = "Parameter 'image' is invalid: Error validating value 'x': No images matching {'name': 'x'}."
    other = "Property error: resources.gate.properties.timeout: 0 is out of range"
    it = case(ELSEWHERE, {"image": "x"})
    known = judge(it)[1]

    def told(sentence: str) -> list[str]:
        error = CloudError(Problem(code="cloud-refused", what=sentence), status=400)
        return [problem.what for problem in refusals({"preview": error}, known, it)]

    assert told(refused) == []
    assert told(other) == [f"template: {other}"]


def test_a_service_that_does_not_answer_is_its_own_problem() -> None:
    """What a stack can do without is a warning."""
    error = CloudError(Problem(code="cloud-unreachable", what="no answer from Nova"), status=0)
    problems = refusals({"flavors": error, "quotas": error}, [], case())

    assert [(problem.code, problem.level) for problem in problems] == [
        ("question-unanswered", "error"), ("question-unanswered", "warning"),
    ]  # fmt: skip


class Answering:
    """A cloud that answers from a table; what is not in it is not answered."""

    label = "lab / one / project x"
    is_application_credential = False

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def __getattr__(self, name: str) -> Any:
        def ask(*_: object) -> Any:
            if name not in self.answers:
                raise CloudError(Problem(code="cloud-unreachable", what=f"no answer to {name}"), status=0)
            return self.answers[name]

        return ask


def test_one_silent_service_hides_no_other_problem() -> None:
    """The rest is asked and judged all the same."""
    answers = {
        "validate": None, "preview": 13, "flavors": [flavor()], "networks": [network()], "key_names": ["laptop"],
        "quotas": room(instances=1), "reservations": None, "stack": None, "heat_version": "19",
        "free_floating_ips": 0,
    }  # fmt: skip
    seen = survey(cast("Cloud", Answering(**answers)), plan.make(ELSEWHERE), "x", now=NOW)

    assert not seen.is_ready
    errors = [problem.code for problem in seen.problems if problem.level == "error"]
    assert errors == ["quota-too-small", "question-unanswered"]
    assert seen.ok[0] == "template accepted by Heat 19 (validate, preview: 13 resources)"
    assert {"ok", "error", "cost"} <= {line.level for line in seen.lines}


def test_a_cloud_that_answers_nothing_is_one_problem() -> None:
    """Not ten."""
    with pytest.raises(CloudError, match="no answer to") as caught:
        survey(cast("Cloud", Answering()), plan.make(ELSEWHERE), "x", now=NOW)

    assert len(caught.value.problems) == 1


def test_only_what_differs_is_sent() -> None:
    """Heat fills in the rest, and a changed default stays visible in the template."""
    planned = plan.make(ELSEWHERE, {"workers": "2", "dns_nameservers": "1.1.1.1,8.8.8.8", "image": "x"})

    assert to_send(planned) == {"image": "x", "dns_nameservers": "1.1.1.1,8.8.8.8"}
