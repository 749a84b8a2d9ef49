"""All rows that were asked for are started at once; each test waits for its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults import page
from tests.faults.rehearsed import Bench, Outcome
from tests.faults.rows import ROWS, UNDISTURBED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.rows import Row


@pytest.fixture(scope="session")
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A bench with the rows of all selected tests; with FAULTS_PAGE=1 it writes docs/faults.md at the end."""
    bench = Bench(tmp_path_factory.mktemp("rows"))
    selected = [item.callspec.params["row"] for item in request.session.items if hasattr(item, "callspec")]
    bench.begin([*selected[:1], *UNDISTURBED.values(), *selected[1:]])
    yield bench
    if os.environ.get("FAULTS_PAGE") == "1":
        page.write(Path(__file__).parents[2] / "docs/faults.md", [bench.outcome(row) for row in ROWS])
    bench.close()


@pytest.fixture
def outcome(bench: Bench, row: Row) -> Outcome:
    """What became of the test's row; skipped where this computer has no such level."""
    found = bench.outcome(row)
    if found.exit_code == 3 and "#level-not-possible" in found.shown:
        pytest.skip(found.shown.strip().splitlines()[0])
    assert found.left == (), str(found)
    return found
