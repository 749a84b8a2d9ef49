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
    from collections.abc import Iterable, Iterator, Sequence

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
    with _started(turn, argv, place) as processes:
        began = time.monotonic()
        peak, codes = _wait(processes, began + deadline_s)
        wall = time.monotonic() - began
    texts = [_output(place, rank).read_text(encoding="utf-8", errors="replace") for rank in range(len(codes))]
    guilty = [rank for rank, code in enumerate(codes) if code] or [
        rank for rank, code in enumerate(codes) if code is None
    ]
    if guilty:
        output = "\n".join(texts[rank][-TAIL:] for rank in guilty)
        return {"reason": failure(codes, deadline_s), "output": output}
    content = _result(turn, texts[0], place)
    if content is None:
        return {"reason": "no result was written", "output": texts[0][-TAIL:]}
    kept = {key: content[key] for key in KEPT if content.get(key) is not None}
    return {
        **kept,
        "wall_seconds": round(wall - content.get("extra_seconds", 0.0), 3),
        "peak_rss_bytes": max(peak, kept.get("peak_rss_bytes", 0)),
    }


def failure(codes: Sequence[int | None], deadline_s: float) -> str:
    """What went wrong, from the codes that processes ended with by themselves, in the order of their ranks.

    None: it still ran at the deadline, or when another one failed.
    """
    ends = {rank: f"exit code {code}" if code > 0 else signal.Signals(-code).name
            for rank, code in enumerate(codes) if code}  # fmt: skip
    if not ends:
        return f"not done after {deadline_s:.0f} s"
    return ", ".join(f"rank {rank}: {end}" if len(codes) > 1 else end for rank, end in ends.items())


@contextlib.contextmanager
def _started(turn: Turn, argv: list[str], place: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
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
        for rank, (line, more, run_dir) in enumerate(starts):
            environ = {**environment(turn, os.environ, run_dir), **more}
            with _output(place, rank).open("wb") as output:
                process = subprocess.Popen(line, env=environ, cwd=place, stdin=subprocess.DEVNULL,
                                           stdout=output, stderr=output, start_new_session=True)  # fmt: skip
            processes.append(process)
        yield processes


def _output(place: Path, rank: int) -> Path:
    """What a process prints: a file for each, since one that fails is not the last to speak."""
    return place / f"rank-{rank}.out"


def _wait(processes: list[subprocess.Popen[bytes]], deadline: float) -> tuple[int, list[int | None]]:
    """The highest peak of the memory of any process below, in bytes, and the exit codes; None: it still runs.

    Returns as soon as one has failed: the others would wait for it.
    """
    peak = polls = 0
    while time.monotonic() < deadline:
        if polls % LOOK_EVERY == 0:
            peak = max([peak, *map(peak_rss_bytes, family(process.pid for process in processes))])
        polls += 1
        codes = [process.poll() for process in processes]
        if None not in codes or any(codes):
            return peak, codes
        time.sleep(POLL_S)
    return peak, [process.poll() for process in processes]


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
