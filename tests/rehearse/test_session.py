"""Whole rehearsals of machines that only pretend to train: how they go, and what each is told to be."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cloud.rehearse import Options, prepare, rehearse, returns, session
from tests.rehearse import fakes
from tests.rehearse.pretending import run
from tests.rehearse.processes import below

pytestmark = pytest.mark.process
SAYS_ITS_ENVIRONMENT = 'say("ENV " + json.dumps(dict(os.environ)))\n' + fakes.TRAINS


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


def test_workers_override_the_template(cache: Path, runs: Path) -> None:
    """As Horizon's form would: the metadata of every machine tells the new number."""
    tells = "say(f'workers={workers}')\n"
    report = run(tells + fakes.TRAINS, runs, workers=3)  # the template's own number first
    assert len(report.nodes) == 4
    made = fakes.plan(tells + fakes.TRAINS, workers=3)
    report = rehearse(made, Options(level="process", runs_dir=runs, workers=1), fakes.Ui())
    assert [node.name for node in report.nodes] == ["master", "worker-1"]
    assert "workers=1" in (runs / "digits-2/logs/worker-1.log").read_text()
