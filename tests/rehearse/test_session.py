"""Whole rehearsals of machines that only pretend to train: real processes, real signals, no torch."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from cloud.errors import RequestError
from cloud.rehearse import Options, prepare, rehearse, returns, session
from tests.rehearse import fakes
from tests.rehearse.processes import below

if TYPE_CHECKING:
    from cloud.rehearse.report import Report

pytestmark = pytest.mark.process

FAILS_ON_WORKER_1 = """
stage("environment", "begin")
if rank == 1:
    say("ERROR: No matching distribution found for torchh")
    stage("environment", "failed", s="0.4", code="requirement-not-found", what="torchh: no such package",
          where="requirements.txt:3", fix="correct line 3")
else:
    stage("environment", "stopped", s="0.4")
sys.exit(5)
"""
SAYS_ITS_ENVIRONMENT = 'say("ENV " + json.dumps(dict(os.environ)))\n' + fakes.TRAINS


def run(
    behaviour: str, runs: Path, *, workers: int = 1, ui: fakes.Ui | None = None, **options: object
) -> Report:
    """Rehearse a fake template."""
    made = fakes.plan(behaviour, workers=workers)
    return rehearse(made, Options(level="process", runs_dir=runs, **options), ui or fakes.Ui())  # type: ignore[arg-type]


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


def test_a_machine_inherits_nothing_but_the_list(
    cache: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is set here and not on the list does not reach a machine; what is on it does."""
    for name in ("PYTHONPATH", "OMP_NUM_THREADS", "VIRTUAL_ENV", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "leak")
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(
            ("PIP_", "UV_", "SSL_", "GIT_", "REQUESTS_", "CUDA_")
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(cache))
    monkeypatch.setenv("UV_INDEX", "https://index.invalid/simple")
    run(SAYS_ITS_ENVIRONMENT, runs, workers=0, cpus=3)
    log = (runs / "digits-1/logs/master.log").read_text()
    seen = json.loads(next(line[4:] for line in log.splitlines() if line.startswith("ENV ")))
    for shells in (
        "PWD",
        "SHLVL",
        "_",
        "NODE_PROGRAM",
        "OLDPWD",
        "LC_CTYPE",
    ):  # made by bash and Python themselves
        seen.pop(shells, None)
    from_pip_conf = {name for name in seen if name.startswith("PIP_")}
    assert set(seen) - from_pip_conf == {
        "HOTRUN_ROOT", "HOTRUN_METADATA_URL", "HOTRUN_CPUS", "HOTRUN_REHEARSAL", "HOTRUN_GITCONFIG", "HOME",
        "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR",
        "PATH", "LANG", "UV_CACHE_DIR", "UV_INDEX",
    }  # fmt: skip
    root = Path(seen["HOTRUN_ROOT"])
    assert root in Path(seen["HOME"]).parents
    assert root in Path(seen["TMPDIR"]).parents
    assert seen["HOTRUN_CPUS"] == "3"


def test_the_user_data_runs_as_it_was_resolved(cache: Path, runs: Path) -> None:
    """The file that bash runs and the metadata service's user data are the same bytes, for this user only."""
    check = """
file = root / "user_data"
assert get("/openstack/latest/user_data") == file.read_bytes()
assert file.stat().st_mode & 0o077 == 0
"""
    report = run(check + fakes.TRAINS, runs)
    assert report.exit_code == 0


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


def test_what_the_master_told_heat_decides(cache: Path, runs: Path) -> None:
    """The problems of the result signal win over what consoles show."""
    told = (
        "problem = {'code': 'not-distributed', 'level': 'error', 'node': 'master', 'stage': 'collect',"
        " 'what': 'they never met'}\n"
        "if rank == 0:\n"
        "    signal(status='FAILURE', id='result', reason='x', data=finish([problem], proven=1))\n"
        "sys.exit(5)\n"
    )
    report = run(told, runs)
    assert [problem.code for problem in report.problems] == ["not-distributed"]
    assert report.as_json()["world_size"] == {"expected": 2, "proven": 1, "backend": "gloo"}


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("sys.exit(0)", "no-verdict"),
        ("sys.exit(3)", "machine-lost"),
        ("sys.exit(5)", "ended-without-reason"),
        ("if rank == 0: finish()", "gate-not-signalled"),
        ("if rank == 0:\n    signal(status='SUCCESS', id='gate')\n    finish(proven=1)", "not-distributed"),
    ],
)
def test_a_clean_exit_alone_is_no_success(cache: Path, runs: Path, behaviour: str, code: str) -> None:
    """Without verdict, gate, proof or reason the run has failed."""
    report = run(behaviour, runs, workers=1)
    assert (report.exit_code, report.problems[0].code) == (5, code)


