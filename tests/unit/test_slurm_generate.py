"""`generate --target slurm`: the file, what is said of it, and settings of the other target."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cloud import cli, config
from cloud.slurm import misplaced
from tests.unit.test_slurm_rules import ASKED

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A directory with a program that trains."""
    top = tmp_path / "digits"
    top.mkdir()
    (top / "train.py").write_text("import torch.distributed as dist\n\ndist.init_process_group()\n")
    (top / "requirements.txt").write_text("torch\n")
    return top


def run(monkeypatch: pytest.MonkeyPatch, where: Path, *words: str) -> int:
    """Run the command in a directory; its exit code."""
    monkeypatch.chdir(where)
    monkeypatch.setattr("sys.argv", ["hotrun", "generate", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


def four(repository: Path) -> list[str]:
    """Return the four answers as flags, for Slurm."""
    return ["--repo", str(repository), "--workers", "1", "--entrypoint", "train.py", "--target", "slurm"]


@pytest.mark.process
def test_the_job_is_written_beside_the_next_steps(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """job.sbatch by default; rehearse, prepare and submit are named in this order."""
    assert run(monkeypatch, tmp_path, *four(repository), "--time", "90") == 0
    said = capsys.readouterr().out
    assert (tmp_path / "job.sbatch").read_text().startswith("#!/usr/bin/env bash\n# Made by hotrun ")
    steps = [
        said.index(words)
        for words in ("rehearse job.sbatch", "bash job.sbatch --prepare", "sbatch job.sbatch\n")
    ]
    assert steps == sorted(steps)
    assert "2 nodes, the default partition, at most 90 minutes" in said
    assert said.endswith("Generated at job.sbatch!\n")


@pytest.mark.process
def test_a_name_that_was_given_is_the_files(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also that which a template has by default."""
    assert run(monkeypatch, tmp_path, *four(repository), "--out", "template.yml") == 0
    assert capsys.readouterr().out.endswith("Generated at template.yml!\n")
    assert [path.name for path in tmp_path.glob("*.*")] == ["template.yml"]


@pytest.mark.process
def test_its_own_file_is_replaced_and_no_other(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What somebody else wrote stays, unless --force."""
    assert [run(monkeypatch, tmp_path, *four(repository)) for _ in "12"] == [0, 0]
    (tmp_path / "job.sbatch").write_text("#!/bin/bash\n#SBATCH --nodes=1\n")
    assert run(monkeypatch, tmp_path, *four(repository)) == 2
    assert "was not made by hotrun" in capsys.readouterr().err
    assert run(monkeypatch, tmp_path, *four(repository), "--force") == 0


@pytest.mark.process
def test_json_names_target_and_path(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One document; the text is in it when it went to no file."""
    assert run(monkeypatch, tmp_path, *four(repository), "--json", "--out", "-") == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (document["target"], document["path"], document["engine"]["found"]) == ("slurm", None, "torch")
    assert document["job"].startswith("#!")


def test_settings_of_heat_are_named_for_a_job(tmp_path: Path) -> None:
    """A flag is an error; a key of a file that serves both is a warning."""
    file = tmp_path / "hotrun.yml"
    file.write_text("image: x\nworkers: 1\n")
    asked = config.request({**ASKED, "max_hours": "3", "key_name": "k"}, file)
    found = [(each.level, each.what.split()[0], each.where) for each in misplaced.problems(asked)]
    assert found == [
        ("warning", "image", f"{file}:1"), ("error", "max_hours", "flag --max-hours"),
        ("error", "key_name", "flag --key-name"),
    ]  # fmt: skip
    assert "--time" in next(each.fix for each in misplaced.problems(asked) if "max_hours" in each.what)


def test_settings_of_slurm_are_named_for_a_template() -> None:
    """The other way round, with the flag that is missing."""
    asked = config.request({**ASKED, "target": "heat", "gpus": "2"})
    [found] = misplaced.problems(asked)
    assert (found.level, found.what, found.fix) == (
        "error", "gpus means nothing for --target heat", "add --target slurm",
    )  # fmt: skip


@pytest.mark.process
def test_misplaced_and_malformed_are_told_together(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All problems at once, and nothing is written."""
    words = [*four(repository), "--time", "soon", "--image", "x", "--mem", "1 GB"]
    assert run(monkeypatch, tmp_path, *words) == 2
    said = capsys.readouterr().err
    assert all(code in said for code in ("#time-malformed", "#setting-of-other-target", "#value-malformed"))
    assert not (tmp_path / "job.sbatch").exists()


@pytest.mark.process
def test_a_published_template_is_heats_alone(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--publish with a job is refused."""
    assert run(monkeypatch, tmp_path, *four(repository), "--publish") == 2
    assert "--publish is for a template of Heat" in capsys.readouterr().err
