"""Faults that really happen to machines that only pretend to train: signals, returns, shares of a core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloud.errors import ProblemsFound, RequestError
from cloud.rehearse import Options, processes, rehearse, returns
from tests.rehearse import fakes
from tests.rehearse.processes import below, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.rehearse.report import Report

pytestmark = pytest.mark.process

STARTS = """
def starts(which):
    found = [path for path in root.parent.glob("*/tmp/start-*") if path.parent.parent.name == which]
    return len(found)
start = starts(name) + 1
(root / "tmp" / f"start-{start}").write_text("")
say(f"start {start}")
"""
WAITS_FOR_A_RETURN = (
    STARTS
    + """
stage("network", "begin"); stage("network", "ok", s="0.1")
stage("train", "begin")
if rank == 1 and start == 1:
    subprocess.Popen(["sleep", "600"]); time.sleep(600)
while starts("worker-1") < 2:
    time.sleep(0.05)
"""
    + fakes.TRAINS
)
ALL_BUT_WORKER_1_END = """
stage("train", "begin")
if rank == 1:
    subprocess.Popen(["sleep", "600"]); time.sleep(600)
if rank == 0:
    time.sleep(1.0)
    found = {"code": "node-lost", "node": "worker-1", "stage": "train", "what": "worker-1 was lost"}
    signal(status="SUCCESS", id="gate")
    signal(status="FAILURE", id="result", reason="x", data=finish([found]))
sys.exit(5)
"""


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines come back at once."""
    monkeypatch.setattr(returns, "RETURN_AFTER_S", 0.2)


def run(behaviour: str, runs: Path, *typed: str, workers: int = 1, ui: fakes.Ui | None = None) -> Report:
    """Rehearse a fake template as processes, with these faults."""
    options = Options(runs_dir=runs, level="process", faults=typed)
    return rehearse(fakes.plan(behaviour, workers=workers), options, ui or fakes.Ui())


def events(runs: Path) -> list[dict[str, Any]]:
    """What happened in the first run."""
    return [json.loads(line) for line in (runs / "digits-1/events.jsonl").read_text().splitlines()]


def test_a_killed_machine_comes_back_with_all_its_processes_gone(cache: Path, runs: Path) -> None:
    """The same user data once more; its log goes on, and its last walk is what counts."""
    ui = fakes.Ui()
    report = run(WAITS_FOR_A_RETURN, runs, "kill:worker-1@train", ui=ui)
    assert (report.exit_code, [node.state for node in report.nodes]) == (0, ["done", "done"])
    assert report.nodes[1].stages == {"network": 0.1, "train": 0.3}
    log = (runs / "digits-1/logs/worker-1.log").read_text()
    assert ("start 1" in log, "start 2" in log) == (True, True)
    told = [line for line in ui.text.splitlines() if "worker-1" in line and "│" not in line]
    assert told[:3] == [
        "fault: kill worker-1 in train",
        "worker-1 was ended by SIGKILL; it starts again",
        "worker-1 came back",
    ]
    happened = [(event["event"], event.get("what")) for event in events(runs)]
    assert ("fault", "fault: kill worker-1 in train") in happened
    assert ("came-back", "worker-1 came back") in happened


@pytest.mark.parametrize("fault", ["lose:worker-1@train", "stop:worker-1@train"])
def test_a_machine_that_was_taken_away_is_not_waited_for(cache: Path, runs: Path, fault: str) -> None:
    """It neither comes back nor holds up the end; the others' word is the verdict."""
    report = run(ALL_BUT_WORKER_1_END, runs, fault, workers=2)
    assert [problem.code for problem in report.problems] == ["node-lost"]
    assert "came-back" not in [event["event"] for event in events(runs)]
    assert not below(cache)


def test_a_missing_machine_is_never_started(cache: Path, runs: Path) -> None:
    """It has no log, and the table says so."""
    alone = "if rank == 1: sys.exit(0)\n" + fakes.TRAINS
    report = run(alone, runs, "missing:worker-1")
    assert [(node.state, str(node)) for node in report.nodes] == [
        ("done", "done"),
        ("waiting", "never started"),
    ]
    assert not (runs / "digits-1/logs/worker-1.log").exists()
    assert ("started", "worker-1") not in [(event["event"], event.get("node")) for event in events(runs)]


