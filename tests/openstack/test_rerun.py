from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cloud.stack.api import machine_ids
from tests.openstack import ending
from tests.openstack.ending import NAME

if TYPE_CHECKING:
    from tests.openstack.conftest import Hotrun, Template
    from tests.openstack.projects import Project


def test_a_failed_gate_is_followed_by_another_run_on_the_same_machines(
    project: Project, template: Template, hotrun: Hotrun
) -> None:
    """The old failure does not fail the update; metadata change in place, and a machine that is off is started."""
    cloud = project.cloud
    stack = ending.made(cloud, template(workers=1))
    ending.tell(cloud, stack, "gate", "failed", status="FAILURE")
    ending.until(cloud, NAME, "CREATE_FAILED")
    ids = machine_ids(cloud.resources(stack.id))
    project.connection.compute.stop_server(ids["worker-1"])
    ending.until_so(lambda: cloud.server(ids["worker-1"]).status == "SHUTOFF")  # type: ignore[union-attr]
    done = hotrun("rerun", NAME, "--args", "--epochs 3", "--detach", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["rerun"], told["args"], told["started"]) == (1, "--epochs 3", ["worker-1"]), done.stderr
    after = ending.until(cloud, NAME, "UPDATE_COMPLETE")
    assert machine_ids(cloud.resources(stack.id)) == ids
    for server in cloud.servers(after):
        assert server.status == "ACTIVE"
        assert (server.metadata["hotrun_rerun"], server.metadata["hotrun_args"]) == ("1", "--epochs 3")
    done = hotrun("rerun", NAME)
    assert (done.returncode, "has not told how its run ended" in done.stderr) == (3, True), done.stderr
    ending.tell(cloud, stack, "result-1", "done", run="r2")
    done = hotrun("rerun", NAME, "--args", "--name 'a", "--detach")
    assert (done.returncode, "closing quotation" in done.stderr) == (2, True), done.stderr
    done = hotrun("rerun", NAME, "--workers", "0", "--detach")
    assert (done.returncode, "were not fetched" in done.stderr) == (3, True), done.stderr
    done = hotrun("rerun", NAME, "--workers", "0", "--detach", "--anyway", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rerun"] == 2
    ending.until(cloud, NAME, "UPDATE_COMPLETE")
