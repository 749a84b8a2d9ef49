"""What the coordinator knows of one node, and what the attempts of a run know of each other. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Sequence

from .console import node_name
from .failure import problem


@dataclass
class Member:
    """One node as the coordinator knows it."""

    rank: int
    address: str = ""
    host_key: str = ""
    """Its public ssh host key, empty for none."""
    stage: str = "boot"
    stages: dict[str, float] = field(default_factory=dict)
    heard: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    held: list[Any] = field(default_factory=list)
    """Checkpoints that it holds whole: name, number, SHA-256."""
    arrived: float = 0.0
    """The coordinator's own clock when the facts came, seconds since 1970."""
    unreachable: dict[str, str] | None = None
    """Whom it could not reach and why, once it has tried."""
    exited: bool = False
    collected: bool = False
    left: str = ""
    """What of its files it could not bring, and why."""
    said_bye: bool = False
    lost: float = 0.0
    """When it was lost; 0 while it is here."""
    lost_how: str = ""

    @property
    def name(self) -> str:
        """`master` or `worker-<rank>`."""
        return node_name(self.rank)

    @property
    def is_here(self) -> bool:
        """Whether it said hello and was not lost since."""
        return self.heard > 0 and not self.lost

    def loss(self, how: str = "") -> dict[str, Any]:
        """The problem that it was lost, and how."""
        what = f"{self.name} was lost in {self.stage}: {how or self.lost_how}"
        fix = "look at that machine's console; where it is still up, the log is in /var/log/hotrun"
        return problem("node-lost", what, fix=fix, stage=self.stage)

    def last_heard(self, now: float) -> str:
        """`worker-2 (last heard in environment, 40 s ago)`."""
        when = f"last heard in {self.stage}, {now - self.heard:.0f} s ago" if self.heard else "never heard"
        return f"{self.name} ({when})"


def newest_held(members: Sequence[Member]) -> dict[str, Any] | None:
    """The newest checkpoint that any of them holds whole, with the ranks that do."""
    held = [(number, name, sha256, member.rank) for member in members for name, number, sha256 in member.held]
    if not held:
        return None
    number, name, sha256, _ = max(held)
    holders = [rank for each, _, other, rank in held if (each, other) == (number, sha256)]
    return {"name": name, "number": number, "sha256": sha256, "holders": sorted(holders)}


@dataclass
class Memory:
    """What the attempts of a run know of each other; outlives a master that starts again."""

    attempt: int = 1
    used: int = 0
    """Restarts since the newest checkpoint."""
    newest: int = 0
    """Number of the newest checkpoint when the last attempt began."""
    error: str = ""
    """The exception with which the attempt before failed."""
    anew: bool = False
    """Whether all machines start their node programs anew: there are others than before."""
    has_begun: bool = False
    """Whether the attempt's ranks were let go."""
    recoveries: list[dict[str, Any]] = field(default_factory=list)

    def fail(self, verdict: dict[str, Any]) -> None:
        """This attempt is over; the next one follows."""
        kept = {key: verdict[key] for key in ("code", "node", "stage", "what", "where")}
        self.recoveries.append({"attempt": self.attempt, **kept, "resumed": ""})
        self.attempt, self.has_begun, self.anew = self.attempt + 1, False, verdict["code"] == RESIZED
        self.used += not self.anew
        self.error = verdict.get("error", "")


RESIZED = "resized"
