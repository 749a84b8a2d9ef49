"""The lab is what the other tests here take it for."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from cloud.node import job, signals
from tests.openstack.lab import packages, place, processes, raising, rest
from tests.openstack.lab.connections import PORTS, url
from tests.openstack.lab.services import services

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.openstack.conftest import Hotrun, Template
    from tests.openstack.projects import Project

STACK_S = 300
HOT = "heat_template_version: 2018-08-31\nresources: {word: {type: OS::Heat::RandomString}}\n"
PARAMETERS = {"image": "tiny", "master_flavor": "m1.tiny", "worker_flavor": "m1.tiny", "key_name": ""}


def test_every_service_runs_and_every_api_answers() -> None:
    """A raised lab has all of its services, each API at the address that its catalogue tells."""
    assert [] == [name for name in services() if not processes.is_alive(name)]
    assert [] == [name for name in PORTS if not rest.answers(url(name, place.ADDRESS))]


def test_a_generated_stack_completes_when_the_master_signals(project: Project, template: Template) -> None:
    """Nothing boots here, so Heat waits until a test plays the master; then machines know what Nova says of them."""
    path = template(workers=1)
    stack_id = project.cloud.create("plain", path.read_text(), PARAMETERS, timeout_min=10, tags=["hotrun"])
    master = wait_for("two machines", lambda: machines(project, stack_id))["master"]
    assert project.cloud.stack(stack_id).status == "CREATE_IN_PROGRESS"
    told: list[str] = []
    words = job.read(json.dumps(project.job(master)))
    assert signals.gate(words, None, server=master, run="run", note=told.append), told
    wait_for("CREATE_COMPLETE", lambda: project.cloud.stack(stack_id).status == "CREATE_COMPLETE")
    assert metadata(project, master)["meta"]["hotrun_workers"] == "1"
    project.cloud.delete(stack_id)
    wait_for("the end of the stack", lambda: project.cloud.stack(stack_id) is None)
    assert list(project.connection.compute.servers()) == []


def test_metadata_are_only_for_who_can_sign(project: Project) -> None:
    """Nova's metadata API believes Neutron's agents by the lab's secret, and nobody else."""
    with pytest.raises(urllib.error.HTTPError, match="403"):
        metadata(project, "0f0f0f0f-0000-0000-0000-000000000000", secret="other")


def test_expired_tokens_are_refused_at_once(project: Project) -> None:
    """No service goes on believing a token after expire_tokens, and the password works as before."""
    token = project.connection.session.get_token()
    stacks = f"{url('heat')}/v1/{project.id}/stacks"
    assert status_of(stacks, token) == 200
    project.expire_tokens()
    assert status_of(stacks, token) == 401
    assert list(project.connection.orchestration.stacks()) == []


def test_quotas_are_real(project: Project) -> None:
    """A project's limits are what the admin sets, in Nova and Neutron."""
    project.set_quota(instances=3, ports=7)
    rooms = project.cloud.quotas()
    assert (rooms["instances"].limit, rooms["ports"].limit) == (3, 7)


def test_application_credentials_make_no_stack(project: Project) -> None:
    """As Debian's patched Keystone has it: Heat can't make its trust, and says no more than that it failed."""
    words = ("application", "credential", "create", "one", "--unrestricted", "-f", "json")
    made = json.loads(project.openstack(*words))
    environ = {
        "PATH": "/usr/bin:/bin",
        "OS_AUTH_TYPE": "v3applicationcredential",
        "OS_AUTH_URL": project.environ["OS_AUTH_URL"],
        "OS_APPLICATION_CREDENTIAL_ID": made["id"],
        "OS_APPLICATION_CREDENTIAL_SECRET": made["secret"],
    }
    create = ["/usr/bin/openstack", "stack", "create", "-t", "/dev/stdin", "refused"]
    done = subprocess.run(
        create, env=environ, input=HOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode != 0
    assert "Internal Error" in done.stderr
    assert list(project.connection.orchestration.stacks()) == []


@pytest.mark.alone
def test_heats_engine_can_be_killed_and_started_again(project: Project) -> None:
    """A stack asked for while the engine is away is made once it is back, or can be made then."""
    raising.stop("heat-engine", at_once=True)
    assert not processes.members("heat-engine")
    raising.start("heat-engine")
    stack_id = project.cloud.create("small", HOT, {}, timeout_min=5, tags=[])
    wait_for("CREATE_COMPLETE", lambda: project.cloud.stack(stack_id).status == "CREATE_COMPLETE")


def test_the_program_runs_beside_the_project(hotrun: Hotrun, place: Path) -> None:
    """The fixture runs the checkout's own program, in the folder that the test looks into."""
    words = ("--repo", "https://git.invalid/you/digits.git", "--workers", "0", "--entrypoint", "main.py")
    done = hotrun("generate", *words)
    assert (done.returncode, (place / "template.yml").exists()) == (0, True), done.stderr


@pytest.mark.parametrize("before", [None, "#!/bin/sh\nexit 104\n"])
def test_the_machines_own_policy_comes_back(
    before: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While packages are installed no service starts; afterwards, even after a kill, the policy is what it was."""
    policy, kept = tmp_path / "policy-rc.d", tmp_path / "kept"
    monkeypatch.setattr(packages, "POLICY", policy)
    monkeypatch.setattr(packages, "KEPT_POLICY", kept)
    if before:
        policy.write_text(before)
    with packages._no_service_starts():
        assert policy.read_text() == packages.OUR_POLICY
    assert (policy.read_text() if policy.exists() else None) == before
    if before:  # as a kill in the middle leaves it
        policy.rename(kept)
    policy.write_text(packages.OUR_POLICY)
    packages._restore_policy()
    assert (policy.read_text() if policy.exists() else None) == before


def test_a_machine_that_can_hold_no_lab_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not root and not Debian 12 are named, in words that .ci/allowed-skips knows."""
    monkeypatch.setattr(place, "_release", lambda: {"ID": "fedora", "PRETTY_NAME": "Fedora 43"})
    assert place.obstacle() == "the OpenStack lab needs Debian 12, this is Fedora 43"
    monkeypatch.setattr(place.os, "geteuid", lambda: 1000)
    assert place.obstacle() == "the OpenStack lab needs root on Linux"


def machines(project: Project, stack_id: str) -> dict[str, str]:
    """Machine -> id, once both are there."""
    found = {part.machine: part.id for part in project.cloud.resources(stack_id) if part.machine and part.id}
    return found if len(found) == 2 else {}


def wait_for(what: str, ask: Callable[[], Any]) -> Any:
    """Ask until the answer is true; fails with what was waited for."""
    until = time.monotonic() + STACK_S
    while not (answer := ask()):
        if time.monotonic() > until:
            pytest.fail(f"no {what} after {STACK_S} s")
        time.sleep(1)
    return answer


def metadata(project: Project, server_id: str, secret: str = "") -> dict[str, dict[str, str]]:
    """What Nova tells a machine, asked as Neutron's agent asks."""
    key = (secret or place.password()).encode()
    headers = {
        "X-Instance-ID": server_id,
        "X-Tenant-ID": project.id,
        "X-Instance-ID-Signature": hmac.new(key, server_id.encode(), hashlib.sha256).hexdigest(),
        "X-Forwarded-For": "10.8.0.3",
    }
    address = url("metadata", place.ADDRESS) + "/openstack/latest/meta_data.json"
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60) as answer:
        return dict(json.load(answer))


def status_of(address: str, token: str) -> int:
    """The HTTP status of a GET with a token."""
    try:
        request = urllib.request.Request(address, headers={"X-Auth-Token": token})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
