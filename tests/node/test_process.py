"""Children are streamed, ended whole, and found again by their tag."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cloud.node import process

pytestmark = pytest.mark.process
ENV = {"PATH": os.environ["PATH"]}


def test_carriage_returns_end_lines_and_are_thinned(tmp_path: Path) -> None:
    """A progress bar leaves a line a second at most, and the last ordinary line is whole."""
    script = (
        "import sys\nfor i in range(500): sys.stdout.write(f'step {i}\\r')\n"
        "for i in range(500): sys.stdout.write(f'\\n\\rinner {i}\\x1b[A')\nprint('\\n\\x1b[1mdone\\x1b[0m')\n"
    )
    log = io.StringIO()

    code, tail = process.run(
        [sys.executable, "-c", script], env=ENV, cwd=tmp_path, log=log, deadline=time.monotonic() + 60
    )

    assert (0, "done") == (code, tail[-1])
    assert len(tail) < 10


def test_a_cancelled_command_is_gone(tmp_path: Path) -> None:
    """When the run stops, the command and its children end."""
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    began = time.monotonic()

    with pytest.raises(process.Cancelled):
        process.run(
            [sys.executable, "-c", script], env={**ENV, process.TAG: f"{tmp_path}#c"}, cwd=tmp_path, log=io.StringIO(),
            deadline=time.monotonic() + 600, cancelled=lambda: time.monotonic() - began > 0.5,
        )  # fmt: skip

    assert 0 == process.sweep(f"{tmp_path}#c")


def test_a_deadline_ends_the_command(tmp_path: Path) -> None:
    """No command runs longer than it may."""
    with pytest.raises(process.TookTooLong):
        process.run(
            [sys.executable, "-c", "import time; time.sleep(600)"], env=ENV, cwd=tmp_path, log=io.StringIO(),
            deadline=time.monotonic() + 0.2,
        )  # fmt: skip


def test_orphans_are_found_by_their_tag(tmp_path: Path) -> None:
    """Every process with the tag ends, also one in a session of its own; others stay."""
    tag = f"{tmp_path}#worker-1"
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    mine = subprocess.Popen(sleeper, env={**ENV, process.TAG: tag}, start_new_session=True)
    other = subprocess.Popen(sleeper, env={**ENV, process.TAG: tag + "0"})
    try:
        assert 1 == process.sweep(tag)
        assert mine.wait(10) != 0
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_no_log_holds_a_secret(tmp_path: Path) -> None:
    """Neither the words that are named nor what stands before an address's host."""
    log = io.StringIO()
    command = ["echo", "s3cret-word https://me:pw@host/x and https://host/y"]
    code, tail = process.run(
        command, env={"PATH": "/usr/bin:/bin"}, cwd=tmp_path, log=log, deadline=time.monotonic() + 20,
        secrets=["s3cret-word"],
    )  # fmt: skip

    assert (0, ["*** https://***@host/x and https://host/y"]) == (code, tail)
    assert "s3cret" not in log.getvalue()
    assert "pw@" not in log.getvalue()
