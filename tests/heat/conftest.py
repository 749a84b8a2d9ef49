"""Every test here runs the real Heat engine, which lives in an environment of its own."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HAS_HEAT = importlib.util.find_spec("heat") is not None
collect_ignore_glob = [] if HAS_HEAT else ["test_*.py"]  # `make test` runs them with .build/heat's Python


@pytest.fixture
def engine() -> Iterator[object]:
    """The engine, fresh for each test."""
    from tests.heat.engine import running

    with running() as found:
        yield found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them all; the engine's own warnings are not ours to mend."""
    here = Path(__file__).parent
    for item in items:
        if here in Path(item.path).parents:
            item.add_marker("heat")
            item.add_marker(pytest.mark.filterwarnings("ignore"))
