"""Template text -> every problem that can be found without a cloud. Pure, and never raises.

What is looked at, in cloud/checks/: structure (sections and keys), form (what a dashboard can't show well),
references (names that lead nowhere), limits (sizes and what machines receive), exposure (ports, secrets).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloud.checks import exposure, form, limits, references, structure
from cloud.errors import Problem, ProblemsFound
from cloud.template import parameters
from cloud.template.document import Template, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NOTHING: Mapping[str, Any] = {}


def problems(text: str, overrides: Mapping[str, Any] = _NOTHING, name: str = "template.yml") -> list[Problem]:
    """Return all findings: errors first, then by line; those about overrides have none."""
    try:
        template = load(text, name)
    except ProblemsFound as found:
        return list(found.problems)
    return of_template(template, overrides)


def of_template(template: Template, overrides: Mapping[str, Any] = _NOTHING) -> list[Problem]:
    """Return all findings about a template that was read."""
    _, about_defaults = parameters.values(template, _NOTHING)
    values, about_values = parameters.values(template, overrides)
    found = [*about_values, *about_defaults, *structure.problems(template), *form.problems(template)]
    found += references.problems(template)
    is_complete = set(template.section("parameters")) <= set(values)
    if is_complete and not any(problem.code.endswith("-undefined") for problem in found):
        found += limits.problems(template, values)
        found += exposure.problems(template, values)
    return sorted(dict.fromkeys(found), key=lambda problem: (problem.level != "error", _line(problem)))


def is_error(found: Iterable[Problem]) -> bool:
    """Whether anything found keeps the template from being used."""
    return any(problem.level == "error" for problem in found)


def _line(problem: Problem) -> int:
    line = problem.where.rpartition(":")[2]
    return int(line) if line.isdigit() else 0
