from __future__ import annotations

import errno
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from cloud import __version__, cli, repository, summary
from cloud.commands.completion import SHELLS
from cloud.request.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
TRAIN = "from pytorch_lightning import Trainer\n\nTrainer(max_epochs=1)\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository without an origin, and the directory that commands are typed in above it."""
    repo = tmp_path / "digits"
    repo.mkdir()
    (repo / "train.py").write_text(TRAIN)
    (repo / "requirements.txt").write_text("torch\n")
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "first")):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=repo, check=True)
    return tmp_path


def hotrun(directory: Path, *arguments: str, stdin: str = "", environ: dict[str, str] | None = None
           ) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Run the program as a person would, with pipes."""
    return subprocess.run(
        [sys.executable, str(ROOT / "cloud" / "generator.py"), *arguments],
        cwd=directory, input=stdin, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, **(environ or {})},
    )  # fmt: skip


def generate(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Generate from the checkout of the fixture."""
    given = ("--repo", "digits", "--workers", "2", "--entrypoint", "train.py")
    return hotrun(directory, "generate", *given, *arguments)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command in this process."""
    code = cli.run(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


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
def test_four_lines_through_a_pipe_make_the_template(checkout: Path) -> None:
    """The last line of stdout is what scripts wait for, and the questions are on stderr."""
    done = hotrun(checkout, stdin="digits\n2\n.\ntrain.py\n")

    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "Generated at template.yml!"
    assert "Enter an HTTPS" not in done.stdout
    assert "Enter an HTTPS .git repo URL to clone" in done.stderr
    assert "engine   Lightning: Trainer found in train.py:3" in done.stdout
    assert "quota needed: 3 instances, 6 cores, 12 GiB" in done.stdout
    assert "rehearse template.yml" in done.stdout
    assert (checkout / "template.yml").read_text().startswith("# Made by hotrun ")


@pytest.mark.process
def test_the_four_questions_take_the_flags_of_output(checkout: Path) -> None:
    """--out, --force, --quiet and --json, as `generate` does."""
    answers = "digits\n2\n.\ntrain.py\n"
    (checkout / "x.yml").write_text("mine\n")

    refused = hotrun(checkout, "--out", "x.yml", stdin=answers)
    quiet = hotrun(checkout, "--out", "x.yml", "--force", "--quiet", stdin=answers)
    made = json.loads(hotrun(checkout, "--out", "y.yml", "--json", stdin=answers).stdout)

    assert (refused.returncode, quiet.returncode, quiet.stdout) == (2, 0, "")
    assert (checkout / "x.yml").read_text().startswith("# Made by hotrun ")
    assert (made["path"], made["workers"]) == ("y.yml", 2)
    assert not (checkout / "template.yml").exists()
    assert hotrun(checkout, "--out", "-", stdin=answers).stdout == (checkout / "x.yml").read_text()


@pytest.mark.process
def test_what_to_try_names_the_checkout_where_the_host_has_no_such_commit(checkout: Path) -> None:
    """Without it the rehearsal would clone from the host, or from a directory without git."""
    digits = checkout / "digits"
    assert "rehearse template.yml\n" in generate(checkout).stdout
    subprocess.run(["git", "remote", "add", "origin", "https://h.invalid/x.git"], cwd=digits, check=True)
    unpushed = generate(checkout).stdout
    shutil.rmtree(digits / ".git")
    archive = generate(checkout).stdout

    assert f"rehearse template.yml --source {digits}\n" in unpushed
    assert f"rehearse template.yml --source {digits}\n" in archive
    assert "commit   none: the directory is not in git" in archive


@pytest.mark.process
def test_a_problem_with_a_default_says_that_it_is_one(checkout: Path) -> None:
    """Nobody typed `.`."""
    (checkout / "digits" / "requirements.txt").unlink()
    shutil.rmtree(checkout / "digits" / ".git")

    done = generate(checkout)

    assert done.stderr.splitlines()[0] == (
        "default of --requirements: requirements is ., but that directory has no requirements.txt"
    )


@pytest.mark.process
def test_a_missing_lease_is_said_once_for_each_kind(checkout: Path) -> None:
    """And for no worker where there is none."""
    bare_metal = ("--profile", "chameleon-baremetal", "--json")
    both = json.loads(generate(checkout, *bare_metal).stdout)["problems"]
    alone = json.loads(generate(checkout, *bare_metal, "--workers", "0").stdout)["problems"]

    assert [found["code"] for found in both].count("reservation-missing") == 2
    assert [found["code"] for found in alone].count("reservation-missing") == 1


@pytest.mark.process
def test_a_terminal_asks_again(checkout: Path) -> None:
    """The whole conversation of docs: wrong number, explanation, right number, default directory."""
    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "cloud" / "generator.py")],
        cwd=checkout, stdin=other, stdout=other, stderr=other, start_new_session=True, env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(other)
    screen = ""
    for answer in ("digits", "300", "2", "", "train.py"):
        screen += _until(main, ": ")
        os.write(main, answer.encode() + b"\n")
    screen += _until(main, "Generated at template.yml!")
    code = process.wait(60)  # before the terminal goes, to which the last line's end may still be written
    os.close(main)

    assert code == 0
    assert "workers is 300, but at most 254 are possible" in screen
    assert screen.count("How many workers would you like to run? (min 0, max 254): ") == 2
    assert "(. for root directory of repo) [.]: " in screen


@pytest.mark.process
@pytest.mark.parametrize(
    "answers", [b"\xff\xfe\n2\n.\ntrain.py\n", b"digits\n\xb2\n.\ntrain.py\n", b"\0\n" * 4]
)
def test_odd_bytes_are_a_wrong_answer(answers: bytes, checkout: Path) -> None:
    """Never a traceback, whatever a pipe holds."""
    command = [sys.executable, str(ROOT / "cloud" / "generator.py")]
    done = subprocess.run(command, cwd=checkout, input=answers, capture_output=True, check=False)

    assert done.returncode == 2
    assert done.stderr.count(b"docs/errors.md#") in (1, 3, 4)
    assert b"Traceback" not in done.stderr


@pytest.mark.process
def test_the_template_is_utf8_in_any_locale(checkout: Path) -> None:
    """Also where the terminal knows only ASCII."""
    options = ("--args", "--name ‘é’")
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    given = ("generate", "--repo", "digits", "--workers", "2", "--entrypoint", "train.py", *options)

    assert hotrun(checkout, *given, environ=ascii_only).returncode == 0
    assert (checkout / "template.yml").read_text(encoding="utf-8") == generate(
        checkout, *options, "--dry-run"
    ).stdout


@pytest.mark.process
def test_ctrl_c_at_a_question_leaves_nothing(checkout: Path) -> None:
    """Exit 130, no traceback, no file."""
    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "cloud" / "generator.py")],
        cwd=checkout, stdin=other, stdout=other, stderr=other, start_new_session=True,
    )  # fmt: skip
    os.close(other)
    _until(main, "clone: ")
    process.send_signal(signal.SIGINT)
    screen = _until(main, "nothing was written")

    assert process.wait(60) == 130
    assert "Traceback" not in screen
    assert [path.name for path in checkout.iterdir()] == ["digits"]
    os.close(main)


@pytest.mark.process
def test_the_same_request_makes_the_same_bytes(checkout: Path) -> None:
    """Printed, written, or written again."""
    generate(checkout)
    first = (checkout / "template.yml").read_bytes()
    generate(checkout)

    assert (checkout / "template.yml").read_bytes() == first
    assert generate(checkout, "--dry-run").stdout.encode() == first
    assert generate(checkout, "--out", "-").stdout.encode() == first


@pytest.mark.process
def test_a_dry_run_writes_nothing(checkout: Path) -> None:
    """Not even with --out."""
    done = generate(checkout, "--dry-run", "--out", "other.yml")

    assert done.returncode == 0
    assert [path.name for path in checkout.iterdir()] == ["digits"]


@pytest.mark.process
def test_somebody_elses_file_is_kept(checkout: Path) -> None:
    """It is replaced with --force, and nothing is asked or fetched before that is known."""
    (checkout / "template.yml").write_text("mine\n")

    refused = hotrun(checkout, stdin="digits\n2\n.\ntrain.py\n")

    assert refused.returncode == 2
    assert "template.yml exists and was not made by hotrun" in refused.stderr
    assert "Enter" not in refused.stderr
    assert (checkout / "template.yml").read_text() == "mine\n"
    assert generate(checkout, "--force").returncode == 0


@pytest.mark.process
def test_a_failure_leaves_the_old_template(checkout: Path) -> None:
    """Problems of the repository are exit 3, with the flag they belong to, and no file is left around."""
    generate(checkout)
    before = (checkout / "template.yml").read_bytes()

    done = generate(checkout, "--entrypoint", "tain.py")

    assert done.returncode == 3
    assert done.stderr.startswith("flag --entrypoint: entrypoint is tain.py, but the commit has no tain.py\n")
    assert "hint: did you mean train.py?" in done.stderr
    assert (checkout / "template.yml").read_bytes() == before
    assert sorted(path.name for path in checkout.iterdir()) == ["digits", "template.yml"]


@pytest.mark.process
def test_links_and_modes_of_a_template_are_kept(checkout: Path) -> None:
    """The file behind the link is replaced, with its permissions."""
    generate(checkout, "--out", "real.yml")
    (checkout / "real.yml").chmod(0o640)
    (checkout / "template.yml").symlink_to("real.yml")

    assert generate(checkout, "--workers", "5").returncode == 0

    assert (checkout / "template.yml").is_symlink()
    assert (checkout / "real.yml").stat().st_mode & 0o777 == 0o640
    assert "--workers 5" in (checkout / "real.yml").read_text()


@pytest.mark.process
def test_without_a_terminal_nothing_is_asked(checkout: Path) -> None:
    """All missing flags are named at once, and the input is not read."""
    done = hotrun(checkout, "generate", "--workers", "2", stdin="digits\ntrain.py\n")

    assert done.returncode == 2
    assert done.stderr.startswith("--repo and --entrypoint are missing\n")


@pytest.mark.process
def test_json_is_one_document_of_what_was_made(checkout: Path) -> None:
    """With commit, engine, sizes and problems; also when it failed."""
    made = json.loads(generate(checkout, "--json").stdout)
    failed = generate(checkout, "--json", "--entrypoint", "x.py")

    assert (made["path"], made["workers"], made["exit_code"]) == ("template.yml", 2, 0)
    assert len(made["commit"]) == 40
    assert made["engine"] == {
        "asked": "auto",
        "found": "lightning",
        "where": "train.py:3",
        "evidence": "Trainer",
    }
    assert made["sizes"]["limit"] == 49_149
    assert failed.returncode == 3
    assert [problem["code"] for problem in json.loads(failed.stdout)["problems"]] == ["entrypoint-missing"]


@pytest.mark.process
def test_quiet_prints_nothing_where_nothing_is_wrong(checkout: Path) -> None:
    """Only the warning that the repository is local is left."""
    done = generate(checkout, "--quiet")

    assert (done.returncode, done.stdout) == (0, "")
    assert "warning: " in done.stderr


@pytest.mark.process
def test_check_reads_a_template_from_a_pipe(checkout: Path) -> None:
    """`generate --out - | check -` works, and ends with the sizes."""
    done = hotrun(checkout, "check", "-", stdin=generate(checkout, "--out", "-").stdout)

    assert done.returncode == 0
    assert "boot script" in done.stdout
    assert "49,149" in done.stdout


@pytest.mark.process
def test_check_ends_with_3_where_something_is_wrong(checkout: Path) -> None:
    """As text and as a document."""
    generate(checkout)

    done = hotrun(checkout, "check", "template.yml", "--parameter", "workers=300", "--json")

    document = json.loads(done.stdout)
    assert done.returncode == document["exit_code"] == 3
    assert "error" in {problem["level"] for problem in document["problems"]}
    assert hotrun(checkout, "check", "template.yml", "--parameter", "workers=300").returncode == 3


@pytest.mark.process
def test_explain_unpacks_what_a_machine_gets(checkout: Path) -> None:
    """The text on stdout, the files in the directory."""
    generate(checkout)

    done = hotrun(checkout, "explain", "template.yml", "--unpack", "seen")

    assert done.returncode == 0
    assert "worker_group" in done.stdout
    assert [path for path in (checkout / "seen").rglob("*") if path.is_file()]


@pytest.mark.process
def test_a_reader_that_leaves_is_no_error(checkout: Path) -> None:
    """`hotrun generate --dry-run | head -1` is quiet."""
    command = (
        f"{sys.executable} {ROOT}/cloud/generator.py generate --repo digits --workers 2 --entrypoint train.py --out - "
        "2>err | head -c 1 >/dev/null; echo ${PIPESTATUS[0]}"
    )
    done = subprocess.run(["bash", "-c", command], cwd=checkout, capture_output=True, text=True, check=False)

    assert done.stdout == "0\n"
    assert "BrokenPipe" not in (checkout / "err").read_text()


@pytest.mark.process
def test_help_loads_no_library_that_it_does_not_need() -> None:
    """Neither rich nor yaml nor jinja2."""
    code = (
        "import sys\nfrom cloud import cli\ncli.run(['generate', '--help'])\n"
        "sys.stderr.write(' '.join({'rich', 'yaml', 'jinja2', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def _until(descriptor: int, text: str) -> str:
    """Read a terminal until `text` appears; fails when nothing more comes for a minute."""
    seen = ""
    while text not in seen:
        ready, _, _ = select.select([descriptor], [], [], 60)
        assert ready, f"waited for {text!r} after {seen!r}"
        seen += os.read(descriptor, 4096).decode()
    return seen


def test_a_full_disk_is_no_bug(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is called that, with the file that could not be written."""

    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "runs/x-1/status.json")

    monkeypatch.setattr(cli.cli, "main", full)

    assert cli.run(["check", "x"]) == 1
    assert "runs/x-1/status.json can't be written: the disk is full" in capsys.readouterr().err
