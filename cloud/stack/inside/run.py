"""On a machine: which run it has, and where that lies. Part of inside.py: standard library, Python 3.9."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any

MAX_LINE_BYTES = 4000
STAGES = ("network", "source", "environment", "rendezvous", "train", "collect", "finish")
_LATEST = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)/([0-9]+)\s*")
_ATTEMPT = re.compile(r"([0-9]{1,9})(?:-here)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def current(root: str) -> tuple[str, int, str]:
    """(run, attempt, phase): `running`, `collected` when the master has judged it, `idle` without any."""
    memory = document(os.path.join(runs(root), "current.json"))
    run, attempt = str(memory.get("run", "")), int((memory.get("memory") or {}).get("attempt", 1))
    try:
        with open(os.path.join(runs(root), "latest"), encoding="utf-8") as file:
            matched = _LATEST.fullmatch(file.read(300))
    except (OSError, ValueError):
        matched = None
    if matched and (not run or (matched[1], int(matched[2])) == (run, attempt)):
        return matched[1], int(matched[2]), "collected"
    return (run, attempt, "running") if _NAME.fullmatch(run) else ("", 0, "idle")


def chosen(root: str, run: str) -> tuple[str, int, str]:
    """(run, attempt, phase) of a run that is named: its newest attempt, `ended` when nobody has judged it.

    The run is empty where there is none of that name.
    """
    newest = current(root)
    if not run or run == newest[0]:
        return newest
    try:
        names = os.listdir(os.path.join(runs(root), run)) if _NAME.fullmatch(run) else []
    except OSError:
        names = []
    attempts = [int(matched[1]) for matched in map(_ATTEMPT.fullmatch, names) if matched]
    if not attempts:
        return "", 0, "idle"
    manifest = os.path.join(runs(root), run, str(max(attempts)), "manifest.sha256")
    return run, max(attempts), "collected" if os.path.exists(manifest) else "ended"


def runs(root: str) -> str:
    """Where the runs are (cloud/node/layout.py)."""
    return os.path.join(root, "var/lib/hotrun/runs")


def document(path: str) -> dict[str, Any]:
    """A JSON file's object, empty when there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def say(told: dict[str, Any]) -> None:
    """One line of the answer."""
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n")
