"""Text of a template -> `Template`: what it says and on which line. Pure.

Read as Heat reads it: dates stay text. Anchors and aliases are refused: Heat would take them, but a
line could then stand for several places, and a short file for gigabytes.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from cloud.errors import Problem, ProblemsFound
from cloud.template import provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Path = tuple[str | int, ...]
LINE = 120
MAX_DEPTH = 50  # ours have 14 levels

OURS = {
    "boot": "OS::Heat::SoftwareConfig",
    "master": "OS::Nova::Server",
    "worker_group": "OS::Heat::ResourceGroup",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template that was read: its text, what it says, and the line of everything in it."""

    name: str
    """The file's name, for messages."""
    text: str
    """The file as it is."""
    document: Mapping[str, Any]
    """The whole mapping."""
    lines: Mapping[Path, int]
    """Line of each key and item, counted from 1."""

    def section(self, name: str) -> dict[str, dict[str, Any]]:
        """Return the mappings of a section by name; what is no mapping is left out (`check` names it)."""
        found = self.document.get(name)
        if not isinstance(found, dict):
            return {}
        return {str(key): value for key, value in found.items() if isinstance(value, dict)}

    def properties(self, resource: str) -> dict[str, Any]:
        """Return the properties of a resource, empty when there are none."""
        found = self.section("resources").get(resource, {}).get("properties")
        return found if isinstance(found, dict) else {}

    def at(self, *path: str | int) -> Any:
        """Return what stands at a path, None when nothing does."""
        found: Any = self.document
        for key in path:
            if isinstance(found, dict):
                found = found.get(key)
            elif isinstance(found, list) and isinstance(key, int) and key < len(found):
                found = found[key]
            else:
                return None
        return found

    def where(self, *path: str | int) -> str:
        """Return `file:line` of a path, or of the nearest thing above it that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.name}:{self.lines.get(path, 1)}"

    @property
    def boot(self) -> str:
        """The boot text with the job's place open, empty when it is not where it belongs."""
        found = self.at("resources", "boot", "properties", "config", "str_replace_strict", "template")
        return found if isinstance(found, str) else ""


def load(text: str, name: str = "template.yml") -> Template:
    """Read a template that this program made, edited or not.

    Raises ProblemsFound for text that is no YAML, has aliases, is no mapping, or was not made by hotrun:
    without the mark of its first line, a resource that ours have decides. `check` names what edits broke.
    """
    try:
        for problem in _unfit(text, name):
            raise ProblemsFound(problem)
        node = yaml.compose(text, Loader=_Loader)
        lines = dict(_lines(node, ())) if node is not None else {}
        document = yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader
    except yaml.YAMLError as error:
        raise ProblemsFound(_not_yaml(error, name)) from error
    except (ValueError, TypeError, OverflowError) as error:  # YAML's own constructors: 0x, unhashable keys
        what = f"{name} has a value that YAML can't read: {error}"[: LINE * 2]
        raise ProblemsFound(
            Problem(code="yaml-invalid", what=what, where=name, fix="put quotes around it")
        ) from error
    template = Template(
        name=name, text=text, document=document if isinstance(document, dict) else {}, lines=lines
    )
    problems = list(_not_ours(template, document))
    if problems:
        raise ProblemsFound(*problems)
    return template


def near_miss(word: object, known: Iterable[str]) -> str:
    """Return `did you mean …?` for the nearest known word, or the known words when none is near."""
    names = list(known)
    near = difflib.get_close_matches(str(word), names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"possible: {', '.join(names)}" if names else ""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Heat's loader: a date is text."""


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)


def _unfit(text: str, name: str) -> Iterator[Problem]:
    """Yield what must be refused before anything is built of it: aliases, and a depth that breaks readers."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        where = f"{name}:{event.start_mark.line + 1}" if event.start_mark else name
        anchor = getattr(event, "anchor", None)
        if anchor:
            what = f"{name} uses a YAML anchor or alias, {anchor}"
            yield Problem(
                code="yaml-alias", what=what, where=where, fix="write the value out where it is used"
            )
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            what = f"{name} is nested more than {MAX_DEPTH} levels deep"
            yield Problem(code="yaml-invalid", what=what, where=where, fix="close the brackets")


def _lines(node: yaml.Node, path: Path) -> Iterator[tuple[Path, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            yield inner, key.start_mark.line + 1
            yield from _lines(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*path, index), item.start_mark.line + 1
            yield from _lines(item, (*path, index))


def _not_yaml(error: yaml.YAMLError, name: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    said = " ".join(str(getattr(error, "problem", None) or error).split())
    where = f"{name}:{mark.line + 1}" if mark else name
    return Problem(
        code="yaml-invalid", what=f"{name} is not YAML: {said}"[: LINE * 2], where=where,
        fix="compare the line's indentation and quotes with the lines around it",
    )  # fmt: skip


def _not_ours(template: Template, document: object) -> Iterator[Problem]:
    fix = "make one: hotrun generate"
    if provenance.is_ours(template.text):
        if not isinstance(document, dict):
            what = f"{template.name} must be a map of sections"
            yield Problem(code="wrong-shape", what=what, where=template.where(), fix="generate it again")
        return
    if not isinstance(document, dict) or "resources" not in document:
        what = f"{template.name} is not a Heat template: it has no resources"
        yield Problem(code="not-a-hotrun-template", what=what, where=template.where(), fix=fix)
        return
    found = template.section("resources")
    for name, kind in OURS.items():
        if found.get(name, {}).get("type") != kind:
            what = f"{template.name} was not made by hotrun: it has no resource {name} of type {kind}"
            yield Problem(
                code="not-a-hotrun-template", what=what, where=template.where("resources", name), fix=fix
            )
