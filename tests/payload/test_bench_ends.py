"""What the benchmark says of a contender that fails: the process that failed by itself, and what it printed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench import links, run
from bench.plan import Contender, Turn
from bench.table import LINKS

# Rank 1 aborts while rank 0 waits for it, and says more than is kept.
ONE_ABORTS = """
import os, sys, time
if os.environ.get("RANK") == "0":
    print("rank 0 waits " * 1000, flush=True)
    time.sleep(600)
print("no active exception", file=sys.stderr, flush=True)
os.abort()
"""


def measured(
    program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, link: str = ""
) -> dict[str, object]:
    """The record of a contender that is this text."""
    monkeypatch.setattr(run, "command", lambda *_, **__: [sys.executable, "-c", program])
    turn = Turn(
        group="test",
        round=0,
        contender=Contender(name="text", program="plain", epochs=1, expected_s=1, link=link),
    )
    return run.record(turn, tmp_path, is_quick=True)


@pytest.mark.process
def test_the_rank_that_failed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not the one that was killed because of it; and the output is its own."""
    reason = links.missing()
    if reason:
        pytest.skip(f"slow links: {reason}")
    found = measured(ONE_ABORTS, monkeypatch, tmp_path, next(iter(LINKS)))

    assert (found["reason"], found["output"]) == ("rank 1: SIGABRT", "no active exception\n")


@pytest.mark.process
@pytest.mark.parametrize(
    ("program", "reason", "output"),
    [
        ("print('no disk'); raise SystemExit(3)", "exit code 3", "no disk\n"),
        (ONE_ABORTS, "SIGABRT", "no active exception\n"),
        ("print('done')", "no result was written", "done\n"),
    ],
)
def test_a_failure_keeps_its_code_and_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, reason: str, output: str
) -> None:
    """An exit code, the name of a signal, or that there is no result."""
    monkeypatch.delitem(os.environ, "RANK", raising=False)
    found = measured(program, monkeypatch, tmp_path)

    assert (found["reason"], found["output"]) == (reason, output)


@pytest.mark.process
def test_the_deadline_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that does not end is ended, and says so."""
    monkeypatch.setattr(run, "LEAST_DEADLINE_S", 1.0)
    monkeypatch.setattr(run, "PATIENCE", 0.0)
    found = measured("import time; print('so far', flush=True); time.sleep(600)", monkeypatch, tmp_path)

    assert found["reason"] == "not done after 1 s"


def test_all_that_failed_at_once_are_named() -> None:
    """Two may end between two looks; one that still runs has not failed."""
    assert run.failure([1, -6, None], 90) == "rank 0: exit code 1, rank 1: SIGABRT"
    assert run.failure([0, None], 90) == "not done after 90 s"
