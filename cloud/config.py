"""Flags, a file and answers -> `Request`, each value with its origin -> `model.Cluster`. Asks no network.

All problems of a request are raised at once, in the order of the file, then of the flags.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud import model
from cloud.errors import Problem, RequestError
from cloud.request import addresses, rules
from cloud.request.profiles import DEFAULT_PROFILE, PROFILES
from cloud.request.settings import BY_KEY, OWNERS, SETTINGS, Setting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Value = str | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One value as somebody gave it."""

    key: str
    """Key of settings.py."""
    value: Value
    """Text as typed, or several for a key that takes several."""
    origin: str
    """`flag --workers`, `hotrun.yml:4`, `answer 2`."""
    directory: str = ""
    """Where a relative path starts; empty for the current directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for, before anything is judged; later entries win."""

    entries: tuple[Given | Problem, ...] = ()
    """Values and what was already found wrong with them, in the order given."""

    def with_entries(self, entries: Iterable[Given | Problem]) -> Request:
        """Return the request with more entries, which replace earlier ones of the same key."""
        added = tuple(entries)
        replaced = {entry.key for entry in added if isinstance(entry, Given)}
        kept = (entry for entry in self.entries if isinstance(entry, Problem) or entry.key not in replaced)
        return Request(entries=(*kept, *added))

    def origin(self, key: str) -> str:
        """Where the value of a key came from; empty when it was not given."""
        return next(
            (entry.origin for entry in self.entries if isinstance(entry, Given) and entry.key == key), ""
        )

    @property
    def missing(self) -> tuple[Setting, ...]:
        """Settings without a default that nobody gave."""
        given = {entry.key: entry.value for entry in self.entries if isinstance(entry, Given)}
        defaults = PROFILES.get(str(given.get("profile", DEFAULT_PROFILE)), PROFILES[DEFAULT_PROFILE])
        needed = [setting for setting in SETTINGS if setting.is_required or setting.key == "image"]
        return tuple(
            setting for setting in needed if setting.key not in given and setting.key not in defaults
        )


def request(flags: Mapping[str, Any], path: Path | None = None) -> Request:
    """Put a file and flags together; flags win. What is wrong is kept as problems, nothing is raised."""
    found = Request()
    if path is not None:
        from cloud.request.file import entries

        found = found.with_entries(entries(path))
    return found.with_entries(_from_flags(flags))


def cluster_from_file(path: str | Path) -> model.Cluster:
    """Return the cluster that a file of keys describes, as `generate --from` would before it asks git.

    Raises RequestError with all problems.
    """
    return cluster(request({}, Path(path)))


def cluster(asked: Request) -> model.Cluster:
    """Judge every value and build the cluster; raises RequestError with all problems at once."""
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for entry in asked.entries:
        if isinstance(entry, Problem):
            problems.append(entry)
            continue
        try:
            values[entry.key] = value_of(entry)
        except rules.Refused as refused:
            problems.append(problem_of(entry, refused))
    problems += _missing(asked)
    if not problems:
        found = _built(values)
        problems += _cross_checks(found, asked)
        if not problems:
            return found
    raise RequestError(*problems)


def value_of(given: Given) -> Any:
    """Return what model.py wants; raises rules.Refused."""
    setting = BY_KEY[given.key]
    if setting.kind in ("list", "pairs"):
        return _several(setting, given.value)
    if isinstance(given.value, tuple):
        raise rules.Refused("wrong-type", "is a list, but one value is needed")
    found = setting.rule(given.value)
    if given.key == "repo" and not found.startswith("https://"):
        return os.path.abspath(Path(given.directory, found).expanduser())  # noqa: PTH100 - links stay as typed
    return found


def problem_of(given: Given, refused: rules.Refused) -> Problem:
    """Return the sentence about a refused value: the user's place, key, value, and what is possible."""
    return Problem(code=refused.code, what=f"{given.key} {refused.why}", where=given.origin, fix=refused.fix)


def _from_flags(flags: Mapping[str, Any]) -> Iterable[Given]:
    for setting in SETTINGS:
        value = flags.get(setting.key)
        if value is None or value == ():
            continue
        if isinstance(value, bool):
            value = "yes" if value else "no"
        yield Given(key=setting.key, value=value, origin=f"flag {setting.flag}")


def _several(setting: Setting, value: Value) -> tuple[Any, ...]:
    if setting.kind == "list":
        parts: Sequence[str] = value.split(",") if isinstance(value, str) else value
        return tuple(setting.rule(part.strip()) for part in parts if part.strip())
    pairs = (value,) if isinstance(value, str) else value
    characters = sum(len(pair) for pair in pairs)
    if characters > model.MAX_ARGS_CHARACTERS:
        limit = f"at most {model.MAX_ARGS_CHARACTERS:,} are possible"
        raise rules.Refused("value-too-long", f"has {characters:,} characters in all, but {limit}")
    return tuple(setting.rule(pair) for pair in pairs)


def _missing(asked: Request) -> list[Problem]:
    missing = asked.missing
    is_unread = any(isinstance(entry, Problem) and entry.code.startswith("file-") for entry in asked.entries)
    if not missing or is_unread:
        return []
    names = [setting.flag for setting in missing]
    listed = ", ".join(names[:-1]) + (" and " if names[:-1] else "") + names[-1]
    verb = "is" if len(names) == 1 else "are"
    fix = "add " + " ".join(f"{setting.flag} {setting.metavar}" for setting in missing)
    return [
        Problem(code="value-missing", what=f"{listed} {verb} missing", fix=f"{fix}, or keys for --from FILE")
    ]


def _built(values: Mapping[str, Any]) -> model.Cluster:
    profile = PROFILES[values.get("profile", DEFAULT_PROFILE)]
    known = {key: BY_KEY[key].rule(text) for key, text in profile.items()} | dict(values)
    parts: dict[str, dict[str, Any]] = {owner: {} for owner in OWNERS}
    for key, value in known.items():
        parts[BY_KEY[key].owner][BY_KEY[key].field] = value
    return model.Cluster(
        job=model.Job(**parts["job"]),
        master=model.NodeGroup(**parts["master"]),
        worker=model.NodeGroup(**parts["worker"]),
        network=model.Network(**parts["network"]),
        slurm=model.Slurm(**parts["slurm"]),
        **parts[""],
    )


def _cross_checks(found: model.Cluster, asked: Request) -> list[Problem]:
    """Values that are possible alone, but not together."""
    try:
        addresses.holds_machines(ipaddress.IPv4Network(found.network.cidr), found.nnodes)
    except rules.Refused as refused:
        where = asked.origin("network_cidr")
        return [problem_of(Given(key="network_cidr", value=found.network.cidr, origin=where), refused)]
    return []