def test_a_run_that_is_over_does_not_wait_for_a_return(
    cache: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The master has ended by itself: nobody is needed any more."""
    monkeypatch.setattr(returns, "RETURN_AFTER_S", 600.0)
    report = run(ALL_BUT_WORKER_1_END, runs, "kill:worker-1@train")
    assert [problem.code for problem in report.problems] == ["node-lost"]


def test_a_machine_that_dies_again_and_again_is_lost(cache: Path, runs: Path) -> None:
    """After four returns it stays away, and the sentence says how often it came back."""
    dies = STARTS + "stage('train', 'begin')\nos.kill(os.getpid(), 11)\n"
    report = run(dies, runs, workers=0)
    assert [(problem.code, problem.what) for problem in report.problems] == [
        ("machine-lost", "master: its node program was ended by SIGSEGV in train, after it had come back 4 times")
    ]  # fmt: skip
    assert (runs / "digits-1/logs/master.log").read_text().count("start ") == 5


def test_a_fault_whose_moment_never_came_is_an_error(cache: Path, runs: Path) -> None:
    """A good run shows nothing about a fault that did not happen."""
    report = run(fakes.TRAINS, runs, "kill:worker-1@collect")
    assert (report.exit_code, [problem.code for problem in report.problems]) == (5, ["fault-not-injected"])


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        ("kill:worker-9", RequestError, "fault-not-understood"),
        ("no-dns", ProblemsFound, "fault-not-possible"),
    ],
)
def test_what_cannot_happen_is_refused_before_anything_starts(
    cache: Path, runs: Path, fault: str, error: type[Exception], code: str
) -> None:
    """No run's directory is left by it."""
    with pytest.raises(error) as raised:
        run(fakes.TRAINS, runs, fault)
    assert [problem.code for problem in raised.value.problems] == [code]  # type: ignore[attr-defined]
    assert not runs.exists()


@pytest.fixture
def node_program(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process like a node program with two ranks, one of which has a child."""
    rank = "import subprocess, time; subprocess.Popen(['sleep', '60']) if {first} else 0; time.sleep(60)"
    (tmp_path / "node.py").write_text(
        "import subprocess, sys, os, time\n"
        f"texts = {[rank.format(first=True), rank.format(first=False)]!r}\n"
        "for n, text in enumerate(texts):\n"
        "    subprocess.Popen([sys.executable, '-c', text], env={**os.environ, 'HOTRUN_PROOF_DIR': str(n)})\n"
        "time.sleep(60)\n"
    )
    environment = {**os.environ, "HOTRUN_ROOT": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-u", "-m", "node"], cwd=tmp_path, env=environment)
    yield process
    processes.kill(below(tmp_path))
    process.wait()


def test_ranks_and_node_program_are_told_apart(node_program: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """A rank's own children are no ranks."""
    assert wait_for(lambda: len(below(tmp_path)) == 4)
    assert processes.programs(below(tmp_path)) == [node_program.pid]
    found = processes.ranks(below(tmp_path))
    assert len(found) == 2
    assert node_program.pid not in found
    assert all("-c" in below(tmp_path)[pid] for pid in found)


BURNS = (
    """
began = time.monotonic()
while time.monotonic() - began < 2.0:
    pass
say(f"share {time.process_time() / (time.monotonic() - began):.2f}")
"""
    + fakes.TRAINS
)


def test_a_share_of_a_core_is_held(cache: Path, runs: Path) -> None:
    """The machine that was limited gets about that much; where that can't be, the reason is told."""
    options = Options(runs_dir=runs, level="process", cpu_shares=("worker-1=20%",))
    try:
        report = rehearse(fakes.plan(BURNS, workers=1), options, fakes.Ui())
    except ProblemsFound as error:
        pytest.skip(error.problems[0].what)
    assert report.exit_code == 0, report
    log = (runs / "digits-1/logs/worker-1.log").read_text()
    assert float(log.partition("share ")[2].split()[0]) < 0.4
