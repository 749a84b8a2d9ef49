"""A Heat environment file: parameters that this program, Horizon and the openstack client all read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import yaml

from cloud.by_hand import text
from cloud.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_BYTES = 1_000_000
READ = ("parameter_defaults", "parameters")  # the later wins, as in Heat
_HEAD = (
    "# Parameters of a stack, for hotrun up -e, openstack stack create -e, and Horizon's field Environment.\n"
)


def read(path: Path) -> dict[str, Any]:
    """Return the parameters of an environment file; raises RequestError for what can't be read or used."""
    document = _document(path)
    found: dict[str, Any] = {}
    for section, content in document.items():
        if section not in READ:
            if not content:
                continue
            what = f"{path} has a section {section}, which hotrun would lose; it reads {' and '.join(READ)}"
            fix = "launch with openstack stack create -e, which reads all of it"
            raise RequestError(Problem(code="environment-file", what=what, where=str(path), fix=fix))
        if content is not None and not isinstance(content, dict):
            raise _refused(
                path, f"{section} is no map of names to values", "write `parameters:`, then `  name: value`"
            )
    for section in READ:
        for name, value in (document.get(section) or {}).items():
            if value is None or isinstance(value, dict):
                raise _refused(
                    path, f"{name} has no value that a template of ours takes", f"write {name}: VALUE"
                )
            found[str(name)] = _value(value)
    return found


def write(path: Path, parameters: Mapping[str, Any]) -> None:
    """Write an environment file, whole or not at all; raises RequestError where that can't be done."""
    body = yaml.safe_dump(
        {"parameters": {name: text(value) for name, value in parameters.items()}},
        sort_keys=False,
        allow_unicode=True,
    )
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(_HEAD + body, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise _refused(
            path, f"it can't be written: {os.strerror(error.errno or 0)}", "name another place"
        ) from error


def _document(path: Path) -> dict[str, Any]:
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise _refused(path, f"it has more than {MAX_BYTES:,} bytes", "name a Heat environment file")
        found = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise _refused(path, f"it can't be read: {os.strerror(error.errno or 0)}", "") from error
    except UnicodeDecodeError as error:
        raise _refused(path, "it is not text in UTF-8", "") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        raise _refused(path, f"it is not YAML{place}", "write `parameters:`, then `  name: value`") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _refused(path, "it is no Heat environment", "write `parameters:`, then `  name: value`")
    return {str(key): value for key, value in found.items()}


def _value(value: Any) -> Any:
    """A truth value of YAML is the word that was written, as templates of ours use yes and no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, int | float | list) else str(value)


def _refused(path: Path, why: str, fix: str) -> RequestError:
    what = f"{path} is not usable as an environment file: {why}"
    return RequestError(Problem(code="environment-file", what=what, where=str(path), fix=fix))
