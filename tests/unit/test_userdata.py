"""The boot text: what it carries, that it is the same each time, and how it starts or refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cloud import userdata
from cloud.node.console import parse_line
from cloud.template import archive, kept

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = {
    "node/__init__.py": b"",
    "node/__main__.py": b"import os, sys\nprint('started', sys.argv[1], os.getcwd(), oct(os.umask(0)))\n",
}
JOB = json.dumps({"args": "'\"$(id) `id` HOTRUN_JOB EOF \\", "secret": "s"})
SHELLCHECK = shutil.which("shellcheck")


@pytest.fixture
def small() -> str:
    """A boot text that carries a program of three lines, with a job in it."""
    return userdata.with_job(userdata.boot_text(kept.of(PROGRAM)), JOB)


def boot(script: str, root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a boot text as a rehearsal does."""
    variables = {"PATH": os.environ["PATH"], "HOTRUN_ROOT": str(root)} | environment
    return subprocess.run(
        ["/bin/bash", "-c", script], env=variables, capture_output=True, text=True, timeout=60, check=False
    )


def test_boot_text_is_the_same_each_time() -> None:
    """The same node program gives the same bytes."""
    assert userdata.boot_text() == userdata.boot_text()


def test_boot_text_gives_back_the_node_program() -> None:
    """What is packed is every Python file of cloud/node, and unpacks to what was packed."""
    actual = userdata.node_program(userdata.boot_text())
    assert archive.node_files() == actual
    assert {"node/__main__.py", "node/console.py"} <= set(actual)


def test_job_token_stands_once_and_never_in_the_archive() -> None:
    """Heat finds exactly one place for the job."""
    text = userdata.boot_text()
    assert text.count(userdata.JOB_TOKEN) == 1
    assert userdata.JOB_TOKEN not in userdata.program_text(text)


def test_an_archive_line_that_would_end_its_heredoc_is_refused() -> None:
    """What can't stand in the boot script never gets there."""
    for line in ("HOTRUN_NODE", f"x{userdata.JOB_TOKEN}", " x"):
        with pytest.raises(ValueError, match="can't stand"):
            userdata._heredoc(line)


def test_a_decoder_that_would_end_its_quotes_is_refused() -> None:
    """The shell hands it to Python between two single quotes."""
    with pytest.raises(ValueError, match="single quote"):
        userdata._unquoted("print('x')")


def test_a_decoder_that_horizon_would_change_is_written_in_two_literals() -> None:
    """Python reads the same text, and the two characters do not stand together."""
    text = userdata.boot_text(replace(kept.packed(), decoder="a{$b$}c"))
    assert '"a{""$b$""}c"' in text


def test_program_edited_by_hand_is_refused() -> None:
    """A changed archive or hash is a ValueError that says which."""
    text = userdata.boot_text()
    sha256 = userdata.program_sha256(text)
    with pytest.raises(ValueError, match="SHA-256 is"):
        userdata.node_program(text.replace(sha256, "0" * 64))
    with pytest.raises(ValueError, match="can't be unpacked"):
        userdata.node_program(text.replace(userdata.program_text(text), "QUJD"))
    with pytest.raises(ValueError, match="has lost"):
        userdata.node_program(text.replace("HOTRUN_NODE", "EOF"))


def test_body_leaves_room_for_the_job(capsys: pytest.CaptureFixture[str]) -> None:
    """The boot text without a job stays below what long arguments need; the table of sizes is printed."""
    sizes = userdata.sizes(userdata.boot_text())
    with capsys.disabled():
        print("\n" + "\n".join(f"    {part:20}{size:>8,} bytes" for part, size in sizes.items()))
    assert sizes["total"] <= userdata.MAX_BODY_BYTES


def test_sizes_add_up() -> None:
    """The parts are the whole, in bytes, not characters."""
    text = userdata.boot_text()
    sizes = userdata.sizes(text, "ü", "üüü")
    assert sizes["boot script"] + sizes["node program"] + 2 == sizes["total"]
    assert sizes["total"] == len(userdata.with_job(text, "ü").encode())
    assert sizes["total at worst"] == sizes["total"] + 4


def test_boot_text_has_no_blanks_at_line_ends() -> None:
    """YAML can write it as a block, and its first lines say what it is for."""
    lines = userdata.boot_text().splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    assert lines[0] == "#!/usr/bin/env bash"
    assert lines[1].startswith("# Puts hotrun's node program")


