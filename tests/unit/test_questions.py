"""The four questions, at a terminal and through a pipe."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.terminal import until
from tests.unit.typed import ROOT, hotrun


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
        screen += until(main, ": ")
        os.write(main, answer.encode() + b"\n")
    screen += until(main, "Generated at template.yml!")
    code = process.wait(300)  # before the terminal goes, to which the last line's end may still be written
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
def test_ctrl_c_at_a_question_leaves_nothing(checkout: Path) -> None:
    """Exit 130, no traceback, no file."""
    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "cloud" / "generator.py")],
        cwd=checkout, stdin=other, stdout=other, stderr=other, start_new_session=True,
    )  # fmt: skip
    os.close(other)
    until(main, "clone: ")
    for _ in range(30):  # one between the prompt and the wait for a key is heard with the next key only
        process.send_signal(signal.SIGINT)
        if select.select([main], [], [], 10)[0]:
            break
    screen = until(main, "nothing was written")

    assert process.wait(300) == 130
    assert "Traceback" not in screen
    assert [path.name for path in checkout.iterdir()] == ["digits"]
    os.close(main)


@pytest.mark.process
def test_without_a_terminal_nothing_is_asked(checkout: Path) -> None:
    """All missing flags are named at once, and the input is not read."""
    done = hotrun(checkout, "generate", "--workers", "2", stdin="digits\ntrain.py\n")

    assert done.returncode == 2
    assert done.stderr.startswith("--repo and --entrypoint are missing\n")
