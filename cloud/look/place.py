"""A word that a person typed -> the directory of a run on this computer, or none: then it names a stack."""

from __future__ import annotations

import difflib
import json
import os
from pathlib import Path
from typing import Any

from cloud.errors import Problem, ProblemsFound
from cloud.stack import record
from cloud.stack.inside import events, run


def local(word: str, runs_dir: Path) -> Path | None:
    """The directory of a rehearsal or of a path; None for what may be a stack. Raises ProblemsFound."""
    if os.sep in word or word in {".", ".."}:
        if not Path(word).is_dir():
            raise ProblemsFound(_unknown(word, Path(word).parent))
        return Path(word)
    named = runs_dir / word
    is_stacks = (named / record.FILE).exists()
    return named if word and named.is_dir() and not is_stacks else None


def fetched(name: str, runs_dir: Path) -> Path | None:
    """The directory of a stack's files that were fetched, where events are among them."""
    place = record.directory(runs_dir, name)
    return place if name and any(events.event_files(str(place / "results"))) else None


def results(directory: Path) -> Path:
    """What TensorBoard is to show of a run that has ended. Raises ProblemsFound where nothing was written."""
    found = directory / "results" if (directory / "results").is_dir() else directory
    if not any(events.event_files(str(found))):
        raise ProblemsFound(nothing_written(str(directory)))
    return found


def nothing_written(name: str) -> Problem:
    """A run that has ended has no events."""
    what = f"{name}: its program has written no TensorBoard events"
    fix = (
        "write them below HOTRUN_RUN_DIR, as in SummaryWriter(os.environ['HOTRUN_RUN_DIR']), and run it again"
    )
    return Problem(code="no-events", what=what, fix=fix)


def live_root(directory: Path) -> Path | None:
    """The master's root of a rehearsal that runs now, else None."""
    told = [line for line in _events(directory) if line.get("event") in {"started", "finished"}]
    begun = next((line for line in told if line.get("node") == "master" and "root" in line), None)
    if begun is None or any(line["event"] == "finished" for line in told) or not _is_alive(begun.get("pid")):
        return None
    root = Path(str(begun["root"]))
    return root if run.current(str(root))[0] else None


def _events(directory: Path) -> list[dict[str, Any]]:
    """What a rehearsal noted, oldest first; a line that is being written is left out."""
    try:
        lines = (directory / "events.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        found += [event] if isinstance(event, dict) else []
    return found


def _is_alive(pid: object) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _unknown(word: str, place: Path) -> Problem:
    there = sorted(each.name for each in place.iterdir() if each.is_dir()) if place.is_dir() else []
    near = difflib.get_close_matches(Path(word).name, there, n=1)
    fix = f"did you mean {place / near[0]}?" if near else "name the directory of a run, as in runs/digits-1"
    return Problem(code="unknown-run", what=f"{word} is no directory", fix=fix)
