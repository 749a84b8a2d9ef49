"""Console lines of machines -> where each of them is. Pure: time is handed in.

A machine's standard output is its console: lines of `node.console` move it through the stages, every
other line is its log.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from cloud.errors import Problem
from cloud.node.console import STAGES, node_rank, parse_line

TAIL_LINES = 30
BOOT = "boot"  # the boot text's own failures, before there is a node program
_UNNAMED = ("?", "unknown")  # before the metadata service has told which machine it is
_RANK_LINE = re.compile(r"\[rank \d+\] ")
_EPOCH = re.compile(r"epoch[ =:]*(\d+)(?:\s*/\s*(\d+))?", re.IGNORECASE)
_PERCENT = re.compile(r"(\d{1,3})%\|")
_LOSS = re.compile(r"\bloss[ =:]+(\d+\.\d+(?:e[+-]?\d+)?)", re.IGNORECASE)
_SPEED = re.compile(r"([\d,.]+)\s*(?:img|images)/s", re.IGNORECASE)


@dataclass
class Machine:
    """What one machine's console has told so far."""

    name: str
    address: str
    stages: dict[str, float] = field(default_factory=dict)
    """Stage -> seconds, of those that ended; the failed one included."""
    stage: str = ""
    """The stage it is in, or ended in."""
    stage_state: str = ""
    stopped_in: str = ""
    """The stage that the end of the run cut short; `collect` and `finish` still follow it."""
    began_at: float = 0.0
    begun: dict[str, float] = field(default_factory=dict)
    """Stage -> when it began for the first time, also before the machine came back."""
    has_begun: bool = False
    """Whether it was started."""
    progress: str = ""
    """What the program last told about its training."""
    epoch: int = -1
    """The highest epoch that the program told of."""
    what: str = ""
    """What the stage says about itself while it runs: `waiting for worker-2`."""
    failure: dict[str, str] = field(default_factory=dict)
    """The fields of its first `failed` line."""
    failure_line: int = 0
    """Line number of that in its log."""
    lines: int = 0
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    exit_code: int | None = None
    was_ended: bool = False
    """Whether the rehearsal ended it."""
    returns: int = 0
    """How often it came back after a signal had ended it."""

    @property
    def rank(self) -> int:
        """0 for the master."""
        return node_rank(self.name)

    @property
    def has_ended(self) -> bool:
        """Whether its node program is gone."""
        return self.exit_code is not None

    @property
    def was_killed(self) -> bool:
        """Whether it ended in another way than a node program ends by itself."""
        return self.exit_code is not None and self.exit_code not in (0, 5, 130) and not self.was_ended

    @property
    def state(self) -> str:
        """`waiting`, `running`, `done`, `failed` or `stopped`, as in the JSON document."""
        if self.was_killed or (self.failure and self.exit_code != 0):
            return "failed"
        if self.exit_code is None:
            return "running" if self.stage else "waiting"
        return "done" if self.exit_code == 0 else "stopped"

    def come_back(self) -> None:
        """It starts again: what it told of its stages is over, its log goes on."""
        self.stages, self.failure, self.failure_line = {}, {}, 0
        self.stage = self.stage_state = self.stopped_in = self.progress = self.what = ""
        self.exit_code, self.returns = None, self.returns + 1

    def problem(self) -> Problem | None:
        """The finding of its first `failed` line."""
        if not self.failure:
            return None
        told = self.failure
        return Problem(
            code=told.get("code", "stage-failed"), what=told.get("what", f"{told['stage']} failed"),
            where=told.get("where", ""), fix=told.get("fix", ""), node=self.name, stage=told["stage"],
            log=tuple(self.tail),
        )  # fmt: skip


def take(machine: Machine, line: str, now: float) -> dict[str, Any] | None:
    """Note one line of a machine; return the fields if it is a console line of its own."""
    machine.lines += 1
    fields = parse_line(line)
    is_own = fields is not None and fields["node"] in (machine.name, *_UNNAMED)
    if fields is None or not is_own or fields["stage"] not in (*STAGES, BOOT):
        if fields is None and line.strip():
            machine.tail.append(line)
            told = progress(line, machine.progress)
            machine.progress = told or machine.progress
            reached = _EPOCH.search(told)
            machine.epoch = max(machine.epoch, int(reached[1]) if reached else -1)
        return None
    _move(machine, fields, now)
    return fields


def progress(line: str, before: str = "") -> str:
    """`epoch 2/3  loss 0.112  31,240 img/s` from a rank's line; epoch and loss are kept from `before`."""
    if not _RANK_LINE.match(line):
        return ""
    found = {
        "epoch": _EPOCH.search(line), "percent": _PERCENT.search(line),
        "loss": _LOSS.search(line), "speed": _SPEED.search(line),
    }  # fmt: skip
    if not any(found.values()):
        return ""
    epoch, percent, loss, speed = found.values()
    kept = {word.split()[0]: word for word in before.split("  ") if word.startswith(("epoch", "loss"))}
    parts = [kept.get("epoch", ""), "", kept.get("loss", ""), ""]
    if epoch:
        parts[0] = f"epoch {epoch[1]}" + (f"/{epoch[2]}" if epoch[2] else "")
    if percent:
        parts[1] = f"{percent[1]} %"
    if loss:
        parts[2] = f"loss {float(loss[1]):.3g}"
    if speed:
        parts[3] = f"{speed[1]} img/s"
    return "  ".join(part for part in parts if part)


def _move(machine: Machine, fields: dict[str, str], now: float) -> None:
    stage, state = fields["stage"], fields.get("state", "")
    if state == "begin":
        machine.begun.setdefault(stage, now)
        _begin_again(machine, stage)
    if stage != machine.stage or (state == "begin" and machine.stage_state != "begin"):
        machine.began_at = now
    machine.stage, machine.stage_state = stage, state
    machine.what = fields.get("what", "")
    if state in ("ok", "skipped", "stopped", "failed"):
        machine.stages[stage] = _seconds(fields.get("s"), now - machine.began_at)
    if state == "stopped":
        machine.stopped_in = machine.stopped_in or stage
    if state == "failed" and not machine.failure:
        machine.failure, machine.failure_line = dict(fields), machine.lines


def _begin_again(machine: Machine, stage: str) -> None:
    """A stage that begins once more is another attempt: what was told of it and of later ones is over."""
    order = list(STAGES)
    if stage not in machine.stages or stage not in order:
        return
    for later in order[order.index(stage) :]:
        machine.stages.pop(later, None)
    machine.failure, machine.failure_line = {}, 0
    machine.stopped_in = machine.progress = ""


def _seconds(told: str | None, measured: float) -> float:
    try:
        return float(told) if told else round(measured, 1)
    except ValueError:
        return round(measured, 1)
