"""What a job writes down: memory.json between attempts, status.json, and the last lines of its log."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Sequence

from ..console import node_name
from ..context import write_json
from ..failure import TAIL_LINES
from ..member import Memory
from ..proof import Judgement
from ..walk import shown
from . import places
from .places import FAILED, say

_PUBLIC = ("code", "level", "node", "stage", "what", "where", "fix", "log")


@dataclass
class Standing:
    """What is known when a status is written."""

    memory: Memory
    told: Sequence[dict[str, Any]] = ()
    """What the nodes said of themselves, by rank."""
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By the node's name: how its part ended."""
    judgement: Judgement | None = None
    result: dict[str, Any] = field(default_factory=dict)


def remembered() -> Memory:
    """What earlier attempts left, those before a requeue too."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Memory(**json.loads((places.run_directory() / "memory.json").read_text(encoding="utf-8")))
    return Memory()


def remember(memory: Memory) -> None:
    """For the next attempt."""
    write_json(places.run_directory() / "memory.json", vars(memory))


def reports(attempt: int) -> dict[str, dict[str, Any]]:
    """What the nodes left of an attempt, by their names."""
    found = {}
    for path in sorted((places.run_directory() / "nodes").glob("*/report.json")):
        with contextlib.suppress(OSError, ValueError):
            report = json.loads(path.read_text(encoding="utf-8"))
            if report["attempt"] == attempt:
                found[path.parent.name] = report
    return found


def write(standing: Standing, state: str, problems: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Write status.json, in the form of a rehearsal's, and return it."""
    expected = {"expected": 0, "proven": 0, "backend": "none"}
    commit = ""
    with contextlib.suppress(OSError, ValueError):
        commit = places.prepared()["commit"]
    with contextlib.suppress(OSError, ValueError):
        go = json.loads((places.run_directory() / "go.json").read_text(encoding="utf-8"))
        expected["expected"] = len(go["addresses"]) * go["nproc"]
    document = {
        "schema": 1, "name": os.environ.get("SLURM_JOB_NAME", ""), "level": "slurm", "state": state,
        "exit_code": FAILED if state == "failed" else 0,
        "world_size": standing.judgement.world_size() if standing.judgement else expected,
        "nodes": [_node(told, standing, state) for told in standing.told], "result": standing.result,
        "run_dir": str(places.run_directory()), "attempts": standing.memory.attempt,
        "problems": [{key: each[key] for key in _PUBLIC} for each in problems],
        "job_id": os.environ.get("SLURM_JOB_ID", ""), "commit": commit,
        "recoveries": standing.memory.recoveries, "requeues": int(os.environ.get("SLURM_RESTART_COUNT") or 0),
    }  # fmt: skip
    write_json(places.run_directory() / "status.json", document)
    return document


def _node(told: dict[str, Any], standing: Standing, state: str) -> dict[str, Any]:
    name = node_name(told["rank"])
    report = standing.reports.get(name, {})
    return {
        "name": name, "rank": told["rank"], "address": told["address"], "host": told["host"],
        "state": report.get("state", "running" if state == "running" else "lost"),
        "stages": report.get("stages", {}),
    }  # fmt: skip


def end(standing: Standing, problem: dict[str, Any]) -> None:
    """The job has failed: write it down, and say it."""
    write(standing, "failed", [problem])
    say("", f"{problem['node'] or 'the job'} failed in {problem['stage'] or 'the job'}", "")
    say(f"  {problem['what']}", *(f"    {line}" for line in problem["log"][-TAIL_LINES // 2 :]))
    said = shown(problem)
    say(*(f"  {word:6} {said[word]}" for word in ("where", "fix") if said[word]))
    say(f"  docs   docs/errors.md#{problem['code']}", "", f"kept in {places.run_directory()}/")


def gather(go: dict[str, Any]) -> None:
    """Bring logs and proof that the nodes left of an attempt to their places."""
    root = places.run_directory()
    for name in map(node_name, range(len(go["addresses"]))):
        node = root / "nodes" / name
        _append(root / "logs" / f"{name}.log", node / "log", go["attempt"])
        _copy(node / f"{go['attempt']}-here" / "proof", root / "proof")


def bring(go: dict[str, Any], *, is_last: bool) -> None:
    """The same for results; those of an attempt that another one follows lie apart."""
    root = places.run_directory()
    target = root / "results" if is_last else root / "results" / f"attempt-{go['attempt']}"
    for rank in range(len(go["addresses"])):
        source = root / "nodes" / node_name(rank) / f"{go['attempt']}-here" / "results"
        _copy(source, target / node_name(rank) if rank else target)


def _append(target: Path, logs: Path, attempt: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("a", encoding="utf-8") as out:
        for path in sorted(logs.glob("*.log")):
            out.write(f"==== attempt {attempt}, {path.stem}\n")
            out.write(path.read_text(encoding="utf-8", errors="replace"))
            path.unlink()


def _copy(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.suffix != ".part":
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            try:
                os.link(path, place)
            except OSError:
                shutil.copyfile(path, place)
