"""Faults in a machine's own tools: git tells another commit, the clock another time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from cloud.errors import ProblemsFound
from cloud.rehearse import faults, inject

pytestmark = pytest.mark.process


def injector(root: Path, *typed: str) -> tuple[inject.Injector, dict[str, str]]:
    """An injector for one machine `worker-1`, and that machine's environment."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(root)}
    node = SimpleNamespace(name="worker-1", root=root, environment=environment)
    level = SimpleNamespace(name="process", reason="")
    asked = faults.read(typed, ["master", "worker-1"])
    return inject.Injector(asked, level, [node]), environment  # type: ignore[arg-type,list-item]


def test_a_bad_commit_is_a_real_one(tmp_path: Path) -> None:
    """The machine's own git says which commit is there, and it is another one than was fetched."""
    checkout = tmp_path / "src"

    def git(*arguments: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(["git", *arguments], env=env, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "--quiet", str(checkout))
    who = ("-c", "user.name=x", "-c", "user.email=x@localhost")
    git("-C", str(checkout), *who, "commit", "--quiet", "--allow-empty", "--message", "first")
    first = git("-C", str(checkout), "rev-parse", "HEAD")
    made, environment = injector(tmp_path, "bad-commit:worker-1")
    made.begin()
    assert git("-C", str(checkout), "rev-parse", "--verify", "HEAD", env=environment) == first
    other = git("-C", str(checkout), "rev-parse", "HEAD", env=environment)
    assert other != first
    assert git("-C", str(checkout), "rev-parse", "HEAD") == other


_TELLS_CLOCKS = """
import subprocess, threading, time
time.sleep(0.01)
subprocess.run(["true"], timeout=60, check=True)
threading.Event().wait(0.01)
print(time.time(), time.monotonic())
"""


def test_a_bad_clock_is_ten_minutes_ahead_and_its_waits_are_not(tmp_path: Path) -> None:
    """Python's time of day is off, its monotonic clock is this computer's, and what waits ends in time."""
    made, environment = injector(tmp_path, "bad-clock:worker-1")
    try:
        made.begin()
    except ProblemsFound as error:
        pytest.skip(error.problems[0].what)
    shown = subprocess.run(
        ["bash", "-c", 'exec "$0" -c "$1"', sys.executable, _TELLS_CLOCKS],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    clock, monotonic = map(float, shown.stdout.split())
    assert 500 < clock - time.time() <= 600
    assert monotonic <= time.monotonic()
