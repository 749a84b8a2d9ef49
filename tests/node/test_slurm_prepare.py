"""The archive for nodes without shared storage: what is in it, and when it is written anew."""

from __future__ import annotations

import json
import os
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from cloud.node.slurm import places, prepare

if TYPE_CHECKING:
    from pathlib import Path

JOB = {"repo": "r", "entrypoint": "e.py", "master": "", "secret": ""}


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work directory in which everything is prepared; the running program is version `1`."""
    directory = tmp_path / "work"
    settle(directory, directory)
    monkeypatch.setenv(places.OURS + "WORK", str(directory))
    monkeypatch.setenv(places.OURS + "DIGEST", "d")
    monkeypatch.setenv(places.OURS + "JOB", json.dumps(JOB))
    monkeypatch.setenv(places.OURS + "RUN", str(tmp_path / "run"))
    monkeypatch.setattr(sys, "argv", [str(directory / "program" / "1")])
    return directory


def settle(directory: Path, named: Path) -> None:
    """Lay out what `--prepare` makes, by the name that it had for the work directory."""
    for path in ("prepared/d/src", "env/lock", "data", "program/1", "program/2"):
        (directory / path).mkdir(parents=True)
        (directory / path / "__main__.py").touch()
    found = {
        "commit": "", "checkout": str(named / "prepared/d/src"), "environment": str(named / "env/lock"),
        "uv": "/uv", "engine": "torch", "kind": "cpu-x86_64-py3.11", "wanted": {"in_place": "", "gpu": False},
    }  # fmt: skip
    (directory / "prepared/d/prepared.json").write_text(json.dumps(found))
    (directory / "env/lock/.complete").touch()
    for path in (directory / "prepared/d/prepared.json", directory / "env/lock/.complete"):
        os.utime(path, (1, 1))


def names(work: Path) -> set[str]:
    """What the archive holds."""
    with tarfile.open(work / "prepared/d/archive.tar") as tar:
        return set(tar.getnames())


def test_the_archive_is_written_once_for_the_same_program(work: Path) -> None:
    """It takes minutes for an environment with CUDA."""
    assert prepare.archive([]) == 0
    (work / "data/late").touch()
    assert prepare.archive([]) == 0
    assert "data/late" not in names(work)


def test_a_job_of_another_version_sends_its_own_program(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same digest, another SHA-256: nodes would not find the program that the job starts."""
    assert prepare.archive([]) == 0
    assert "program/1/__main__.py" in names(work)
    monkeypatch.setattr(sys, "argv", [str(work / "program" / "2")])
    assert prepare.archive([]) == 0
    assert "program/2/__main__.py" in names(work)


@pytest.mark.process
@pytest.mark.parametrize("code", [0, 1])
def test_what_a_command_fetched_is_sent_too(work: Path, code: int) -> None:
    """Also where it failed in the middle: some of it is there."""
    assert prepare.archive([]) == 0
    command = f'touch "$HOTRUN_DATA_DIR/late"; exit {code}'
    assert bool(prepare.main(["--", command])) is bool(code)
    assert prepare.archive([]) == 0
    assert "data/late" in names(work)


@pytest.mark.parametrize("is_named_by_link", [True, False])
def test_a_work_directory_behind_a_link_can_be_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Path, *, is_named_by_link: bool
) -> None:
    """Home directories often are; what was prepared may name it by the link or by its place."""
    link, place = tmp_path / "link", tmp_path / "place"
    settle(place, link if is_named_by_link else place)
    link.symlink_to(place)
    monkeypatch.setenv(places.OURS + "WORK", str(link))
    monkeypatch.setattr(sys, "argv", [str(link / "program" / "1")])
    assert prepare.archive([]) == 0
    assert {"env/lock/.complete", "prepared/d/prepared.json", "program/1/__main__.py"} <= names(place)


def test_what_can_not_be_sent_is_in_the_jobs_status(work: Path, tmp_path: Path) -> None:
    """The script ends with it."""
    (tmp_path / "run").mkdir()
    prepared = work / "prepared/d/prepared.json"
    prepared.write_text(json.dumps({**json.loads(prepared.read_text()), "checkout": str(tmp_path)}))
    assert prepare.archive([]) == places.FAILED
    [problem] = json.loads((tmp_path / "run/status.json").read_text())["problems"]
    assert (problem["code"], problem["fix"]) == ("checkout-elsewhere", "prepare without --in-place")
    assert problem["what"].startswith("nothing can be sent to the nodes: ")
