"""Words of a command line: help, wrong ones, interrupts, bugs."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from cloud import __version__, cli, repository, summary
from cloud.commands.completion import SHELLS
from cloud.request.settings import SETTINGS
from tests.unit.typed import ROOT, TRAIN, run

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.mark.parametrize("command", [[], *([name] for name in cli.cli.commands)])
def test_every_command_explains_itself_with_an_example(
    command: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The example begins with the name that the program was called by, and everything fits 80 columns."""
    code, out, err = run(capsys, *command, "--help")

    assert (code, err) == (0, "")
    assert f"\nExample:\n  hotrun {' '.join(command)}" in out
    prose = [line for line in out[: out.index("Example:")].splitlines() if "--" not in line]
    assert max(map(len, prose)) <= 80


def test_every_setting_is_a_flag_with_the_models_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """The help of `generate` is made from settings.py."""
    _, out, _ = run(capsys, "generate", "--help")
    words = " ".join(out.split())

    assert [setting.key for setting in SETTINGS if setting.flag not in out] == []
    assert [setting.key for setting in SETTINGS if " ".join(setting.sentence.split()) not in words] == []


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints name and number."""
    assert run(capsys, "--version") == (0, f"hotrun {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "sentence", "hint"),
    [
        (["generat"], "generat is not a command", "did you mean generate?"),
        (["generate", "--no-input"], "--no-input is not a flag of generate", "hotrun generate --help"),
        (["generate", "--worker", "3"], "--worker is not a flag of generate", "did you mean --workers?"),
        (["--workers", "3"], "--workers is not a flag of hotrun", "hotrun generate --workers …"),
        (["check"], "TEMPLATE is missing", "hotrun check --help"),
        (["generate", "--repo"], "--repo needs a value", ""),
        (["check", "--json=1"], "--json takes no value", ""),
        (["check", "a", "b"], "check: got unexpected extra argument (b)", "hotrun check --help"),
        (["completion", "tcsh"], "shell is tcsh, but bash, zsh, fish are possible", "hotrun completion bash"),
        (["check", "template.yml", "--parameter", "x"], "x is not a name and a value with = between", ""),
        (
            ["check", "no-such-file.yml"],
            "no-such-file.yml can't be read: No such file or directory",
            "make it with",
        ),
        (
            ["rehearse", "template.yml", "--workers", "300"],
            "workers is 300, but at most 254 are possible",
            "",
        ),
        (
            ["rehearse", "template.yml", "--level", "cloud"],
            "level is cloud, but it is one of auto, namespace, process",
            "",
        ),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_exit_2(
    arguments: list[str], sentence: str, hint: str, *, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    """It begins with what was typed, and says what to type instead."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "template.yml").write_text("")

    code, out, err = run(capsys, *arguments)

    assert (code, out) == (2, "")
    assert sentence in err
    assert f"hint: {hint}" in err or not hint
    assert "Usage:" not in err


def test_a_bug_says_that_it_is_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 1, a traceback, and a sentence below it."""
    monkeypatch.setattr(cli.cli, "main", lambda **_: {}["x"])

    code, _, err = run(capsys, "check")

    assert code == 1
    assert "Traceback" in err
    assert f"this is a bug in hotrun {__version__}: KeyError" in err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_is_exit_130(
    error: BaseException, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a traceback, and nothing is claimed about files."""

    def interrupted(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli.cli, "main", interrupted)

    code, _, err = run(capsys, "check")

    assert code == 130
    assert err.startswith("interrupted\n")


@pytest.mark.process
def test_nothing_was_written_is_said_only_before_writing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """While the repository is asked it is true; when the result is shown it is not."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "requirements.txt").write_text("torch\n")
    given = ("generate", "--repo", ".", "--workers", "2", "--entrypoint", "train.py")
    with monkeypatch.context() as patch:
        patch.setattr(repository, "inspect", interrupted)
        before = run(capsys, *given)
    assert not (tmp_path / "template.yml").exists()
    monkeypatch.setattr(summary, "rows", interrupted)
    after = run(capsys, *given)

    assert (before[0], before[2].strip()) == (
        130,
        "interrupted; nothing was written\n  docs: docs/errors.md#interrupted",
    )
    assert (after[0], after[2].strip()) == (130, "interrupted\n  docs: docs/errors.md#interrupted")
    assert (tmp_path / "template.yml").exists()


@pytest.mark.parametrize("flag", [["--json"], ["--quiet"], ["--force"], ["--out", "x.yml"]])
def test_a_flag_before_the_command_is_not_lost(flag: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """It belongs to the four questions, and says where it is to stand."""
    code, out, err = run(capsys, *flag, "check", "template.yml")

    assert code == 2
    assert f"{flag[0]} stands before check" in out + err


@pytest.mark.parametrize(
    ("path", "name"),
    [("/usr/bin/hotrun", "hotrun"), ("cloud/generator.py", "python3 cloud/generator.py"), ("/x/cloud/__main__.py", "python3 -m cloud")],
)  # fmt: skip
def test_the_program_calls_itself_as_it_was_called(path: str, name: str) -> None:
    """What it tells to type next works where it was typed."""
    assert cli.program_name(path) == name


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_is_the_shells_own_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Made without starting the shell."""
    code, out, err = run(capsys, "completion", shell)

    assert (code, err) == (0, "")
    assert f"_HOTRUN_COMPLETE={shell}_complete" in out


@pytest.mark.process
def test_help_loads_no_library_that_it_does_not_need() -> None:
    """Neither rich nor yaml nor jinja2."""
    code = (
        "import sys\nfrom cloud import cli\ncli.run(['generate', '--help'])\n"
        "sys.stderr.write(' '.join({'rich', 'yaml', 'jinja2', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_is_no_bug(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is called that, with the file that could not be written."""

    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "runs/x-1/status.json")

    monkeypatch.setattr(cli.cli, "main", full)

    assert cli.run(["check", "x"]) == 1
    assert "runs/x-1/status.json can't be written: the disk is full" in capsys.readouterr().err
