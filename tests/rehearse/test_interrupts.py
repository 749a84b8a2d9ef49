"""However a rehearsal is ended, no process of it stays; and two at once share nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cloud.rehearse import Options, rehearse
from tests.rehearse import fakes
from tests.rehearse.processes import below, wait_for, wait_until_gone

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]

STARTER = """
import sys; sys.path.insert(0, {root!r})
from pathlib import Path
from cloud.rehearse import Options, rehearse
from tests.rehearse import fakes
from cloud.rehearse import guardian
{patch}
report = rehearse(fakes.plan({behaviour!r}, workers=2), Options(level="process", runs_dir=Path({runs!r})), fakes.Ui())
print(report)
sys.exit(report.exit_code)
"""


def started(cache: Path, runs: Path, behaviour: str = fakes.HANGS, patch: str = "") -> subprocess.Popen[str]:
    """A rehearsal in a process of its own, when all its six processes run."""
    program = STARTER.format(root=str(ROOT), runs=str(runs), behaviour=behaviour, patch=patch)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert wait_for(lambda: len(below(cache)) >= 6), below(cache)
    return process


def _all_in_train(events: Path) -> bool:
    return events.read_text().count('"state": "begin"') == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_everything_with_130(cache: Path, runs: Path, number: signal.Signals) -> None:
    """Files are all that is left, and the message says where."""
    process = started(cache, runs)
    process.send_signal(number)
    shown, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert not below(cache)
    assert f"files are left in {runs}/digits-1/" in shown
    assert (
        json.loads((runs / "digits-1/status.json").read_text())["problems"][0]["what"]
        == f"interrupted by {number.name}"
    )


def test_a_second_interrupt_kills_at_once(cache: Path, runs: Path) -> None:
    """Machines that ignore SIGTERM don't hold up who presses Ctrl-C twice."""
    stubborn = fakes.HANGS.replace("stage(", "import signal as s; s.signal(15, s.SIG_IGN); stage(")
    patient = "guardian.sweep.__kwdefaults__['grace_s'] = 600"
    process = started(cache, runs, stubborn, patient)
    assert wait_for(lambda: _all_in_train(runs / "digits-1/events.jsonl"))
    process.send_signal(signal.SIGINT)
    assert wait_for(lambda: len(below(cache)) == 3)  # their children are gone, they themselves stay
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert (process.returncode, below(cache)) == (130, {})


def test_a_killed_rehearsal_leaves_no_process(cache: Path, runs: Path) -> None:
    """Kill -9 can't be caught; the guardian sweeps."""
    process = started(cache, runs)
    process.kill()
    process.communicate(timeout=60)
    assert wait_until_gone(cache)


def test_two_rehearsals_at_once_share_nothing(cache: Path, runs: Path) -> None:
    """The second of the same repository has other roots, other addresses and another run."""
    process = started(cache, runs)
    report = rehearse(
        fakes.plan(fakes.TRAINS, workers=1), Options(level="process", runs_dir=runs), fakes.Ui()
    )
    first = json.loads((runs / "digits-1/events.jsonl").read_text().splitlines()[0])["address"]
    assert (report.exit_code, report.name) == (0, "digits-2")
    assert report.nodes[0].address != first
    assert {root.parent.name for root in fakes.node_roots(cache)} == {"0", "1"}
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
