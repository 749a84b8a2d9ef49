"""What is kept of a rehearsal, and what is shown of it: real processes, real signals, no torch."""

from __future__ import annotations

import io
import json
import re
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from cloud.errors import RequestError
from cloud.rehearse import Options, rehearse
from tests.rehearse import fakes
from tests.rehearse.pretending import FAILS_ON_WORKER_1, run

pytestmark = pytest.mark.process


def test_a_good_run_is_kept_whole_and_ends_with_0(cache: Path, runs: Path) -> None:
    """The document, the logs, the proof and the manifest lie below runs/NAME, and the figures are told."""
    report = rehearse(
        fakes.plan(fakes.TRAINS, workers=2), Options(level="process", runs_dir=runs), fakes.Ui()
    )
    assert (report.exit_code, report.state, report.problems) == (0, "done", ())
    made = {str(path.relative_to(runs)) for path in runs.rglob("*") if path.is_file()}
    logs = {f"digits-1/logs/{name}.log" for name in ("master", "worker-1", "worker-2")}
    files = (
        "template.yml",
        "parameters.json",
        "status.json",
        "master-status.json",
        "events.jsonl",
        "manifest.sha256",
    )
    assert made == logs | {f"digits-1/{name}" for name in (*files, "proof/rank0.json", "results/result.json")}
    shown = str(report)
    assert "3 machines trained as one (world size 3 of 3, gloo, 310 MB of gradients)" in shown
    assert "test accuracy 98.00 %   2 epochs in 3.5 s   12,346 images/s" in shown


@pytest.mark.parametrize("behaviour", [fakes.TRAINS, FAILS_ON_WORKER_1])
def test_status_json_is_the_document_of_json(cache: Path, runs: Path, behaviour: str) -> None:
    """With exit_code and run_dir, whether the master wrote a status of its own or not."""
    report = run(behaviour, runs)
    assert json.loads((runs / "digits-1/status.json").read_text()) == report.as_json()


def test_the_manifest_names_the_files_as_they_are_kept(cache: Path, runs: Path) -> None:
    """`sha256sum --check` passes in the run's directory, the master's own status included."""
    report = run(fakes.TRAINS, runs)
    done = subprocess.run(
        ["sha256sum", "--check", "manifest.sha256"],
        cwd=report.run_dir, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "master-status.json: OK" in done.stdout) == (0, True)
    assert json.loads((report.run_dir / "master-status.json").read_text())["run"] == "r1"


def test_runs_are_numbered_and_never_overwritten(cache: Path, runs: Path) -> None:
    """The second run is digits-2; a name that exists is refused."""
    names = [
        rehearse(fakes.plan(fakes.TRAINS), Options(level="process", runs_dir=runs), fakes.Ui()).name
        for _ in range(2)
    ]
    assert names == ["digits-1", "digits-2"]
    with pytest.raises(RequestError, match="never overwritten"):
        run(fakes.TRAINS, runs, name="digits-2")


def test_a_failure_names_machine_stage_sentence_fix_and_line(cache: Path, runs: Path) -> None:
    """The screen has all of it, and every machine in one line."""
    report = run(FAILS_ON_WORKER_1, runs, workers=2)
    assert report.exit_code == 5
    problem = report.problems[0]
    assert (problem.node, problem.stage, problem.code) == ("worker-1", "environment", "requirement-not-found")
    shown = str(report).splitlines()
    end = "all machines stopped, nothing left running"
    assert re.fullmatch(rf"worker-1 failed in environment after \d\.\d s; {end}", shown[0])
    assert "  requirements.txt:3: torchh: no such package" in shown
    assert "    ERROR: No matching distribution found for torchh" in shown
    assert f"  log    {runs}/digits-1/logs/worker-1.log:2" in shown
    assert "worker-1   failed: environment" in shown
    assert "worker-2   stopped in environment" in shown


def test_quiet_shows_nothing_and_plain_shows_one_line_per_stage(cache: Path, runs: Path) -> None:
    """Away from a terminal each ended stage and each line of a program is one named line."""
    quiet, plain = fakes.Ui(is_quiet=True), fakes.Ui()
    run(fakes.TRAINS, runs, ui=quiet)
    run(fakes.TRAINS, runs, ui=plain)
    assert quiet.text == ""
    assert "worker-1 │ [rank 1] Epoch 1/2 loss=0.5" in plain.text
    assert "master   │ train ok (0.3 s)" in plain.text


def test_a_terminal_has_a_table_of_machines_and_stages(cache: Path, runs: Path) -> None:
    """The table stays at the end; single stages are not told as lines again."""
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    run(fakes.TRAINS, runs, ui=fakes.Ui(progress=terminal))
    assert isinstance(terminal.file, io.StringIO)
    lines = [line.split() for line in terminal.file.getvalue().splitlines()]
    assert ["worker-1", "0.1s", "0.3s"] in lines
    assert "train ok" not in terminal.file.getvalue()


def test_control_characters_of_a_program_are_shown(cache: Path, runs: Path) -> None:
    """A program's output can't move the cursor or colour what follows."""
    ui = fakes.Ui()
    run("say('red \\x1b[31m')\n" + fakes.TRAINS, runs, ui=ui)
    assert "red \\x1b[31m" in ui.text
    assert "\x1b" not in ui.text
