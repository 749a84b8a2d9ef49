"""The shell of job.sbatch away from any cluster: what it says, refuses and unpacks. With Slurm: tests/slurm."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cloud.model import Slurm
from cloud.slurm import render
from tests.unit.clusters import cluster

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        shutil.which("bash") is None or sys.platform != "linux", reason="the script is for Linux"
    ),
]
TOOLS = (
    "bash", "base64", "cat", "chmod", "env", "git", "grep", "gzip", "hostname", "mkdir", "mktemp", "mv", "paste",
    "readlink", "realpath", "rm", "sed", "sha256sum", "sort", "tar", "true",
)  # fmt: skip


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job of two nodes in a directory of its own, beside `bin`, the only programs that it finds."""
    file = tmp_path / "job.sbatch"
    file.write_text(render.text(replace(cluster(workers=1), target="slurm")), encoding="utf-8")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        if found:
            (programs / name).symlink_to(found)
    (programs / "python3").symlink_to(sys.executable)
    return file


def bash(job: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the file as somebody would, with a home and the fewest programs."""
    environment = {"PATH": str(job.parent / "bin"), "HOME": str(job.parent / "home"), **variables}
    return subprocess.run(
        ["bash", str(job), *words], env=environment, capture_output=True, text=True, timeout=300, check=False,
        executable=shutil.which("bash"),
    )  # fmt: skip


def test_help_names_every_way_and_where_things_lie(job: Path) -> None:
    """Without a cluster, and without writing anything."""
    done = bash(job, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        "--prepare",
        "--check",
        "sbatch job.sbatch",
        "--run",
        "--in-place DIR",
        "--work-dir DIR",
        "home/hotrun-slurm",
    ):
        assert words in done.stdout
    assert not (job.parent / "home").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--prepair"], "--prepair is not known"), (["--prepare", "--work-dir"], "--work-dir needs")],
)
def test_what_is_not_understood_ends_with_2(job: Path, words: list[str], said: str) -> None:
    """And a word about the help."""
    done = bash(job, *words)
    assert done.returncode == 2
    assert said in done.stdout
    assert "--help" in done.stdout


def test_outside_a_job_it_says_how_it_is_submitted(job: Path) -> None:
    """`bash job.sbatch` by itself trains nothing."""
    done = bash(job)
    assert done.returncode == 2
    assert "sbatch job.sbatch" in done.stdout


def test_a_damaged_program_is_not_started(job: Path) -> None:
    """A changed byte of what stands behind the shell is noticed before anything is unpacked."""
    text = job.read_text(encoding="utf-8")
    at = text.rindex("\n#: ", 0, len(text) - 300) + 20
    job.write_text(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :], encoding="utf-8")
    done = bash(job, "--prepare")
    assert done.returncode == 5
    assert "#node-program-damaged" in done.stdout


def test_the_program_is_unpacked_once_and_starts(job: Path) -> None:
    """What it says of a commit that it can't reach has a cause and a fix; the work directory is as told."""
    work = job.parent / "here"
    offline = {"https_proxy": "http://127.0.0.1:9", "NO_PROXY": ""}
    done = [bash(job, "--prepare", "--work-dir", str(work), **offline) for _ in "12"]
    programs = list((work / "program").iterdir())
    assert [each.returncode for each in done] == [5, 5]
    assert len(programs) == 1
    assert (programs[0] / "node" / "slurm" / "prepare.py").is_file()
    assert "not prepared: https://github.com/you/digits.git can't be cloned" in done[1].stdout
    assert "  fix " in done[1].stdout


def test_without_modules_on_the_cluster_a_job_that_needs_some_says_so(job: Path) -> None:
    """Before anything else is tried."""
    asked = replace(cluster(workers=1), target="slurm", slurm=Slurm(modules=("no-such-module/1",)))
    job.write_text(render.text(asked), encoding="utf-8")
    done = bash(job, "--prepare")
    assert done.returncode == 5
    assert "#module-missing" in done.stdout


def test_check_without_slurm_says_that_this_is_no_cluster(job: Path) -> None:
    """Problems found: exit code 3."""
    done = bash(job, "--check")
    assert done.returncode == 3
    assert "nothing is prepared" in done.stdout
    assert "no login node of a Slurm cluster" in done.stdout


def test_without_a_python_it_says_what_to_load(job: Path) -> None:
    """An old one does not count."""
    (job.parent / "bin" / "python3").unlink()
    done = bash(job, "--prepare")
    assert done.returncode == 5
    assert "#python-missing" in done.stdout
