"""A turn -> its record: the processes are started, watched and ended at the deadline; the result is read."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import links, machine
from bench.commands import command, environment, fingerprint, rank_environment
from bench.table import LINKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bench.plan import Turn

LEAST_DEADLINE_S = 90.0
PATIENCE = 6.0  # times what is expected
POLL_S = 0.05
LOOK_EVERY = 10  # polls between two looks at the memory
TAIL = 1500  # characters of the output that a failure keeps
KEPT = (  # of a program's result
    "train_seconds", "images_per_second", "test_accuracy", "curve", "start_seconds", "peak_rss_bytes",
    "steps", "epochs", "world_size", "global_batch_size", "precision", "weights_sha256",
)  # fmt: skip


def record(turn: Turn, data: Path, *, is_quick: bool) -> dict[str, Any]:
    """Run a contender once. Never raises for what it does: `reason` says why there are no figures."""
    contender = turn.contender
    start = {
        "group": turn.group, "contender": contender.name, "round": turn.round, "seed": turn.seed,
        "fingerprint": fingerprint(turn), "accumulate": contender.accumulate, "is_quick": is_quick,
    }  # fmt: skip
    reason = impossible(turn)
    if reason:
        return {**start, "reason": reason}
    noise = {
        "load_1min": round(machine.load_1min(), 2),
        "others_busy_cores": round(machine.others_busy_cores(), 2),
    }
    with tempfile.TemporaryDirectory(prefix="hotrun-bench-") as place:
        found = _measure(turn, data, Path(place), is_quick=is_quick)
    return {**start, **noise, **found}


def impossible(turn: Turn) -> str:
    """Why this machine can't run a contender; empty when it can."""
    contender = turn.contender
    if contender.program == "ray_train" and importlib.util.find_spec("ray") is None:
        return "ray is not installed"
    if contender.precision == "bf16-mixed" and not machine.has_bf16():
        return "the processor has no bf16"
    return links.missing() if contender.link else ""


def _measure(turn: Turn, data: Path, place: Path, *, is_quick: bool) -> dict[str, Any]:
    deadline_s = max(LEAST_DEADLINE_S, PATIENCE * turn.contender.expected_s)
    argv = command(turn, sys.executable, data, is_quick=is_quick)
    with (place / "output").open("wb") as output, _started(turn, argv, place, output.fileno()) as processes:
        began = time.monotonic()
        peak, is_late = _wait(processes, began + deadline_s)
        wall = time.monotonic() - began
    text = (place / "output").read_text(encoding="utf-8", errors="replace")
    codes = [process.returncode for process in processes]
    if is_late:
        return {"reason": f"not done after {deadline_s:.0f} s", "output": text[-TAIL:]}
    if any(codes):
        return {"reason": f"exit code {next(filter(None, codes))}", "output": text[-TAIL:]}
    content = _result(turn, text, place)
    if content is None:
        return {"reason": "no result was written", "output": text[-TAIL:]}
    kept = {key: content[key] for key in KEPT if content.get(key) is not None}
    return {
        **kept,
        "wall_seconds": round(wall - content.get("extra_seconds", 0.0), 3),
        "peak_rss_bytes": max(peak, kept.get("peak_rss_bytes", 0)),
    }


@contextlib.contextmanager
def _started(
    turn: Turn, argv: list[str], place: Path, output: int
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The processes, in sessions of their own: one, or one per end of a cable. None outlives the block."""
    with contextlib.ExitStack() as stack:
        if turn.contender.link:
            nodes = stack.enter_context(links.cable(LINKS[turn.contender.link]))
            starts = [
                (node.command(argv), rank_environment(rank, nodes), place / f"rank-{rank}")
                for rank, node in enumerate(nodes)
            ]
        else:
            starts = [(argv, {}, place / "rank-0")]
        processes: list[subprocess.Popen[bytes]] = []
        stack.callback(_end, processes)
        for line, more, run_dir in starts:
            environ = {**environment(turn, os.environ, run_dir), **more}
            process = subprocess.Popen(line, env=environ, cwd=place, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=output, start_new_session=True)  # fmt: skip
            processes.append(process)
        yield processes


def _wait(processes: list[subprocess.Popen[bytes]], deadline: float) -> tuple[int, bool]:
    """The highest peak of the memory of any process below, in bytes, and whether the deadline passed.

    Returns as soon as one has failed: the others would wait for it.
    """
    peak = polls = 0
    while time.monotonic() < deadline:
        if polls % LOOK_EVERY == 0:
            peak = max([peak, *map(peak_rss_bytes, family(process.pid for process in processes))])
        polls += 1
        codes = [process.poll() for process in processes]
        if None not in codes or any(codes):
            return peak, False
        time.sleep(POLL_S)
    return peak, True


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    """Kill what is left of the sessions, and wait for our own children."""
    for process in processes:
        if process.poll() is None:
            for pid in family([process.pid]):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        process.wait()
        with contextlib.suppress(ProcessLookupError):  # ranks that a rank started, and left
            os.killpg(process.pid, signal.SIGKILL)


def family(pids: Iterable[int]) -> list[int]:
    """Processes and all that descend from them, proc(5)."""
    found = list(pids)
    for pid in found:  # grows while it is walked
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def peak_rss_bytes(pid: int) -> int:
    """The most memory that a process had resident so far; 0 for one that is gone."""
    with contextlib.suppress(OSError):
        for row in Path(f"/proc/{pid}/status").read_text().splitlines():
            if row.startswith("VmHWM:"):
                return int(row.split()[1]) * 1024
    return 0


def _result(turn: Turn, text: str, place: Path) -> dict[str, Any] | None:
    """A peer's last JSON line; our result.json."""
    if turn.contender.is_ours:
        file = place / "rank-0" / "result.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
    lines = [line for line in text.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else None
