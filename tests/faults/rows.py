"""What is tried, as data: a fault, where, and what must become of the run; and schedules by chance. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

Becomes = Literal["recovered", "failed"]
MIDDLE = "@train+20"  # ranks have imported torch and met, and some checkpoints are complete
RAISES = "raise ValueError('no such class')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One rehearsal with faults."""

    faults: tuple[str, ...]
    level: str
    becomes: Becomes
    codes: tuple[str, ...] = ()
    """What a failed run may be told as; any of them."""
    names: str = ""
    """The machine that a failed run must name."""
    workers: int = 1
    at_half: str = "pass"
    """What the program itself does wrong."""
    job: dict[str, object] = field(default_factory=dict)
    """Other answers than the usual ones."""
    boot_timeout_s: int = 600

    @property
    def waits(self) -> bool:
        """Whether it mostly waits for somebody's return, which takes a minute or two and no processor."""
        return any(fault.startswith(("stop", "lose", "missing", "unplug:60")) for fault in self.faults)

    @property
    def slow_attempts(self) -> int:
        """Attempts that take their time, so that no fault comes after the end."""
        return max(1, len(self.faults))

    @property
    def name(self) -> str:
        """How it is called in a list of tests."""
        what = " ".join(self.faults) or ("raises twice" if self.at_half != "pass" else "nothing")
        return f"{what} ({self.level}, 1+{self.workers})"


def _recovered(level: str, *faults: str, workers: int = 1) -> Row:
    return Row(faults=faults, level=level, becomes="recovered", workers=workers)


def _failed(level: str, fault: str, names: str, *codes: str, **more: object) -> Row:
    return Row(faults=(fault,), level=level, becomes="failed", names=names, codes=codes, **more)  # type: ignore[arg-type]


UNDISTURBED = {
    workers: Row(faults=(), level="process", becomes="recovered", workers=workers) for workers in (1, 2)
}
ROWS = (
    _failed("namespace", f"stop:worker-1{MIDDLE}", "worker-1", "node-lost"),
    _failed("namespace", f"lose:worker-1{MIDDLE}", "worker-1", "node-lost"),
    _failed("process", f"stop:master{MIDDLE}", "master", "master-lost"),
    _failed("namespace", "missing:worker-1", "worker-1", "nodes-missing", boot_timeout_s=60),
    _recovered("namespace", f"unplug:60:worker-1{MIDDLE}"),
    _recovered("namespace", f"unplug:5:worker-1{MIDDLE}"),
    *(
        _recovered("namespace", f"{kind}:{machine}{MIDDLE}")
        for kind in ("kill-rank", "kill-program", "kill")
        for machine in ("worker-1", "master")
    ),
    _recovered("process", f"kill-rank:worker-1{MIDDLE}"),
    _recovered("process", f"kill-program:master{MIDDLE}"),
    _recovered("process", f"kill:worker-2{MIDDLE}", workers=2),
    _recovered("process", f"kill:master{MIDDLE}"),
    _failed("namespace", "low-memory:worker-1", "worker-1", "program-failed", "memory-short"),
    _failed("namespace", "low-memory:120MB:worker-1@train", "worker-1", "program-failed", "memory-short"),
    _failed("namespace", "full-disk:worker-1", "worker-1", "disk-full", "disk-short"),
    _failed("namespace", "block-port", "master", "port-closed"),
    _failed("namespace", "no-dns", "master", "no-dns",
            job={"repo": "https://github.com/you/digits.git"}),
    _failed("process", "bad-commit:worker-1", "worker-1", "commit-differs"),
    _failed("process", "bad-clock:worker-1", "worker-1", "clock-differs"),
    Row(faults=(), level="process", becomes="failed", names="", codes=("program-failed",), at_half=RAISES),
)  # fmt: skip

_RECOVERABLE = (
    "kill-rank:{machine}",
    "kill-program:{machine}",
    "kill:{machine}",
    "unplug:{seconds}:{machine}",
)
_FINAL = {  # fault -> what it may be told as
    "lose:{machine}": ("node-lost", "master-lost", "machine-lost"),
    "stop:{machine}": ("node-lost", "master-lost"),
    "bad-commit:{machine}": ("commit-differs",),
    "bad-clock:{machine}": ("clock-differs",),
    "full-disk:{machine}": ("disk-full", "disk-short"),
}
_FROM_THE_START = ("bad-commit", "bad-clock", "full-disk")


def schedule(seed: int, number: int) -> Row:
    """The `number`-th schedule of a seed: up to three faults that pass, in one of three cases one that does not."""
    chance = random.Random(f"{seed}/{number}")
    workers = chance.choice((1, 1, 2))
    machines = ["master", *(f"worker-{rank}" for rank in range(1, workers + 1))]

    def typed(form: str, machine: str) -> str:
        fault = form.format(machine=machine, seconds=chance.randint(1, 20))
        moment = "" if fault.startswith(_FROM_THE_START) else f"@train+{chance.uniform(0, 25):.1f}"
        return fault + moment

    worst, last = (
        (chance.choice(machines), chance.choice(list(_FINAL))) if chance.random() < 1 / 3 else ("", "")
    )
    others = [machine for machine in machines if machine != worst]  # a kill would wake up one that was frozen
    faults = [
        typed(chance.choice(_RECOVERABLE), chance.choice(others)) for _ in range(chance.choice((1, 1, 2, 3)))
    ]
    job = {
        "restarts": 2 * len(faults)
    }  # who is back may be noticed after another one that was lost meanwhile
    if not worst:
        return Row(faults=tuple(faults), level="namespace", becomes="recovered", workers=workers, job=job)
    return Row(
        faults=(typed(last, worst), *faults[:-1]), level="namespace", becomes="failed", codes=_FINAL[last],
        names=worst, workers=workers, job=job, boot_timeout_s=150,
    )  # fmt: skip
