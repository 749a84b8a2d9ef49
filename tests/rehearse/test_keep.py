from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from cloud.errors import Problem, RequestError
from cloud.rehearse import keep

if TYPE_CHECKING:
    from pathlib import Path


def test_names_are_those_of_stacks(tmp_path: Path) -> None:
    """A name that Heat would refuse, or that leads elsewhere, is refused here."""
    for name in ("1st", "a/b", "..", "", "a b"):
        with pytest.raises(RequestError, match="--name"):
            keep.make(tmp_path, name, "digits")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file where the directory should be is told, not looped over."""
    (tmp_path / "runs").write_text("")
    with pytest.raises(RequestError):
        keep.make(tmp_path / "runs", None, "digits")


@pytest.mark.parametrize(
    ("content", "expected"), [(b"x", []), (b"y", ["results-damaged"]), (None, ["results-damaged"])]
)
def test_files_are_checked_against_the_manifest(
    tmp_path: Path, content: bytes | None, expected: list[str]
) -> None:
    """A changed and a missing file are both named."""
    attempt, kept = tmp_path / "attempt", keep.make(tmp_path / "runs", "r", "digits")
    (attempt / "results").mkdir(parents=True)
    if content is not None:
        (attempt / "results/a.txt").write_bytes(content)
    (attempt / keep.MANIFEST).write_text(f"{hashlib.sha256(b'x').hexdigest()}  results/a.txt\n")
    problems = keep.collect(attempt, kept)
    kept.close()
    assert [problem.code for problem in problems] == expected


def test_only_the_newest_attempt_below_the_runs_counts(tmp_path: Path) -> None:
    """`latest` names it; what leads out of the runs' directory is not followed."""
    runs = tmp_path / "var/lib/hotrun/runs"
    (runs / "r1/2").mkdir(parents=True)
    found = []
    for latest in ("r1/2\n", "../../../..", "r9/1"):
        (runs / "latest").write_text(latest)
        found.append(keep.attempt_directory(tmp_path))
    assert found == [runs / "r1/2", None, None]


def test_a_problems_last_line_is_found_in_the_log(tmp_path: Path) -> None:
    """The last line that ends like the problem's; else what is given instead."""
    log = tmp_path / "worker-1.log"
    log.write_text("a\n[rank 1] ValueError: boom\nb\n")
    assert keep.line_of(log, Problem(code="x", what="x", log=("ValueError: boom", "")), 9) == 2
    assert keep.line_of(log, Problem(code="x", what="x", log=("other",)), 9) == 9
