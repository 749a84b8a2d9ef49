"""`generate`: the file that it writes, what it prints, and what it leaves alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.typed import ROOT, generate, hotrun


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
def test_a_reader_that_leaves_is_no_error(checkout: Path) -> None:
    """`hotrun generate --dry-run | head -1` is quiet."""
    command = (
        f"{sys.executable} {ROOT}/cloud/generator.py generate --repo digits --workers 2 --entrypoint train.py --out - "
        "2>err | head -c 1 >/dev/null; echo ${PIPESTATUS[0]}"
    )
    done = subprocess.run(["bash", "-c", command], cwd=checkout, capture_output=True, text=True, check=False)

    assert done.stdout == "0\n"
    assert "BrokenPipe" not in (checkout / "err").read_text()
