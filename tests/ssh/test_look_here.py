"""`hotrun tensorboard RUN`: what was rehearsed or fetched, in a TensorBoard of this computer."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from cloud.look import place
from cloud.setup import tensorboard
from tests.ssh.conftest import RUN
from tests.ssh.looking import WAIT_S, Command, asked, boards, runs_shown, until, write_events

pytestmark = [pytest.mark.process, pytest.mark.network]


def looked(runs: Path, word: str, *flags: str, **given: Any) -> Command:
    """The command, with its runs in `runs`."""
    return Command("tensorboard", word, "--runs-dir", str(runs), "--no-browser", *flags, **given)


@pytest.mark.parametrize("by_name", [True, False])
def test_a_run_of_this_computer_is_shown_until_ctrl_c(tmp_path: Path, by_name: bool) -> None:
    """By its name or its directory; no process is left."""
    run = tmp_path / "my runs" / "digits-1"
    write_events(run / "results/tensorboard", [2.0, 1.0])
    with looked(run.parent, "digits-1" if by_name else str(run)) as command:
        port = command.port()
        until("scalars", lambda: runs_shown(port) == {"tensorboard"})
        assert command.end(signal.SIGINT if by_name else signal.SIGHUP) == 0, command.said()
    assert asked(port, "/data/environment") is None
    until("an end of TensorBoard", lambda: not boards(run))


def test_a_rehearsal_that_still_runs_is_shown_from_its_masters_root(tmp_path: Path) -> None:
    """Its results come to runs/NAME at the end only; a process that is gone is no such rehearsal."""
    run, root = tmp_path / "runs/digits-1", tmp_path / "root"
    run.mkdir(parents=True)
    started = {"event": "started", "node": "master", "root": str(root), "pid": os.getpid()}
    (run / "events.jsonl").write_text(json.dumps(started) + '\n{"event": "sta')
    assert place.live_root(run) is None  # it has no run yet
    runs = root / "var/lib/hotrun/runs"
    write_events(runs / RUN / "1-here/results/tensorboard", [2.0])
    (runs / "current.json").write_text(json.dumps({"run": RUN, "memory": {"attempt": 1}}))
    assert place.live_root(run) == root
    with looked(run.parent, "digits-1") as command:
        port = command.port()
        until("scalars", lambda: runs_shown(port) == {"attempt-1/tensorboard"})
        assert "still trains" in command.said()
        write_events(runs / RUN / "1-here/results/tensorboard", [2.0, 1.5], tag="accuracy")
        tags = "/data/plugin/scalars/tags"
        until("more", lambda: "accuracy" in (asked(port, tags) or {}).get("attempt-1/tensorboard", {}))
        assert command.end() == 0
    (run / "events.jsonl").write_text(json.dumps({**started, "pid": 2**30}) + "\n")
    assert place.live_root(run) is None
    (run / "events.jsonl").write_text(json.dumps(started) + '\n{"event": "finished"}\n')
    assert place.live_root(run) is None


def test_a_run_without_events_has_a_name(tmp_path: Path) -> None:
    """Exit 3, and how to write some."""
    (tmp_path / "digits-1/results").mkdir(parents=True)
    with looked(tmp_path, "digits-1") as command:
        assert command.process.wait(WAIT_S) == 3
        assert "no-events" in command.said()
        assert "HOTRUN_RUN_DIR" in command.said()


def test_a_directory_that_is_not_there_has_a_name(tmp_path: Path) -> None:
    """Exit 3, with the near one; no cloud is asked for a path."""
    (tmp_path / "digits-1").mkdir()
    with looked(tmp_path, str(tmp_path / "digit-1")) as command:
        assert command.process.wait(WAIT_S) == 3
        assert "unknown-run" in command.said()
        assert "did you mean" in command.said()


def test_what_was_fetched_is_shown_where_its_stack_can_not_be_asked(tmp_path: Path) -> None:
    """The record says it is a stack's; without a cloud the files that came home are shown, and why is said."""
    run = tmp_path / "runs/digits"
    write_events(run / "results/tensorboard", [2.0])
    (run / "cloud.json").write_text("{}")
    clouds = {name: "" for name in os.environ if name.startswith("OS_")}
    home = {**clouds, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    with looked(run.parent, "digits", environ=home) as command:
        port = command.port()
        until("scalars", lambda: runs_shown(port) == {"tensorboard"})
        assert "showing what was fetched" in command.said()
        assert command.end() == 0


def test_this_python_is_taken_where_it_has_a_tensorboard() -> None:
    """Nothing is loaded then; else the tests' environment, else one of its own from pins with hashes."""
    import sys

    assert tensorboard.python() == sys.executable
    pins = Path(tensorboard.PINS).read_text()
    assert "tensorboard==" in pins
    assert pins.count("==") <= pins.count("--hash=sha256:")
