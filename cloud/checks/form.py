"""Findings about the form: what a dashboard can't show well, or shows and then refuses. Pure.

Labels that are too long, types, groups and other custom constraints are findings of structure.py. What is
in no group is in no form, so only its hidden default is looked at; without groups everything is shown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cloud.errors import Problem
from cloud.template.archive import CHANGED_BY_HORIZON
from cloud.template.form import KEY_PAIR, MAX_FIELDS, MAX_LABEL_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cloud.template.document import Path, Template

_EXPLAINED = ("range", "allowed_pattern")  # said in the dashboard by the constraint's description alone


def problems(template: Template) -> Iterator[Problem]:
    """Yield every finding about the form."""
    shown = _shown(template)
    if len(shown) > MAX_FIELDS:
        yield Problem(
            code="form-too-long",
            level="warning",
            what=f"the form has {len(shown)} fields without headings; people read about {MAX_FIELDS}",
            where=template.where("parameter_groups"),
            fix="take out of parameter_groups what has a good default; it can still be set elsewhere",
        )
    for number, line in enumerate(template.text.splitlines(), 1):
        if re.search(CHANGED_BY_HORIZON, line):
            yield Problem(
                code="horizon-changes",
                level="warning",
                what="this line has {$ or $}, which Horizon turns into {% or %}",
                where=f"{template.name}:{number}",
                fix="write it in another way, or launch this template from a terminal",
            )
    for name, schema in template.section("parameters").items():
        yield from _hidden(template, name, schema)
        if name in shown:
            yield from _label(template, name, schema)
            yield from _default(template, name, schema)
            yield from _constraints(template, name, schema)


def _shown(template: Template) -> list[str]:
    """Return the parameters that have a field, each once."""
    groups, known = template.document.get("parameter_groups"), template.section("parameters")
    if not isinstance(groups, list):
        return list(known)
    listed = [group.get("parameters") for group in groups if isinstance(group, dict)]
    names = [str(name) for names in listed if isinstance(names, list) for name in names]
    return [name for name in dict.fromkeys(names) if name in known]


def _hidden(template: Template, name: str, schema: Mapping[str, Any]) -> Iterator[Problem]:
    if schema.get("hidden") in (True, "true", "True") and schema.get("default") not in (None, ""):
        yield Problem(
            code="hidden-default",
            level="warning",
            what=f"{name} is hidden and has a default, which all can read in the template and in the page",
            where=template.where("parameters", name, "default"),
            fix="leave the default out, or hidden: true",
        )


def _label(template: Template, name: str, schema: Mapping[str, Any]) -> Iterator[Problem]:
    if not str(schema.get("label") or "").strip():
        yield Problem(
            code="label-missing",
            level="warning",
            what=f"{name} has no label, so the form shows its name and nothing that explains it",
            where=template.where("parameters", name),
            fix=f"write label: with what somebody must know, {MAX_LABEL_CHARACTERS} characters at most",
        )


def _default(template: Template, name: str, schema: Mapping[str, Any]) -> Iterator[Problem]:
    default, path = schema.get("default"), ("parameters", name, "default")
    if isinstance(default, str) and ("\n" in default or "\r" in default):
        yield Problem(
            code="default-multiline",
            what=f"{name} has a default of several lines, which the form joins without a word",
            where=template.where(*path),
            fix="write it as one line, or take the parameter out of parameter_groups",
        )
    has_range = any(isinstance(each.get("range"), dict) for _, each in _each_constraint(schema))
    if schema.get("type") == "number" and _is_fraction(default) and not has_range:  # else it breaks that
        yield _fraction(template, name, f"the default {default}", path)


def _constraints(template: Template, name: str, schema: Mapping[str, Any]) -> Iterator[Problem]:
    constraints = list(_each_constraint(schema))
    has_list = any("allowed_values" in each for _, each in constraints)
    for index, each in constraints:
        path: Path = ("parameters", name, "constraints", index)
        limits = each.get("range")
        for limit in limits.values() if isinstance(limits, dict) else ():
            if schema.get("type") == "number" and _is_fraction(limit):
                yield _fraction(template, name, f"{limit} in its range", path)
        if each.get("custom_constraint") == KEY_PAIR and has_list:
            yield Problem(
                code="constraints-contradict",
                what=f"{name} has allowed_values beside {KEY_PAIR}: the form offers all key pairs, "
                "and Heat refuses those that are not allowed",
                where=template.where(*path),
                fix="keep one of the two",
            )
        said = str(each.get("description") or "").strip()
        kind = next((key for key in _EXPLAINED if key in each), "")
        if kind and not said.endswith("."):
            yield Problem(
                code="constraint-unexplained",
                level="warning",
                what=f"{name} has {kind} without a whole sentence, which is all that somebody sees who errs",
                where=template.where(*path),
                fix=f"write description: {name} is … like …, with a full stop",
            )


def _each_constraint(schema: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    listed = schema.get("constraints")
    for index, each in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(each, dict):
            yield index, each


def _fraction(template: Template, name: str, where: str, path: Path) -> Problem:
    return Problem(
        code="number-with-fraction",
        what=f"{name} has {where}, but the form takes whole numbers only",
        where=template.where(*path),
        fix="count in a smaller unit, or write it as a string with an allowed_pattern",
    )


def _is_fraction(value: object) -> bool:
    """Whether a value is a number that is not whole, NaN and infinity too."""
    try:
        number = float(value) if isinstance(value, str | int | float) else 0.0
    except (ValueError, OverflowError):
        return False
    return not number.is_integer()
