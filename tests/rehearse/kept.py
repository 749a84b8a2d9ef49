"""Fixtures for modules whose rehearsals share their machines' packages."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.rehearse.processes import below, wait_until_gone

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def machines() -> Iterator[Path]:
    """A cache for all rehearsals here: their machines keep their packages, as a person's do."""
    with tempfile.TemporaryDirectory(prefix="hotrun-") as name:
        yield Path(name)


@pytest.fixture
def cache(machines: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That cache; after each rehearsal nothing may run in it."""
    monkeypatch.setenv("HOTRUN_CACHE_DIR", str(machines))
    yield machines
    assert wait_until_gone(machines), f"still running: {below(machines)}"
