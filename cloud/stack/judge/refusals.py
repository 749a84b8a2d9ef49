"""Questions that failed -> problems: what Heat refused, and what nobody answered. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cloud.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cloud.stack.api import CloudError
    from cloud.stack.judge.case import Case

_OPTIONAL = {  # a stack can be made without the answer
    "quotas": "what the project's quotas leave is not known",
    "key_names": "whether the key pair exists is not known",
    "free_floating_ips": "whether a floating IP lies idle is not known",
    "reservations": "what the leases hold is not known",
}
_HEAT_NAMES = re.compile(r"Parameter '(\w+)' is invalid|Error validating value '([^']*)'")


def refusals(failed: Mapping[str, CloudError], known: Iterable[Problem], case: Case) -> list[Problem]:
    """Return a problem for each question that failed, but for what the known ones explain better."""
    said = list(known)
    return [problem for problem in _all(failed) if not _is_said_already(problem, said, case)]


def _all(failed: Mapping[str, CloudError]) -> Iterator[Problem]:
    """Yield what Heat refused, and which questions had no answer."""
    for question, error in failed.items():
        for problem in error.problems:
            if question == "preview" and error.status == 409:  # the name: a judge's own finding
                continue
            if question in ("preview", "validate") and 400 <= error.status < 500:
                yield Problem(
                    code="template-refused", what=f"template: {_sentence(problem.what)}", fix=problem.fix
                )
                continue
            if question in ("stack", "heat_version"):
                continue  # whatever keeps Heat from answering is said of its preview
            effect = _OPTIONAL.get(question, "")
            what = f"{question.replace('_', ' ')}: {problem.what}" + (f"; {effect}" if effect else "")
            yield Problem(
                code="question-unanswered", level="warning" if effect else "error", what=what, fix=problem.fix
            )


def _sentence(what: str) -> str:
    return what if len(what) <= 600 else what[:599] + "…"  # Heat may repeat a whole property


def _is_said_already(refusal: Problem, problems: Iterable[Problem], case: Case) -> bool:
    """Whether Heat's refusal is about a parameter that another problem explains better.

    Heat names one wrong value at a time, by its parameter or by the value itself.
    """
    said = {problem.what.split(" ", 1)[0]: problem for problem in problems if problem.level == "error"}
    words = {word for problem in said.values() for word in problem.what.split()[:4]}
    for parameter, value in _HEAT_NAMES.findall(refusal.what):
        if parameter and parameter in words:
            return True
        if value and any(case.value(known) == value for known in words if known in case.plan.parameters):
            return True
    return False
