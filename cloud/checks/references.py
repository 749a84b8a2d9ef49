"""Findings about references: functions that name what is not there, names that are nearly functions. Pure."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from cloud.errors import Problem
from cloud.template import functions
from cloud.template.document import near_miss

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.template.document import Path, Template

PSEUDO_PARAMETERS = ("OS::stack_name", "OS::stack_id", "OS::project_id")


def problems(template: Template) -> Iterator[Problem]:
    """Yield every function that names nothing, or is none."""
    for section in ("conditions", "resources", "outputs"):
        yield from _in(template, template.document.get(section), (section,))


def _in(template: Template, item: Any, path: Path) -> Iterator[Problem]:
    if isinstance(item, dict):
        if len(item) == 1:
            ((function, arguments),) = item.items()
            yield from _reference(template, str(function), arguments, (*path, str(function)))
            if "properties" in path or path[0] in ("conditions", "outputs"):
                yield from _misspelt(template, str(function), (*path, str(function)))
        for key, part in item.items():
            yield from _in(template, part, (*path, str(key)))
    elif isinstance(item, list):
        for index, part in enumerate(item):
            yield from _in(template, part, (*path, index))


def _reference(template: Template, function: str, arguments: Any, path: Path) -> Iterator[Problem]:
    first = arguments[0] if isinstance(arguments, list) and arguments else arguments
    if isinstance(first, dict | list):
        return
    if function == "get_param" and first not in (*template.section("parameters"), *PSEUDO_PARAMETERS):
        yield undefined(template, path, "parameter", first, template.section("parameters"))
    elif function in ("get_resource", "get_attr") and first not in template.section("resources"):
        yield undefined(template, path, "resource", first, template.section("resources"))
    elif function == "if" and isinstance(first, str):
        yield from condition(template, first, path)


def _misspelt(template: Template, name: str, path: Path) -> Iterator[Problem]:
    """A map of one key that is nearly a function's name, which Heat would take for a plain map."""
    near = get_close_matches(name, functions.NAMES, 1, cutoff=0.8)
    if near and name not in functions.NAMES and "params" not in path:
        what = f"{name} is not a function of Heat"
        yield Problem(
            code="unknown-key", what=what, where=template.where(*path), fix=f"did you mean {near[0]}?"
        )


def condition(template: Template, name: str, path: Path) -> Iterator[Problem]:
    """Yield a finding when a condition is named that the template does not have."""
    known = template.document.get("conditions")
    names = [str(key) for key in known] if isinstance(known, dict) else []
    if name not in names:
        yield undefined(template, path, "condition", name, names)


def undefined(template: Template, path: Path, kind: str, name: object, known: Any) -> Problem:
    """Return the finding that something of a kind is named and not there."""
    what = f"{path[-1]} names {name}, which is not a {kind} of {template.name}"
    return Problem(
        code=f"{kind}-undefined", what=what, where=template.where(*path), fix=near_miss(name, known)
    )
