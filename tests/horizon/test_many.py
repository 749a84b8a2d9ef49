"""The page of 254 workers. The stack has one machine: what 255 would have told is said with its own credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloud.node import page
from cloud.node.console import STAGES
from tests.openstack import speaking

if TYPE_CHECKING:
    from tests.horizon.dashboard import Dashboard
    from tests.horizon.pictures import Pictures
    from tests.horizon.seen import Overview
    from tests.openstack.conftest import Template
    from tests.openstack.projects import Project

WORKERS = 254
SICK = 3  # workers with a problem
TROUBLE = {
    "node": "worker-3", "stage": "train", "what": "CUDA out of memory", "where": "main.py:41",
    "fix": "a smaller batch size, or a flavor with more memory",
}  # fmt: skip
UNTIL = "2030-01-02 03:04 UTC"
NAME = "many"
COMPLETE_S = 300.0
MOST_LINES = 14  # of an output: a head, 12 machines, and how many more
MOST_COLUMNS = 130  # of a line; longer ones need a scroll bar in a window of 1400 pixels
OUTPUTS = "#stack_details__overview dl:nth-of-type(3)"


@pytest.fixture(scope="module")
def inside(window: Dashboard, people: dict[str, Project], template: Template) -> Dashboard:
    """Horizon, in which the stack is complete."""
    quiet = people["quiet"]
    window.log_in(quiet.name, quiet.environ["OS_PASSWORD"])
    window.open_form(template(workers=0))
    assert window.launch(NAME) is None
    speaking.made(quiet, NAME, count=1)
    met = page.page(f"training: {WORKERS + 1} machines as one", until=UNTIL)
    speaking.pass_gate(quiet, NAME, page=met)
    window.wait_for(NAME, "Create Complete", COMPLETE_S)
    told = page.page(page.failed(TROUBLE), page.stages(_nodes()), page.numbers({}, "run r1"), UNTIL)
    speaking.finish(quiet, NAME, "failed", page=told)
    return window


@pytest.fixture
def dashboard(inside: Dashboard) -> Dashboard:
    """The same, for one test."""
    return inside


@pytest.fixture(scope="module")
def seen(inside: Dashboard) -> Overview:
    """Its page."""
    return inside.overview(NAME)


def test_the_page_stays_short(dashboard: Dashboard, seen: Overview, pictures: Pictures) -> None:
    """No output is longer than 14 lines, or wider than its box, however many machines there are."""
    pictures.take(dashboard.browser, "stack-of-255", until=OUTPUTS)
    shown = {
        name: text for name, text in seen.outputs.items() if name != "status"
    }  # that one is for programs
    lines = {name: text.splitlines() for name, text in shown.items()}
    assert {name: len(found) for name, found in lines.items() if len(found) > MOST_LINES} == {}
    wide = {name: max(map(len, found)) for name, found in lines.items() if found}
    assert {name: width for name, width in wide.items() if width > MOST_COLUMNS} == {}


def test_the_machines_that_need_a_look_are_on_it(seen: Overview) -> None:
    """The master first, then the sick ones, then the slowest; the last line counts the others."""
    rows = [line.split() for line in seen.outputs["machines"].splitlines()]
    assert rows[1][0] == "master"
    assert {row[0] for row in rows[2 : SICK + 2]} == {f"worker-{rank}" for rank in range(1, SICK + 1)}
    assert rows[-1] == ["and", str(WORKERS + 1 - 12), "more"]


def test_what_was_told_last_is_on_it(seen: Overview) -> None:
    """The words of the result stand where those of the gate stood."""
    assert seen.outputs["state"] == page.failed(TROUBLE)
    assert seen.outputs["result"] == "run r1"
    assert UNTIL in seen.outputs["power_off"]


def _nodes() -> list[dict[str, Any]]:
    """The machines of a status document: a master and its workers, some of them not well."""
    return [
        {
            "name": f"worker-{rank}" if rank else "master", "rank": rank,
            "state": "failed" if 0 < rank <= SICK else "stopped",
            "stages": {name: round(10 + rank / 10 + place, 1) for place, name in enumerate(STAGES)},
        }
        for rank in range(WORKERS + 1)
    ]  # fmt: skip
