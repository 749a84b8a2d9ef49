from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cloud import cli, hot, rehearse
from cloud.model import Cluster, Job
from cloud.rehearse.launch import Launch
from cloud.rehearse.report import NodeReport, Report

REPO = "https://host.invalid/you/digits.git"


@pytest.fixture
def template(tmp_path: Path) -> str:
    """The path of a generated template."""
    path = tmp_path / "template.yml"
    path.write_text(hot.text(Cluster(job=Job(repo=REPO, entrypoint="main.py"), workers=0)))
    return str(path)


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Report:
    """A rehearsal that says one sentence and ends well."""
    master = NodeReport(name="master", rank=0, address="127.64.1.2", state="done", stages={})
    made = Report(
        name="digits-1", level="process", state="done", exit_code=0, expected=1, proven=1, backend="none",
        gradient_bytes=0, nodes=(master,), result={}, run_dir=Path("runs/digits-1"), attempts=1, problems=(),
        seconds=1.0, places={}, launch=Launch(repo=REPO, ref="", overrides={}),
    )  # fmt: skip

    def rehearsed(_plan: object, _options: object, ui: Any) -> Report:
        ui.say("a sentence of progress")
        return made

    monkeypatch.setattr(rehearse, "rehearse", rehearsed)
    return made


@pytest.mark.parametrize("flags", [[], ["--quiet"]])
def test_quiet_leaves_out_progress_and_not_the_result(
    template: str, report: Report, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    """The verdict and what to type next are the result; they are on stdout either way."""
    assert cli.run(["rehearse", template, *flags]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{report}\n"
    assert shown.err == ("" if flags else "a sentence of progress\n")


def test_json_is_the_reports_document(
    template: str, report: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    """One document on stdout; progress may still be on stderr."""
    assert cli.run(["rehearse", template, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == report.as_json()


def test_a_template_with_errors_is_refused_with_all_of_them(
    template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is prepared for it."""
    wrong = ["--parameter", "workers=900", "--parameter", "max_hours=-1"]
    assert cli.run(["rehearse", template, *wrong]) == 3
    shown = capsys.readouterr().err
    assert "workers" in shown
    assert "max_hours" in shown


def test_all_mistakes_in_faults_are_told_before_anything_is_prepared(
    template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with its flag, as typed; nothing is started for them."""
    assert cli.run(["rehearse", template, "--fault", "kil:master", "--fault", "kill:worker-1"]) == 2
    shown = capsys.readouterr().err
    assert "flag --fault: kil:master: there is no such fault" in shown
    assert "did you mean kill?" in shown
    assert "kill:worker-1: there is no machine worker-1" in shown
