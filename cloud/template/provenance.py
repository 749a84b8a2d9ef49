"""Cluster -> the comment that a template begins with: program, version, the command to repeat it. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from cloud import __version__
from cloud.request.profiles import DEFAULT_PROFILE, PROFILES
from cloud.request.settings import SETTINGS, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.model import Cluster

MARK = "# Made by hotrun "
PUBLISH = "--publish"  # the flag of `generate` for a template that everybody may have


def head(cluster: Cluster, *, is_published: bool = False) -> str:
    """Return the first lines of a cluster's template."""
    again = command(cluster, is_published=is_published)
    return f"{MARK}{__version__}: read it, change it, or make it again with\n# {again}\n"


def is_ours(content: str) -> bool:
    """Whether a file was made by this program, so that it may be replaced."""
    return content.startswith(MARK)


def command(cluster: Cluster, *, is_published: bool = False) -> str:
    """Return the command line that makes this cluster's template again, quoted for a shell."""
    words = ["hotrun", "generate", *([PUBLISH] if is_published else [])]
    for setting in SETTINGS:
        words += _flag(setting, cluster)
    return " ".join(_shell_word(word) for word in words)


def _flag(setting: Setting, cluster: Cluster) -> Iterator[str]:
    """Yield the words of one flag; none for what the profile or the model has anyway."""
    value = _value(setting, cluster)
    if value == _default(setting, cluster.profile):
        return
    if setting.kind == "pairs":
        for pair in value:
            yield from (setting.flag, pair)
    elif setting.kind == "switch":
        yield setting.flag
    else:
        yield from (setting.flag, _written(value))


def _value(setting: Setting, cluster: Cluster) -> Any:
    if setting.key == "ref":
        return cluster.job.pinned_ref
    return getattr(getattr(cluster, setting.owner) if setting.owner else cluster, setting.field)


def _default(setting: Setting, profile: str) -> Any:
    if setting.key == "profile":
        return DEFAULT_PROFILE
    known = PROFILES.get(profile, {})
    return setting.rule(known[setting.key]) if setting.key in known else setting.default


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _shell_word(word: str) -> str:
    """Quote one word; what a terminal or YAML would take for the end of a line is written as an escape."""
    if word.isprintable():
        return shlex.quote(word)
    escaped = "".join(
        char if char.isprintable() else f"\\U{ord(char):08x}" for char in word.replace("\\", "\\\\")
    )
    return "$'" + escaped.replace("'", "\\'") + "'"