def test_dropped_signals_are_told(cache: Path, runs: Path) -> None:
    """Heat says 200 to a body that it drops; the rehearsal says so."""
    report = run(fakes.TRAINS + "signal(status='SUCCESS', id='x', surprise=1)\n", runs, workers=0)
    assert report.exit_code == 0
    assert [problem.code for problem in report.problems] == ["signal-dropped"]


def test_machines_that_hang_after_a_loss_are_ended_and_named(
    cache: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed node program is named first; who did not end by itself comes after it."""
    monkeypatch.setattr(returns, "MAX_RETURNS", 0)
    monkeypatch.setattr(session, "AFTER_A_LOSS_S", 0.3)
    monkeypatch.setattr(session, "PER_MACHINE_S", 0.0)
    dies = "if rank == 1:\n    stage('train', 'begin')\n    os.kill(os.getpid(), 9)\n"
    report = run(dies + fakes.HANGS, runs, workers=2)
    assert report.exit_code == 5
    codes = [(problem.code, problem.node) for problem in report.problems]
    assert codes == [("machine-lost", "worker-1"), ("machine-did-not-end", "master")]
    assert not below(cache)


def test_who_still_seeks_a_master_that_gave_up_is_not_waited_for(cache: Path, runs: Path) -> None:
    """The master's word is the verdict; nobody can join it any more."""
    seeks = """
stage("network", "begin")
if rank == 0:
    stage("network", "failed", s="0.1", code="no-dns", what="no name server answers")
    sys.exit(5)
time.sleep(600)
"""
    report = run(seeks, runs, workers=1)
    assert [(problem.code, problem.node) for problem in report.problems] == [("no-dns", "master")]
    assert [node.state for node in report.nodes] == ["failed", "stopped"]


def test_a_deadline_ends_the_run_with_6(cache: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job's own limit is the rehearsal's, and who was waited for is named."""
    monkeypatch.setattr(prepare, "ENDING_S", -59.0)
    report = rehearse(
        fakes.plan(fakes.HANGS, max_hours=0.0), Options(level="process", runs_dir=runs), fakes.Ui()
    )
    assert (report.exit_code, report.problems[0].code) == (6, "deadline-passed")
    assert "worker-1" in report.problems[0].what


def test_a_held_machine_starts_late(cache: Path, runs: Path) -> None:
    """The others are running before it begins."""
    run(fakes.TRAINS, runs, workers=1, hold={"master": 0.5})
    events = [json.loads(line) for line in (runs / "digits-1/events.jsonl").read_text().splitlines()]
    order = [(event["event"], event["node"]) for event in events if event["event"] in ("started", "ended")]
    assert order[0] == ("started", "worker-1")
    assert order.index(("ended", "worker-1")) < order.index(("started", "master"))


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


def test_workers_override_the_template(cache: Path, runs: Path) -> None:
    """As Horizon's form would: the metadata of every machine tells the new number."""
    tells = "say(f'workers={workers}')\n"
    report = run(tells + fakes.TRAINS, runs, workers=3)  # the template's own number first
    assert len(report.nodes) == 4
    made = fakes.plan(tells + fakes.TRAINS, workers=3)
    report = rehearse(made, Options(level="process", runs_dir=runs, workers=1), fakes.Ui())
    assert [node.name for node in report.nodes] == ["master", "worker-1"]
    assert "workers=1" in (runs / "digits-2/logs/worker-1.log").read_text()
