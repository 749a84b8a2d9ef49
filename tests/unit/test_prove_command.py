"""`hotrun prove`: a command gets the probe, and keeps its manners."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cloud import cli
from cloud.errors import RequestError
from cloud.prove import launch

ROOT = Path(__file__).parents[2]


def test_only_records_of_this_command_count(tmp_path: Path) -> None:
    """A kept directory holds those of earlier commands too."""
    with launch.place(str(tmp_path), is_shared=False) as place:
        for run in (place.run, "another"):
            (tmp_path / f"rank0-{run}.json").write_text(json.dumps({"run": run}))
        (tmp_path / "rank1-x.json").write_text("{")

        assert [{"run": place.run}] == place.records()
    assert 3 == len(list(tmp_path.iterdir()))


def test_a_directory_of_our_own_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lies below the current one when other hosts must see it."""
    monkeypatch.chdir(tmp_path)
    with launch.place(None, is_shared=True) as place:
        assert place.directory.parent == tmp_path

    assert [] == list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The flag to give another one is the hint."""
    (tmp_path / "file").write_text("")
    place = launch.place(str(tmp_path / "file"), is_shared=False)
    with pytest.raises(RequestError, match="can't hold the records") as refused, place:
        pass

    assert "proof-dir-unusable" == refused.value.problems[0].code


def test_the_probe_stands_before_the_users_own_path(tmp_path: Path) -> None:
    """Variables of a machine of a template don't reach the command."""
    with launch.place(str(tmp_path), is_shared=False) as place:
        found = launch.environment(place, {"PYTHONPATH": "mine", "HOTRUN_NODE": "worker-1", "A": "b"})

    assert found == {
        "PYTHONPATH": f"{tmp_path / '.probe'}{os.pathsep}mine", "HOTRUN_PROOF_DIR": str(tmp_path),
        "HOTRUN_RUN_ID": place.run, "A": "b",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("command", "environment", "expected"),
    [
        (["/usr/bin/srun", "x"], {}, True),
        (["mpirun"], {}, True),
        (["bash"], {"SLURM_JOB_NUM_NODES": "2"}, True),
        (["bash"], {"SLURM_NNODES": "1"}, False),
        (["torchrun"], {}, False),
    ],
)
def test_who_may_reach_other_hosts(command: list[str], environment: dict[str, str], expected: bool) -> None:
    """Launchers across hosts, and anything inside of an allocation of several nodes."""
    assert expected is launch.several_hosts(command, environment)


@pytest.mark.process
def test_open_mpi_is_told_to_pass_the_variables(tmp_path: Path) -> None:
    """It passes none to other hosts unless -x names it; Intel's and MPICH's pass all and know no -x."""
    for folder, said in (("open", "mpirun (Open MPI) 4.1.4"), ("intel", "Intel(R) MPI Library for Linux")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mpirun").write_text(f"#!/bin/sh\necho '{said}'\n")
        (tmp_path / folder / "mpirun").chmod(0o755)
    ours, theirs = (str(tmp_path / folder / "mpirun") for folder in ("open", "intel"))

    assert [
        ours,
        "-x",
        "PYTHONPATH",
        "-x",
        "HOTRUN_PROOF_DIR",
        "-x",
        "HOTRUN_RUN_ID",
        "-n",
        "2",
    ] == launch.passed_on([ours, "-n", "2"])
    assert [theirs, "-n", "2"] == launch.passed_on([theirs, "-n", "2"])


@pytest.mark.process
def test_the_commands_own_flags_are_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    """What stands behind the command is not read, its stdout stays stdout, its exit code is named."""
    code = cli.run(["prove", "--", "sh", "-c", 'echo "$@"; exit 3', "x", "--json", "-q"])
    out, err = capfd.readouterr()

    assert (5, "--json -q\n") == (code, out)
    assert "the command ended with exit code 3; until then: no process trained" in err
    assert "docs/errors.md#command-failed" in err


@pytest.mark.process
def test_json_has_stdout_for_itself(capfd: pytest.CaptureFixture[str]) -> None:
    """The command's own output goes to stderr."""
    code = cli.run(["prove", "--json", "echo", "hello"])
    out, err = capfd.readouterr()
    document = json.loads(out)

    assert (5, "hello\n") == (code, err)
    assert (5, 0, ["echo", "hello"], [], 0) == tuple(
        document[key] for key in ("exit_code", "command_exit_code", "command", "runs", "alone")
    )
    assert ["nothing-trained"] == [problem["code"] for problem in document["problems"]]


@pytest.mark.process
def test_what_is_no_program_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    """It is the request that is wrong, not a run that failed."""
    assert 2 == cli.run(["prove", "no-such-program"])
    assert "no-such-program can't be started: No such file or directory" in capfd.readouterr().err


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_goes_to_the_command_and_is_reported(tmp_path: Path, number: signal.Signals) -> None:
    """The command may end as it likes; ours ends with 130, and leaves no directory."""
    line = 'trap "echo told; exit 0" INT TERM; echo ready; while :; do sleep 0.1; done'
    heeding = ["env", "--default-signal=INT"]  # where the tests themselves run in the background
    child = subprocess.Popen(
        [*heeding, sys.executable, str(ROOT / "cloud" / "generator.py"), "prove", "bash", "-c", line],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )  # fmt: skip
    assert child.stdout is not None
    try:
        assert "ready\n" == child.stdout.readline()
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    assert (130, "told\n") == (child.returncode, out)
    assert f"interrupted by {number.name}; until then: " in err
    assert [] == list(tmp_path.iterdir())
