"""A row -> what became of it: the real command in a process of its own, several of them at once."""

from __future__ import annotations

import datetime as dt
import json
import os
import queue
import subprocess
import sys
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud import hot
from cloud.model import Cluster, Job
from tests.faults.program import ROOT, repository
from tests.rehearse.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.faults.rows import Row

AT_ONCE = {True: 2, False: 2}  # by Row.waits: those that wait run beside those that train
LIMIT_S = 400.0
ADDRESS = "https://host.invalid/you/digits.git"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a rehearsal ended with."""

    row: Row
    exit_code: int
    document: dict[str, Any]
    """Of --json; empty when nothing was started."""
    shown: str
    """Its standard error."""
    seconds: float | None
    """From the fault to the verdict, or to the training that went on; None when there was no fault."""
    left: tuple[str, ...]
    """Processes and mounts that were left over."""

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The problems that decided."""
        return [each for each in self.document.get("problems", []) if each["level"] == "error"]

    @property
    def recoveries(self) -> list[str]:
        """What was said of attempts that were lost."""
        return [each["what"] for each in self.document.get("problems", []) if each["code"] == "recovered"]

    def __str__(self) -> str:
        return f"exit {self.exit_code}\n{json.dumps(self.document, indent=1)}\n{self.shown[-6000:]}"


class Bench:
    """Runs rows beside each other, each in a cache that no other uses meanwhile."""

    def __init__(self, directory: Path) -> None:
        self._pools = {waits: ThreadPoolExecutor(number) for waits, number in AT_ONCE.items()}
        self._directory = directory
        self._caches: queue.SimpleQueue[Path] = queue.SimpleQueue()
        self._used = [Path(tempfile.mkdtemp(prefix="hotrun-")) for _ in range(sum(AT_ONCE.values()))]
        for cache in self._used:
            self._caches.put(cache)
        self._outcomes: dict[str, Future[Outcome]] = {}

    def begin(self, rows: Iterable[Row]) -> None:
        """Start rows, in this order, as places get free."""
        for row in rows:
            if row.name not in self._outcomes:
                place = self._directory / str(len(self._outcomes))
                self._outcomes[row.name] = self._pools[row.waits].submit(self._run, row, place)

    def outcome(self, row: Row) -> Outcome:
        """What became of a row; waits for it."""
        self.begin([row])
        return self._outcomes[row.name].result()

    def close(self) -> None:
        """Drop what has not begun, end, and remove the machines."""
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)
        for cache in self._used:
            subprocess.run(["rm", "-rf", str(cache)], check=True)

    def _run(self, row: Row, place: Path) -> Outcome:
        cache = self._caches.get()
        try:
            return _rehearsed(row, place, cache)
        finally:
            self._caches.put(cache)


def _rehearsed(row: Row, place: Path, cache: Path) -> Outcome:
    source = repository(place / "digits", row.at_half, row.slow_attempts)
    job = Job(**{"repo": ADDRESS, "entrypoint": "main.py", **row.job})  # type: ignore[arg-type]
    template = place / "template.yml"
    template.write_text(hot.text(Cluster(job=job, workers=row.workers, boot_timeout_s=row.boot_timeout_s)))
    command = [sys.executable, str(ROOT / "cloud/generator.py"), "rehearse", str(template), "--json"]
    command += ["--runs-dir", str(place), "--name", "run", "--level", row.level]
    command += [] if "repo" in row.job else ["--source", str(source)]
    command += [f"--fault={fault}" for fault in row.faults]
    environment = {**os.environ, "HOTRUN_CACHE_DIR": str(cache)}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT_S
        )
        code, out, shown = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as error:
        code, out, shown = -1, "", f"{error}\n{(error.stderr or b'').decode(errors='replace')}"
    return Outcome(
        row=row, exit_code=code, document=json.loads(out) if out.strip() else {}, shown=shown,
        seconds=_seconds(row, place / "run/events.jsonl"), left=tuple(_left_over(cache)),
    )  # fmt: skip


def _seconds(row: Row, path: Path) -> float | None:
    """From the last fault (the start, for one that was there before) to the verdict or the next training."""
    if not row.faults or not path.exists():
        return None
    events = [json.loads(line) for line in path.read_text().splitlines()]
    started = [event for event in events if event["event"] == "started"]
    happened = [
        event for event in events if event["event"] == "fault" and event["what"].startswith("fault: ")
    ]
    if not started or not happened:
        return None
    since = max(happened[-1]["at"], started[0]["at"])
    after = [
        event["at"]
        for event in events
        if event["at"] > since
        and (
            event["event"] == "finished"
            if row.becomes == "failed"
            else (event.get("stage"), event.get("state")) == ("train", "begin")
        )
    ]
    return _difference_s(after[-1], since) if after else None


def _difference_s(later: str, earlier: str) -> float:
    return (dt.datetime.fromisoformat(later) - dt.datetime.fromisoformat(earlier)).total_seconds()


def _left_over(cache: Path) -> list[str]:
    """Processes that name the cache in their environment or arguments, and mounts below it."""
    wait_for(lambda: not _processes(cache), 20)
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(cache) in line]
    return [*_processes(cache), *mounts]


def _processes(cache: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            if str(cache).encode() in told:
                found.append(f"{entry.name}: {(entry / 'cmdline').read_bytes().decode(errors='replace')}")
        except OSError:  # ended meanwhile, or another user's
            continue
    return found
