"""`check` and `explain` of a template that was generated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.typed import generate, hotrun


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
