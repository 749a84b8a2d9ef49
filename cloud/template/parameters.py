"""Parameters of a template + overrides -> values, checked as Heat checks them. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cloud.errors import Problem
from cloud.template.document import Template, near_miss

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TYPES = ("string", "number", "comma_delimited_list")
_SHOWN_CHARACTERS = 60
_CREDENTIALS = re.compile(r"//[^/@\s]*@")
Values = dict[str, Any]


def values(template: Template, overrides: Mapping[str, Any]) -> tuple[Values, list[Problem]]:
    """Return the values of the parameters, typed as Heat types them, and what is wrong with them."""
    found: Values = {}
    problems = list(_unknown(template, overrides))
    for name, schema in template.section("parameters").items():
        given = name in overrides
        raw = overrides[name] if given else schema.get("default")
        where = f"--parameter {name}" if given else template.where("parameters", name, "default")
        if raw is None:
            problems.append(_missing(template, name))
            continue
        try:
            found[name] = _typed(schema.get("type"), raw)
        except ValueError as error:
            problems.append(_invalid(name, raw, str(error), where))
            continue
        problems += _violations(name, schema, found[name], where)
    return found, problems


def redacted(value: object) -> str:
    """Return a value for a message: short, and without the user name and password of an address."""
    shown = _CREDENTIALS.sub("//…@", str(value))
    return shown if len(shown) <= _SHOWN_CHARACTERS else shown[: _SHOWN_CHARACTERS - 1] + "…"


def has_credentials(value: str) -> bool:
    """Whether a text holds an address with a user name or password in it."""
    return bool(_CREDENTIALS.search(value))


def violated(schema: Mapping[str, Any], value: Any) -> Iterator[str]:
    """Yield a sentence for each constraint of a parameter's schema that its typed value breaks."""
    constraints = schema.get("constraints")
    for constraint in constraints if isinstance(constraints, list) else []:
        if isinstance(constraint, dict) and not _holds(constraint, value):
            yield str(constraint.get("description") or _in_words(constraint))


def _typed(kind: object, raw: Any) -> Any:
    """Return a value as Heat gives it to `get_param`; ValueError says what it should have been."""
    if kind == "number":
        return raw if isinstance(raw, int | float) and not isinstance(raw, bool) else _number(str(raw))
    if kind == "comma_delimited_list":
        return (
            [str(item) for item in raw] if isinstance(raw, list) else str(raw).split(",") if raw != "" else []
        )
    if kind == "string":
        if isinstance(raw, dict | list):
            raise ValueError("it must be text; put quotes around it")
        return str(raw)
    raise ValueError(f"its type {kind!r} is none of {', '.join(TYPES)}")


def _number(text: str) -> int | float:
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    raise ValueError("it must be a number")


def _holds(constraint: Mapping[str, Any], value: Any) -> bool:
    if isinstance(constraint.get("range"), dict):
        is_whole = isinstance(value, int | float) and value == _whole(value)  # every number here is a count
        return is_whole and _within(value, constraint["range"])
    if isinstance(constraint.get("length"), dict):
        return hasattr(value, "__len__") and _within(len(value), constraint["length"])
    if isinstance(constraint.get("allowed_values"), list):
        items = value if isinstance(value, list) else [value]
        return all(item in constraint["allowed_values"] for item in items)
    if isinstance(constraint.get("allowed_pattern"), str):
        try:
            match = re.match(constraint["allowed_pattern"], value) if isinstance(value, str) else None
        except re.error:
            return True  # the pattern itself is a finding of its own
        return match is not None and match.end() == len(value)
    return True  # custom constraints are the cloud's to check


def _whole(value: float) -> float:
    """Return the whole number of a value, NaN (equal to nothing) for what has none."""
    return int(value) if abs(value) < 1e15 else float("nan")


def _within(value: float, limits: Mapping[str, Any]) -> bool:
    low, high = limits.get("min"), limits.get("max")
    above = not isinstance(low, int | float) or value >= low
    return above and (not isinstance(high, int | float) or value <= high)


def _in_words(constraint: Mapping[str, Any]) -> str:
    kind = next((key for key in constraint if key != "description"), "constraint")
    return f"{kind} {constraint.get(kind)}"


def _unknown(template: Template, overrides: Mapping[str, Any]) -> Iterator[Problem]:
    known = template.section("parameters")
    for name in overrides:
        if name not in known:
            what = f"{name} is not a parameter of {template.name}"
            yield Problem(
                code="unknown-parameter", what=what, where=f"--parameter {name}", fix=near_miss(name, known)
            )


def _missing(template: Template, name: str) -> Problem:
    return Problem(
        code="parameter-missing",
        what=f"{name} has no default and no value",
        where=template.where("parameters", name),
        fix=f"--parameter {name}=VALUE, or write a default",
    )


def _violations(name: str, schema: Mapping[str, Any], value: Any, where: str) -> list[Problem]:
    sentences = dict.fromkeys(violated(schema, value))  # length and pattern often share one
    return [_invalid(name, value, sentence, where) for sentence in sentences]


def _invalid(name: str, value: Any, sentence: str, where: str) -> Problem:
    return Problem(
        code="parameter-invalid", what=f"{name} is {redacted(repr(value))}: {sentence}", where=where
    )
