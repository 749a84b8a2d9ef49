"""What `scontrol show` prints -> jobs and nodes. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PAIR = re.compile(r"(?:^|\s)([A-Za-z][A-Za-z/:_]*)=")
WAITING = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
RUNNING = {
    "RUNNING",
    "COMPLETING",
    "CONFIGURING",
    "SUSPENDED",
    "STAGE_OUT",
    "SIGNALING",
    "RESIZING",
    "STOPPED",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """A job as slurmctld sees it at one moment."""

    state: str
    """PENDING, RUNNING, COMPLETED, FAILED, NODE_FAIL, TIMEOUT, CANCELLED …"""
    reason: str
    exit_code: int
    signal: int
    restarts: int
    nodes: str
    """A host list, empty while it waits."""
    batch_host: str
    output: str
    """Path of its log, as its first node sees it."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it will run again by itself."""
        return self.state not in WAITING | RUNNING


def job(text: str) -> JobState:
    """The fields of one `scontrol show job`. Raises ValueError for a text without a JobState."""
    told = fields(text)
    if "JobState" not in told:
        raise ValueError(text.strip()[:200] or "nothing")
    code, _, number = told.get("ExitCode", "0:0").partition(":")
    return JobState(
        state=told["JobState"].split("+")[0].split()[0], reason=_plain(told.get("Reason", "")),
        exit_code=int(code), signal=int(number or 0), restarts=int(told.get("Restarts", "0")),
        nodes=_plain(told.get("NodeList", "")), batch_host=_plain(told.get("BatchHost", "")),
        output=told.get("StdOut", ""),
    )  # fmt: skip


def nodes(text: str) -> dict[str, str]:
    """Name -> state, like IDLE, ALLOCATED or DOWN*, of `scontrol show nodes --oneliner`."""
    told = (fields(line) for line in text.splitlines())
    return {each["NodeName"]: each.get("State", "") for each in told if "NodeName" in each}


def fields(text: str) -> dict[str, str]:
    """KEY=VALUE by key; a value may hold blanks."""
    found: dict[str, str] = {}
    matches = list(_PAIR.finditer(text))
    for match, following in zip(matches, [*matches[1:], None], strict=True):
        end = following.start() if following else len(text)
        found.setdefault(match[1], text[match.end() : end].strip())
    return found


def _plain(value: str) -> str:
    return "" if value in ("(null)", "None", "N/A") else value
