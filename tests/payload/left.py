"""What a run of the payload leaves, whichever program it was, and the data that all runs share."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest


class Left:
    """A run, for those who start one; its files are in `run`."""

    __slots__ = ()
    run: Path

    @property
    def result(self) -> dict[str, Any]:
        """result.json."""
        content = json.loads((self.run / "result.json").read_text())
        assert isinstance(content, dict)
        return content

    @property
    def rows(self) -> list[dict[str, str]]:
        """metrics.csv."""
        return list(csv.DictReader((self.run / "metrics.csv").read_text().splitlines()))


@pytest.fixture(scope="session")
def data_root() -> Path:
    """HOTRUN_TEST_DATA, else a directory of this user's cache: what is fetched is kept for all runs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("HOTRUN_TEST_DATA") or cache / "hotrun" / "data")


@pytest.fixture(scope="session")
def mnist_root(data_root: Path) -> Path:
    """A data root with MNIST in it (20 MB the first time)."""
    import fetch

    fetch.fetch("mnist", data_root, print)
    return data_root
