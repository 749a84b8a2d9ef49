"""A YAML file of keys -> what it gives, in its order, each with `file:line`. Reads nothing else."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from cloud.config import Given
from cloud.errors import Problem
from cloud.request import rules
from cloud.request.settings import ALIASES, BY_KEY, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator


MAX_FILE_BYTES = 1_000_000  # a request has some thirty lines; anything larger is another file
_NULL, _MERGE = "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"


def entries(path: Path) -> list[Given | Problem]:
    """Return the file's values and problems in the order of its lines."""
    text = _text(path)
    if isinstance(text, Problem):
        return [text]
    root = _root(text, path)
    if isinstance(root, Problem):
        return [root]
    return list(_keys(root, path))


def _text(path: Path) -> str | Problem:
    try:
        if path.is_file() and path.stat().st_size > MAX_FILE_BYTES:
            return _problem(
                "file-unreadable", f"{path} has {path.stat().st_size:,} bytes, too many for a request"
            )
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return _problem("file-unreadable", f"{path} is not text in UTF-8")
    except OSError as error:
        folder = path.parent if path.parent.is_dir() else Path()
        names = [entry.name for entry in folder.iterdir() if entry.suffix in (".yml", ".yaml")]
        fix = rules.near(path.name, names) if isinstance(error, FileNotFoundError) else ""
        return _problem("file-unreadable", f"{path} can't be read: {os.strerror(error.errno or 0)}", fix=fix)


def _root(text: str, path: Path) -> yaml.MappingNode | Problem:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        reason = " ".join(part for part in (error.context, error.problem) if part)
        return _problem("file-not-yaml", f"this line is not YAML: {reason}", where=where)
    except (yaml.YAMLError, RecursionError) as error:
        return _problem("file-not-yaml", f"{path} is not YAML: {str(error).splitlines()[0]}")
    if not isinstance(root, yaml.MappingNode):
        found = "empty" if root is None else "a list" if isinstance(root, yaml.SequenceNode) else "one value"
        return _problem("file-not-yaml", f"{path} is {found}, but lines of `key: value` are needed")
    return root


def _keys(root: yaml.MappingNode, path: Path) -> Iterator[Given | Problem]:
    seen: dict[str, int] = {}
    for key_node, value_node in root.value:
        where = f"{path}:{key_node.start_mark.line + 1}"
        written = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "a list or map"
        key = written.replace("-", "_")
        key = ALIASES.get(key, key)
        if key not in BY_KEY or key_node.tag == _MERGE:
            fix = rules.near(key, list(BY_KEY)) or "the keys are in docs/configuration.md"
            yield _problem(
                "key-unknown", f"{rules.shown(written)} is not a key of a request", where=where, fix=fix
            )
        elif key in seen:
            yield _problem("key-twice", f"{key} was already given in line {seen[key]}", where=where)
        else:
            seen[key] = key_node.start_mark.line + 1
            yield _given(BY_KEY[key], value_node, where, path)


def _given(setting: Setting, node: yaml.Node, where: str, path: Path) -> Given | Problem:
    value = _value(setting, node)
    if value is None:
        needed = {
            "words": "one text or a list of words is needed",
            "list": "one value or a list is needed",
            "pairs": "NAME: VALUE lines, or a list of NAME=VALUE, are needed",
        }.get(setting.kind, "one value is needed")
        found = {"sequence": "a list", "mapping": "a map"}.get(
            str(getattr(node, "id", "")), "no single value"
        )
        return _problem("wrong-type", f"{setting.key} is {found}, but {needed}", where=where)
    directory = str(path.parent) if setting.key == "repo" else ""
    return Given(key=setting.key, value=value, origin=where, directory=directory)


def _value(setting: Setting, node: yaml.Node) -> str | tuple[str, ...] | None:
    """The text as it stands in the file, so that `ref: 1e5` and `ref: 0123` keep their digits."""
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode) and setting.kind in ("words", "list", "pairs"):
        if any(item.id != "scalar" for item in node.value):
            return None
        items = tuple(_scalar(item) for item in node.value)
        return shlex.join(items) if setting.kind == "words" else items
    if isinstance(node, yaml.MappingNode) and setting.kind == "pairs":
        if any(part.id != "scalar" for pair in node.value for part in pair):
            return None
        return tuple(f"{name.value}={_scalar(value)}" for name, value in node.value)
    return None


def _scalar(node: yaml.Node) -> str:
    return "" if node.tag == _NULL else str(node.value)


def _problem(code: str, what: str, where: str = "", fix: str = "") -> Problem:
    return Problem(code=code, what=what, where=where, fix=fix)
