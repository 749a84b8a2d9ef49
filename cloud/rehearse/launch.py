"""What was rehearsed -> what to type so that a cloud runs the same, or what has to be pushed before. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloud.by_hand import create_line, up_line
from cloud.template.parameters import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How the rehearsed machines would be launched."""

    repo: str
    """The repository that the template names, overrides included."""
    ref: str
    """The ref that the template launches; empty for the default branch."""
    overrides: Mapping[str, Any]
    """Parameters that differ from the template's own, by name."""
    commit: str = ""
    """The commit that stood in for `ref`; empty without --source."""
    directory: str = ""
    """The directory that --source named."""

    def steps(self, template: Path, name: str) -> list[str]:
        """Return the lines after `next`, in the order in which they are done."""
        if not self.repo.startswith("https://"):
            return [
                f"{redacted(self.repo)} is only on this machine, so no cloud can launch it:",
                "push it to an https address and generate the template again",
            ]
        first = self._push()
        if first and _COMMIT.fullmatch(self.ref):
            return [*first, "and generate the template again"]
        return [*first, *self._create(template, name)]

    def _push(self) -> list[str]:
        if not self.commit or self.commit == self.ref:
            return []
        asked = self.ref[:7] if _COMMIT.fullmatch(self.ref) else self.ref or "the default branch"
        return [
            f"push first what is in {self.directory}: a cloud launches",
            f"{asked} of {redacted(self.repo)}",
        ]

    def _create(self, template: Path, name: str) -> list[str]:
        same = " with these parameters" if self.overrides else ""
        return [
            up_line("hotrun", str(template), self.overrides),
            f"or  {create_line(str(template), name, self.overrides, anyway={'ref': self.ref})}",
            f"or  upload it in Horizon{same}: Orchestration > Stacks",
        ]


def overrides(own: Mapping[str, Any], used: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a rehearsal that differ from the template's own; none of Heat's."""
    return {
        name: value
        for name, value in used.items()
        if not name.startswith("OS::") and (name not in own or own[name] != value)
    }
