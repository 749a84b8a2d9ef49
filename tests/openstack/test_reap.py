from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

from cloud.stack.down import reap
from cloud.ui import Ui
from tests.openstack import ending

if TYPE_CHECKING:
    from pathlib import Path

    from tests.openstack.conftest import Hotrun, Template
    from tests.openstack.projects import Project


def test_a_stack_past_its_hours_is_deleted(
    project: Project, template: Template, hotrun: Hotrun, place: Path
) -> None:
    """With hours left it is kept; a dry run deletes nothing; past them it goes, fetched or not."""
    stack = ending.made(project.cloud, template(workers=0), max_hours="1")
    done = hotrun("reap", "--json")
    assert done.returncode == 0, done.stderr
    assert [one["action"] for one in json.loads(done.stdout)["stacks"]] == ["kept"]
    later = stack.created + dt.timedelta(hours=1, minutes=1)
    found = reap.reap(project.cloud, Ui(), place / "runs", dry_run=True, now=later)
    assert [one.action for one in found.stacks] == ["due"]
    found = reap.reap(project.cloud, Ui(), place / "runs", now=later)
    assert [one.action for one in found.stacks] == ["deleted"]
    assert "not fetched" in found.stacks[0].fetched
    assert project.cloud.stack(stack.id) is None
