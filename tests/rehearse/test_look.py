"""A rehearsal that still runs can be looked at: what it notes leads to its master's root."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from cloud.look import place
from tests.rehearse import fakes
from tests.rehearse.processes import wait_for
from tests.rehearse.test_interrupts import started

pytestmark = pytest.mark.process
TRAINS_ON = """
runs = root / "var/lib/hotrun/runs"
(runs / "r1/1-here/results").mkdir(parents=True)
(runs / "current.json").write_text('{"run": "r1", "memory": {"attempt": 1}}')
child = subprocess.Popen(["sleep", "600"])
stage("train", "begin")
time.sleep(600)
"""


def test_the_masters_root_is_known_while_a_rehearsal_runs(cache: Path, runs: Path) -> None:
    """And no longer when it has ended: the next one has the root."""
    process = started(cache, runs, TRAINS_ON)
    assert wait_for(lambda: place.live_root(runs / "digits-1") is not None)
    root = place.live_root(runs / "digits-1")
    assert root in fakes.node_roots(cache)
    assert (root / "var/lib/hotrun/runs/r1/1-here/results").is_dir()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert place.live_root(runs / "digits-1") is None