@pytest.mark.process
@pytest.mark.skipif(SHELLCHECK is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    """The rendered script is clean."""
    found = subprocess.run(
        [str(SHELLCHECK), "-"],
        input=userdata.boot_text(),
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert found.stdout == ""


@pytest.mark.process
def test_boot_writes_the_job_and_starts_the_program(small: str, tmp_path: Path) -> None:
    """Below HOTRUN_ROOT: the job as it is and readable by its owner alone, the program, started in its directory."""
    done = boot(small, tmp_path)
    job = tmp_path / "etc/hotrun/job.json"
    assert (0, "") == (done.returncode, done.stderr)
    assert f"started {job} {tmp_path}/opt/hotrun 0o22" == done.stdout.strip()
    assert JOB + "\n" == job.read_text()
    assert job.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "opt/hotrun/node/__main__.py").stat().st_mode & 0o777 == 0o644


@pytest.mark.process
def test_boot_again_leaves_nothing_of_an_older_program(small: str, tmp_path: Path) -> None:
    """A kept root gets the new program, not a mixture."""
    stale = tmp_path / "opt/hotrun/node/stale.py"
    stale.parent.mkdir(parents=True)
    stale.touch()
    assert boot(small, tmp_path).returncode == 0
    assert not stale.exists()


@pytest.mark.process
def test_boot_again_reads_the_text_that_it_kept(small: str, tmp_path: Path) -> None:
    """Where the program's text is whole nothing is decoded; where it was changed, it is decoded anew."""
    assert boot(small, tmp_path).returncode == 0
    main = tmp_path / "opt/hotrun/node/__main__.py"
    main.write_text("changed")
    without = small.replace(userdata.program_text(small), "")
    assert boot(without, tmp_path).returncode == 0
    assert main.read_bytes() == PROGRAM["node/__main__.py"]
    (tmp_path / "opt/hotrun/program.text").write_bytes(b"node/__main__.py\nevil()\1")
    assert boot(without, tmp_path).returncode == 5
    assert boot(small, tmp_path).returncode == 0
    assert main.read_bytes() == PROGRAM["node/__main__.py"]


@pytest.mark.process
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("program_sha256=", "program_sha256=0", "its SHA-256 differs"),
        ("<<'HOTRUN_NODE'\n", "<<'HOTRUN_NODE'\n'", "the archive is damaged"),
    ],
)
def test_boot_refuses_a_damaged_program(small: str, tmp_path: Path, old: str, new: str, said: str) -> None:
    """It is not unpacked, and one console line says so."""
    done = boot(small.replace(old, new, 1), tmp_path)
    fields = parse_line(done.stdout.splitlines()[-1])
    assert done.returncode == 5
    assert fields is not None
    assert ("boot", "failed", "node-program-damaged") == (fields["stage"], fields["state"], fields["code"])
    assert said in fields["what"]
    assert not (tmp_path / "opt/hotrun/node").exists()


@pytest.mark.process
@pytest.mark.parametrize(
    ("version", "code", "said"),
    [("", "python-missing", "no python3"), ("3.6.8", "python-too-old", "is 3.6.8")],
)
def test_boot_names_a_missing_or_old_python(
    small: str, tmp_path: Path, version: str, code: str, said: str
) -> None:
    """An image without a usable Python ends with the reason, not with a shell error."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "tail").symlink_to(shutil.which("tail") or "")
    if version:
        python = tools / "python3"
        python.write_text(f'#!/bin/sh\ncase "$2" in *platform*) echo {version};; *) exit 1;; esac\n')
        python.chmod(0o755)
    done = boot(small, tmp_path, PATH=str(tools))
    fields = parse_line(done.stdout.splitlines()[-1])
    assert done.returncode == 5
    assert fields is not None
    assert code == fields["code"]
    assert said in fields["what"]


@pytest.mark.process
def test_boot_that_can_not_write_says_where_it_stopped(small: str, tmp_path: Path) -> None:
    """Any other failure ends with a console line too."""
    (tmp_path / "file").touch()
    done = boot(small, tmp_path / "file")
    fields = parse_line(done.stdout.splitlines()[-1])
    assert fields is not None
    assert "boot-failed" == fields["code"]
