"""What `git ls-remote` prints -> which commit a name means. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class Refs:
    """The names of a repository."""

    commits: Mapping[str, str]
    """Whole name (`HEAD`, `refs/heads/main`, `refs/tags/v1^{}`) -> commit or tag object."""
    default: str = ""
    """The branch that HEAD stands for, by its short name."""

    @property
    def names(self) -> list[str]:
        """Short names of branches, then of tags."""
        short = [name.split("/", 2)[2] for name in self.commits if name.count("/") >= 2]
        return [name for name in short if not name.endswith("^{}")]

    def resolve(self, ref: str) -> tuple[str, str]:
        """Return (name for a person, commit); the commit is empty when there is none of that name.

        A branch goes before a tag of the same name, as in `git clone --branch`.
        A whole commit is taken as it is.
        """
        if ref in ("", "HEAD"):
            return self.default or "HEAD", self.commits.get("HEAD", "")
        if _COMMIT.fullmatch(ref):
            return "commit", ref
        for whole in (f"refs/heads/{ref}", f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"{ref}^{{}}", ref):
            if whole in self.commits:
                return ref, self.commits[whole]
        return ref, ""


def parse_refs(text: str) -> Refs:
    """Read the output of `git ls-remote --symref`."""
    commits: dict[str, str] = {}
    default = ""
    for line in text.splitlines():
        value, _, name = line.partition("\t")
        if value.startswith("ref: "):
            default = value.removeprefix("ref: refs/heads/") if name == "HEAD" else default
        elif _COMMIT.fullmatch(value):
            commits[name] = value
    return Refs(commits, default)
