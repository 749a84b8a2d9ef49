"""What `tests/levels.py` makes of a level in which tests fail: for good, or once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests import levels

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process
STEADY = "def test_steady(): pass\n"
ONCE = """
from pathlib import Path
def test_once():
    been = Path(__file__).with_name("been")
    if not been.exists():
        been.touch()
        assert False
"""
BROKEN = "def test_broken(): assert False\n"
WORSE = "import os\ndef test_worse(): os._exit(3)\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the only level, in a project that has nothing else."""
    monkeypatch.setattr(levels, "ROOT", tmp_path)
    monkeypatch.setattr(levels, "REPORTS", tmp_path / "reports")
    monkeypatch.setattr(levels, "LEVELS", {"one": (("one",), "test", "the only one")})
    monkeypatch.setattr(levels, "make", lambda _: sys.executable)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    made = tmp_path / "tests" / "one"
    made.mkdir(parents=True)
    return made


@pytest.mark.parametrize(
    ("sources", "flags", "code", "last"),
    [
        ([STEADY, ONCE], ["--again", "1"], 0, "2 passed"),
        ([STEADY, ONCE], [], 1, "1 failed, 1 passed"),
        ([STEADY, BROKEN], ["--again", "1"], 1, "1 failed, 1 passed"),
        ([ONCE, BROKEN], ["--again", "2"], 1, "2 failed"),
        ([ONCE, BROKEN], ["--again", "1"], 1, "2 failed"),
        ([STEADY, WORSE], ["--again", "1"], 1, "1 errors"),
    ],
    ids=["once", "not asked for", "for good", "one of two", "too many", "pytest itself ended"],
)
def test_what_failed_runs_once_more_where_asked(
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    *,
    sources: list[str],
    flags: list[str],
    code: int,
    last: str,
) -> None:
    """A level passes if all that failed passes then, and the test is named; nothing else makes it pass."""
    for number, source in enumerate(sources):
        (folder / f"test_{number}.py").write_text(source)

    assert levels.main(["one", *flags]) == code

    said = capfd.readouterr().out.splitlines()
    assert said[-1].startswith(f"===== {last} in ")
    named = [line for line in said if line.startswith("failed once, passed at the second try: ")]
    assert [line.endswith("test_once") for line in named] == [True] * (code == 0)
