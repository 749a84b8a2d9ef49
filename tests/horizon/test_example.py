"""The published example, launched by somebody who has a browser and the file, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from tests.horizon.dashboard import Dashboard
    from tests.openstack.projects import Project

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "mnist.yml"
OF_THE_LAB = {"image": "tiny", "master_flavor": "m1.tiny", "worker_flavor": "m1.tiny"}
NAME = "mnist"


@pytest.fixture(scope="module")
def dashboard(window: Dashboard, people: dict[str, Project]) -> Dashboard:
    """Horizon, in which the example is launched: what the cloud calls its image and flavors is typed, no more."""
    quiet = people["quiet"]
    window.log_in(quiet.name, quiet.environ["OS_PASSWORD"])
    window.open_form(EXAMPLE)
    assert window.launch(NAME, workers=0, **OF_THE_LAB) is None
    return window


def test_the_published_example_has_a_page_before_any_machine_speaks(dashboard: Dashboard) -> None:
    """It says that nothing was heard yet, and what costs."""
    outputs = dashboard.overview(NAME).outputs
    assert outputs["state"].startswith("no word from the machines yet")
    assert outputs["costs"]


def test_heat_has_the_template_as_the_file_has_it(dashboard: Dashboard, quiet: Project) -> None:
    """Horizon changes nothing on the way: it writes {% for {$ in every page, and the template passes through one."""
    assert NAME in dashboard.stacks()
    stack = quiet.connection.orchestration.find_stack(NAME, ignore_missing=False)
    received = quiet.connection.orchestration.get_stack_template(stack.id)
    sent: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    parts = ("description", "parameter_groups", "parameters", "conditions", "resources", "outputs")
    assert [part for part in parts if getattr(received, part) != sent[part]] == []
