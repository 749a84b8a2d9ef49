"""Each test has a cache and a directory for runs of its own, and leaves no process behind."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.rehearse.processes import below, wait_until_gone

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache directory with a short path; at the end nothing may run in it."""
    with tempfile.TemporaryDirectory(prefix="hotrun-") as name:
        directory = Path(name)
        monkeypatch.setenv("HOTRUN_CACHE_DIR", name)
        yield directory
        assert wait_until_gone(directory), f"still running: {below(directory)}"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Where results go."""
    return tmp_path / "runs"


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path of this test's own."""
    with tempfile.TemporaryDirectory(prefix="hotrun-") as name:
        yield Path(name)
