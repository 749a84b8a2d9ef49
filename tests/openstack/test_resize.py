from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cloud.stack.api import machine_ids
from tests.openstack import ending
from tests.openstack.ending import NAME

if TYPE_CHECKING:
    from tests.openstack.conftest import Hotrun, Template
    from tests.openstack.projects import Project


def test_resize_changes_workers_and_replaces_nobody(
    project: Project, template: Template, hotrun: Hotrun
) -> None:
    """1 -> 2 -> 1 workers: all other parameters stay, and so do the machines that were there before and after."""
    cloud = project.cloud
    stack = ending.made(cloud, template(workers=1))
    ending.tell(cloud, stack, "gate", "running")
    before = ending.until(cloud, NAME, "CREATE_COMPLETE")
    ids = machine_ids(cloud.resources(stack.id))
    for count in (2, 1):
        done = hotrun("resize", NAME, str(count), "--detach", "--json")  # a played master trains nothing
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["workers"] == count
        ending.until_so(
            lambda count=count: (
                (ending.there(cloud, NAME).status, ending.there(cloud, NAME).workers)
                == ("UPDATE_COMPLETE", count)
            )
        )
        after = ending.there(cloud, NAME)
        assert after.parameters == {**before.parameters, "workers": str(count)}
        now = machine_ids(cloud.resources(stack.id))
        assert {name: now[name] for name in ids} == ids
        assert [server.metadata["hotrun_workers"] for server in cloud.servers(after)] == [str(count)] * (
            count + 1
        )
    assert "already" in hotrun("resize", NAME, "1").stdout
    assert hotrun("resize", NAME, "255").returncode == 2
    project.set_quota(instances=3)
    done = hotrun("resize", NAME, "4")
    assert (done.returncode, "more instances needed" in done.stderr) == (3, True), done.stderr
    ending.tell(cloud, stack, "result", "done")
    done = hotrun("resize", NAME, "2")
    assert (done.returncode, "rerun digits --workers 2" in done.stderr) == (3, True), done.stderr
