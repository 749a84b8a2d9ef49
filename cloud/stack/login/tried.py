"""Where a login could have come from: clouds.yaml files with their clouds, OS_* by name. For messages only.

No value of a variable and no line of a file leaves this module.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudsFile:
    """One clouds.yaml that is there."""

    path: str
    clouds: tuple[str, ...] = ()
    fault: str = ""
    """Why it can't be used: `line 3: mapping values are not allowed here`; else empty."""

    def __str__(self) -> str:
        """One line for people."""
        if self.fault:
            return f"{self.path}: can't be used, {self.fault}"
        return f"{self.path} names {_some(self.clouds) or 'no cloud'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """All places that were looked at."""

    looked_at: tuple[str, ...]
    """Every path where a clouds.yaml may lie, best first."""
    files: tuple[CloudsFile, ...]
    variables: tuple[str, ...]
    """Names of the OS_* variables that are set."""

    @property
    def used(self) -> CloudsFile | None:
        """The file that openstacksdk reads: the first that is whole."""
        return next((found for found in self.files if not found.fault), None)

    @property
    def clouds(self) -> tuple[str, ...]:
        """Names of clouds that may be chosen."""
        return self.used.clouds if self.used else ()

    def lines(self) -> tuple[str, ...]:
        """What was tried, in a line for each file that is there, and one for variables."""
        files = [str(found) for found in self.files]
        if not files:
            folders = dict.fromkeys(_short(Path(path).parent) for path in self.looked_at)
            files = [f"no clouds.yaml in {_some(tuple(folders))}"]
        names = _some(self.variables)
        return (*files, f"variables that are set: {names}" if names else "no OS_* variable is set")


def tried(paths: Iterable[str], environ: Mapping[str, str] = os.environ) -> Tried:
    """Look at every place; `paths` is what openstacksdk reads, in its order."""
    looked_at = tuple(dict.fromkeys(paths))
    names = tuple(sorted(name for name, value in environ.items() if name.startswith("OS_") and value))
    files = tuple(_file(Path(path)) for path in looked_at if Path(path).is_file())
    return Tried(looked_at=looked_at, files=files, variables=names)


def _some(names: tuple[str, ...]) -> str:
    """The first names; what there is more of is counted."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _short(folder: Path) -> str:
    """A folder as a person writes it."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
    is_inside = home != "/" and folder.is_relative_to(home)
    return f"~{str(folder)[len(home) :]}" if is_inside else str(folder)


_SHOWN = 5
_QUOTED = re.compile(r"(['\"]).{4,}\1")  # PyYAML quotes an alias: it may be a password that begins with *


def _file(path: Path) -> CloudsFile:
    """Read names of clouds and nothing else; JSON is YAML too."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        return CloudsFile(
            path=str(path), fault=f"it can't be read: {getattr(error, 'strerror', '') or 'no UTF-8'}"
        )
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        said = _QUOTED.sub("something", str(getattr(error, "problem", None) or "it is no YAML"))
        return CloudsFile(path=str(path), fault=line + said)
    clouds = content.get("clouds") if isinstance(content, dict) else None
    if not isinstance(clouds, dict):
        return CloudsFile(path=str(path), fault="it has no key `clouds` with clouds below it")
    return CloudsFile(path=str(path), clouds=tuple(str(name) for name in clouds))
