"""Findings about the form of a template: sections, keys, names that lead nowhere. Pure.

What Heat would refuse is found here without a cloud, and what Horizon's form would spoil.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from cloud.checks import references
from cloud.errors import Problem
from cloud.template.document import OURS, Path, Template, near_miss
from cloud.template.form import KEY_PAIR, MAX_LABEL_CHARACTERS
from cloud.template.parameters import TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAT_VERSIONS = ("2018-08-31", "rocky", "2021-04-16", "wallaby")
SECTIONS = (
    "heat_template_version",
    "description",
    "parameter_groups",
    "parameters",
    "conditions",
    "resources",
    "outputs",
)
PARAMETER_KEYS = ("type", "label", "description", "default", "hidden", "constraints", "immutable", "tags")
RESOURCE_KEYS = (
    "type",
    "properties",
    "metadata",
    "depends_on",
    "update_policy",
    "deletion_policy",
    "external_id",
    "condition",
)
OUTPUT_KEYS = ("description", "value", "condition")
CONSTRAINTS = (
    "range",
    "length",
    "allowed_values",
    "allowed_pattern",
    "custom_constraint",
    "modulo",
    "description",
)


def problems(template: Template) -> Iterator[Problem]:
    """Yield every finding about form."""
    for look in (_version, _sections, _needed, _parameters, _groups, _same_names, _resources):
        yield from look(template)


def _version(template: Template) -> Iterator[Problem]:
    found = str(template.document.get("heat_template_version"))
    if found not in HEAT_VERSIONS:
        yield Problem(
            code="heat-version",
            what=f"heat_template_version is {found}; {' or '.join(HEAT_VERSIONS)} is needed",
            where=template.where("heat_template_version"),
            fix=f"write heat_template_version: '{HEAT_VERSIONS[0]}'",
        )


def _sections(template: Template) -> Iterator[Problem]:
    for name, content in template.document.items():
        if name not in SECTIONS:
            yield _unknown_key(template, (name,), SECTIONS)
        elif name in ("parameters", "conditions", "resources", "outputs"):
            yield from _entries(template, name, content)
        elif name == "parameter_groups" and not isinstance(content, list):
            yield _shape(template, (name,), "a list of groups")


def _entries(template: Template, section: str, content: object) -> Iterator[Problem]:
    if not isinstance(content, dict):
        yield _shape(template, (section,), "a map of names")
        return
    keys = {"parameters": PARAMETER_KEYS, "resources": RESOURCE_KEYS, "outputs": OUTPUT_KEYS}.get(section)
    for name, entry in content.items():
        if keys is None:
            continue
        if not isinstance(entry, dict):
            yield _shape(template, (section, str(name)), "a map")
            continue
        for key in entry:
            if key not in keys:
                yield _unknown_key(template, (section, str(name), str(key)), keys)
        needed = "value" if section == "outputs" else "type"
        if needed not in entry:
            yield _shape(template, (section, str(name)), f"a map with the key {needed}")


def _needed(template: Template) -> Iterator[Problem]:
    """What no cluster works without: boot, master and worker_group, by name, type and form."""
    found = template.document.get("resources", {})
    if not isinstance(found, dict):
        return  # named above
    for name, kind in OURS.items():
        path: Path = ("resources", name)
        entry = found.get(name)
        if name not in found:
            what = f"resources has no {name}, and no cluster works without it"
            near = get_close_matches(name, map(str, found), 1)
            fix = f"rename {near[0]} to {name}" if near else "restore it as it was generated"
            yield Problem(code="resource-undefined", what=what, where=template.where(*path), fix=fix)
        elif isinstance(entry, dict) and entry.get("type", kind) != kind:
            yield _shape(template, (*path, "type"), kind)
    if isinstance(found.get("boot"), dict) and not template.boot:
        path = ("resources", "boot", "properties", "config")
        yield _shape(template, path, "str_replace_strict of the boot script (template) and the job (params)")


def _parameters(template: Template) -> Iterator[Problem]:
    for name, schema in template.section("parameters").items():
        path = ("parameters", name)
        if "type" in schema and schema["type"] not in TYPES:
            yield Problem(
                code="parameter-type",
                what=f"{name} has the type {schema['type']}; {', '.join(TYPES)} are possible",
                where=template.where(*path, "type"),
            )
        label = str(schema.get("label", ""))
        if len(label) > MAX_LABEL_CHARACTERS:
            what = f"{name} has a label of {len(label)} characters; forms show {MAX_LABEL_CHARACTERS} a line"
            yield Problem(
                code="label-too-long", level="warning", what=what, where=template.where(*path, "label")
            )
        constraints = schema.get("constraints", [])
        if not isinstance(constraints, list):
            yield _shape(template, (*path, "constraints"), "a list")
            continue
        for index, constraint in enumerate(constraints):
            yield from _constraint(template, name, constraint, (*path, "constraints", index))


def _constraint(template: Template, name: str, constraint: object, path: Path) -> Iterator[Problem]:
    if not isinstance(constraint, dict) or not set(constraint) & set(CONSTRAINTS) - {"description"}:
        yield _shape(template, path, f"one of {', '.join(CONSTRAINTS[:-1])}")
        return
    custom, pattern = constraint.get("custom_constraint"), constraint.get("allowed_pattern")
    if custom not in (None, KEY_PAIR):
        yield Problem(
            code="custom-constraint",
            where=template.where(*path),
            what=f"{name} has the constraint {custom}, for which the dashboard shows an empty or wrong list",
            fix=f"use allowed_pattern or length; {KEY_PAIR} alone works in the form",
        )
    if pattern is not None:
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            what = f"{name} has an allowed_pattern that is no regular expression: {error}"
            yield Problem(code="pattern-invalid", what=what, where=template.where(*path, "allowed_pattern"))


def _groups(template: Template) -> Iterator[Problem]:
    groups = template.document.get("parameter_groups")
    known, seen = template.section("parameters"), set[str]()
    for index, group in enumerate(groups if isinstance(groups, list) else []):
        path: Path = ("parameter_groups", index)
        names = group.get("parameters") if isinstance(group, dict) else None
        if not isinstance(names, list):
            yield _shape(template, path, "a map with a list of parameters")
            continue
        for place, name in enumerate(map(str, names)):
            where = template.where(*path, "parameters", place)
            if name not in known:
                what = f"parameter_groups names {name}, which is not a parameter"
                yield Problem(code="parameter-undefined", what=what, where=where, fix=near_miss(name, known))
            elif name in seen:
                what = f"parameter_groups names {name} twice, which Heat refuses"
                yield Problem(code="parameter-twice", what=what, where=where, fix="keep one of them")
            seen.add(name)


def _same_names(template: Template) -> Iterator[Problem]:
    for name in template.section("resources"):
        if name in template.section("parameters"):
            what = f"{name} is the name of a parameter and of a resource, which Heat refuses"
            where = template.where("resources", name)
            yield Problem(code="name-twice", what=what, where=where, fix="rename the resource")


def _resources(template: Template) -> Iterator[Problem]:
    known = template.section("resources")
    for name, resource in known.items():
        path: Path = ("resources", name)
        needed = resource.get("depends_on", [])
        for other in needed if isinstance(needed, list) else [needed]:
            if str(other) not in known:
                yield references.undefined(template, (*path, "depends_on"), "resource", other, known)
    for section in ("resources", "outputs"):
        for name, entry in template.section(section).items():
            condition = entry.get("condition")
            if isinstance(condition, str):
                yield from references.condition(template, condition, (section, name, "condition"))


def _unknown_key(template: Template, path: Path, known: tuple[str, ...]) -> Problem:
    what = f"{'.'.join(map(str, path))} is not a key that Heat knows there"
    return Problem(code="unknown-key", what=what, where=template.where(*path), fix=near_miss(path[-1], known))


def _shape(template: Template, path: Path, needed: str) -> Problem:
    what = f"{'.'.join(map(str, path))} must be {needed}"
    return Problem(code="wrong-shape", what=what, where=template.where(*path))
