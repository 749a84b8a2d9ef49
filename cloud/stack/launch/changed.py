"""A template and parameters of today against the stack that is there, and against what was rehearsed. Pure.

What a stack was made from is known by its tag `hotrun-template-` with the first 16 digits of the file's
SHA-256, and by the template itself, which Heat gives back. A file that differs only in comments makes the
same stack.

What was reviewed is known by rehearsals: each keeps the template it ran. The same command makes the same
file. So a file that no rehearsal ran, while one ran a file with the same first lines (program, version,
command), was edited since, or that one was. A file that nobody rehearsed is no change.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from cloud.template.parameters import redacted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from cloud.stack.api import Stack

MARK = "hotrun-template-"
_DIGITS = 16
_HEAD_LINES = 2
_HIDDEN = "******"  # what Heat shows of a hidden parameter
_MAX_WORDS = 8


def sha256(text: str) -> str:
    """The hash of a template's file."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def tag(text: str) -> str:
    """The tag of a stack that is made from this file."""
    return MARK + sha256(text)[:_DIGITS]


def parameters(given: Mapping[str, Any], stack: Stack) -> list[str]:
    """Return what is asked for now and is not so in the stack; what is not given stands as it is there."""
    found = []
    for name, value in given.items():
        shown = stack.parameters.get(name)
        if shown is None or not _is_same(value, shown):
            there = "not there" if shown is None else redacted(repr(shown))
            found.append(f"{name} is {redacted(repr(_text(value)))} here and {there} in the stack")
    return found


def templates(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
    """Return in words what differs between a template's content and that of a stack, eight at most."""
    words = list(_words(_plain(new), _plain(old)))
    more = len(words) - _MAX_WORDS
    return [*words[:_MAX_WORDS], f"and {more} more"] if more > 0 else words


def reviewed(runs_dir: Path, text: str) -> str:
    """Return the name of the rehearsal after which this file was edited; empty when there is none."""
    edited, at = "", 0.0
    for kept in runs_dir.glob("*/template.yml"):
        if (kept.parent / "cloud.json").exists():  # a stack's own, not a rehearsal's
            continue
        try:
            rehearsed, made_at = kept.read_text(encoding="utf-8"), kept.stat().st_mtime
        except (OSError, UnicodeDecodeError):
            continue
        if rehearsed == text:
            return ""
        if _head(rehearsed) == _head(text) and made_at > at:
            edited, at = kept.parent.name, made_at
    return edited


def _head(text: str) -> list[str]:
    return text.splitlines()[:_HEAD_LINES]


def _words(new: dict[str, Any], old: dict[str, Any]) -> Iterator[str]:
    for section in dict.fromkeys([*new, *old]):
        mine, theirs = new.get(section), old.get(section)
        if mine == theirs:
            continue
        if not isinstance(mine, dict) or not isinstance(theirs, dict):
            yield f"{section} differs"
            continue
        for name in dict.fromkeys([*mine, *theirs]):
            if mine.get(name) != theirs.get(name):
                yield _word(
                    section.removesuffix("s").replace("_", " "), name, mine.get(name), theirs.get(name)
                )


def _word(kind: str, name: str, mine: Any, theirs: Any) -> str:
    if theirs is None:
        return f"{kind} {name} is new"
    if mine is None:
        return f"{kind} {name} is gone"
    keys = [
        key for key in dict.fromkeys([*_keys(mine), *_keys(theirs)]) if _at(mine, key) != _at(theirs, key)
    ]
    if "default" in keys and "default" in mine and "default" in theirs:
        now, was = (redacted(repr(one["default"])) for one in (mine, theirs))
        return f"{kind} {name} has the default {now}, was {was}"
    if name == "boot":
        return "what the machines are told to run (resource boot) differs"
    return f"{kind} {name} differs" + (f" in {', '.join(keys[:3])}" if keys else "")


def _keys(value: Any) -> Iterable[str]:
    return value if isinstance(value, dict) else ()


def _at(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    """As it comes through Heat: JSON."""
    found = json.loads(json.dumps(document, default=str))
    return found if isinstance(found, dict) else {}


def _is_same(value: Any, shown: str) -> bool:
    if shown == _HIDDEN:
        return True
    if isinstance(value, list):
        return shown in (",".join(map(str, value)), json.dumps(value), str(value))
    try:
        return str(value) == shown or float(str(value)) == float(shown)
    except ValueError:
        return False


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
