"""The machines of these tests are what they claim: Nova's servers, run by their own user data, reached over the network."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.openstack.lab import place as lab
from tests.openstack.lab import seed
from tests.openstack.machines.fixtures import key, machines, processes, repository, warm

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.openstack.machines.watch import Watch
    from tests.openstack.projects import Project

pytestmark = pytest.mark.rehearsal
__all__ = ["key", "machines", "repository", "warm"]  # fixtures
DEADLINE_S = 120.0
STACK = """
heat_template_version: 2018-08-31
parameters:
  word: {type: string, default: first}
resources:
  network: {type: OS::Neutron::Net}
  subnet: {type: OS::Neutron::Subnet, properties: {network: {get_resource: network}, cidr: 10.8.0.0/24}}
  router: {type: OS::Neutron::Router, properties: {external_gateway_info: {network: public}}}
  interface:
    type: OS::Neutron::RouterInterface
    properties: {router: {get_resource: router}, subnet: {get_resource: subnet}}
  group:
    type: OS::Neutron::SecurityGroup
    properties:
      rules: [{protocol: tcp, port_range_min: 22, port_range_max: 22}, {remote_mode: remote_group_id}]
  port:
    type: OS::Neutron::Port
    properties:
      network: {get_resource: network}
      fixed_ips: [{subnet: {get_resource: subnet}}]
      security_groups: [{get_resource: group}]
  other_port:
    type: OS::Neutron::Port
    properties:
      network: {get_resource: network}
      fixed_ips: [{subnet: {get_resource: subnet}}]
      security_groups: [{get_resource: group}]
  floating:
    type: OS::Neutron::FloatingIP
    depends_on: interface
    properties: {floating_network: public, port_id: {get_resource: port}}
  master: &server
    type: OS::Nova::Server
    properties:
      name: small-master
      image: tiny
      flavor: m1.tiny
      key_name: digits
      networks: [{port: {get_resource: port}}]
      metadata: {hotrun_rank: '0', word: {get_param: word}}
      user_data_format: RAW
      user_data: |
        #!/bin/bash
        echo "boots $(hostname) $(hostname -I)times: $(cat $HOTRUN_ROOT/times 2>/dev/null)"
        echo -n x >>$HOTRUN_ROOT/times
        python3 -m http.server 5170 -d $HOTRUN_ROOT/tmp >/dev/null 2>&1 &
        while [ ! -e /var/lib/hotrun/end ]; do
          python3 - <<'END'
        import json, urllib.request
        asked = "http://169.254.169.254/openstack/latest/meta_data.json"
        found = json.load(urllib.request.urlopen(asked, timeout=30))
        print("knows", found["uuid"], found["meta"]["word"], flush=True)
        END
          sleep 1
        done
        rm /var/lib/hotrun/end
  worker:
    type: OS::Nova::Server
    properties:
      name: small-worker-1
      image: tiny
      flavor: m1.tiny
      networks: [{port: {get_resource: other_port}}]
      metadata: {hotrun_rank: '1'}
      user_data_format: RAW
      user_data:
        str_replace:
          params: {MASTER: {get_attr: [port, fixed_ips, 0, ip_address]}, AUTH: KEYSTONE}
          template: |
            #!/bin/bash
            for at in MASTER:5170 AUTH; do
              until python3 -c "import urllib.request as r; r.urlopen('http://$at/', timeout=20)" 2>/dev/null; do
                sleep 1
              done
              echo "reached $at"
            done
            sleep 1000
outputs:
  address: {value: {get_attr: [floating, floating_ip_address]}}
  inside: {value: {get_attr: [port, fixed_ips, 0, ip_address]}}
"""


def test_a_server_is_a_machine_from_its_birth_to_its_end(
    project: Project, machines: Watch, key: Path, tmp_path: Path
) -> None:
    """User data, metadata that changes, sshd at the floating IP, the security group, power off and on, delete: as on a cloud."""
    template = tmp_path / "small.yml"
    keystone = project.environ["OS_AUTH_URL"].partition("//")[2].rstrip("/")
    template.write_text(STACK.replace("KEYSTONE", keystone))
    stack = "small"
    project.openstack("stack", "create", "--wait", "-t", str(template), stack)
    address, inside = (_output(project, stack, name) for name in ("address", "inside"))
    servers = {server.name: server.id for server in project.connection.compute.servers()}
    master = servers["small-master"]

    _until(lambda: f"knows {master} first" in machines.log("master"), "its metadata")
    assert f"boots small-master {inside}" in machines.log("master")
    _until(lambda: machines.log("worker-1").count("reached") == 2, "what a worker reaches")

    _until(lambda: _ssh(key, address, machines, master, "true").returncode == 0, "ssh")
    seen = _ssh(key, address, machines, master, "hostname; sudo -n ls /var/lib /etc/ssh | grep -c hotrun")
    assert seen.stdout == "small-master\n1\n"
    assert not _connects(address, 5170), "the security group lets nobody but members in"
    assert not Path("/var/lib/hotrun/end").exists()

    project.openstack("stack", "update", "--wait", "--existing", "--parameter", "word=second", stack)
    _until(lambda: f"knows {master} second" in machines.log("master"), "the metadata that Heat changed")

    _ssh(key, address, machines, master, "touch /var/lib/hotrun/end")
    _until(
        lambda: project.connection.compute.get_server(master).status == "SHUTOFF",
        "Nova to be told of its end",
    )
    project.connection.compute.start_server(master)
    _until(lambda: f"boots small-master {inside} times: x" in machines.log("master"), "its second boot")
    _until(lambda: _ssh(key, address, machines, master, "true").returncode == 0, "ssh with the same host key")

    project.openstack("stack", "delete", "--wait", "--yes", stack)
    _until(lambda: not machines.running, "the machines to be gone")
    assert not machines.place.root(master).exists()
    assert not _connects(address, 22)


def test_machines_are_gone_with_who_runs_them(project: Project, key: Path, tmp_path: Path) -> None:
    """A watch that is killed in the middle leaves no process, no mount and no cable behind."""
    template, secret = tmp_path / "small.yml", tmp_path / "secret"
    template.write_text(STACK.replace("KEYSTONE", project.environ["OS_AUTH_URL"].partition("//")[2]))
    secret.write_text(lab.password())
    with tempfile.TemporaryDirectory(prefix="hotrun-") as directory:
        command = [sys.executable, "-m", "tests.openstack.machines", project.id, "--directory", directory]
        watching = subprocess.Popen(
            [*command, "--namespace", str(lab.DOOR), "--api", lab.ADDRESS, "--secret", str(secret)],
            env={**os.environ, **seed.environment(), "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        try:
            project.openstack("stack", "create", "--wait", "-t", str(template), "small")
            address = _output(project, "small", "address")
            _until(lambda: _connects(address, 22), "sshd")
            assert processes(directory)
        finally:
            watching.kill()
            watching.wait()
        _until(lambda: not processes(directory), "every process to end")
        assert directory not in Path("/proc/self/mountinfo").read_text()
    network = next(iter(project.admin.network.networks(project_id=project.id))).id
    _until(lambda: network[:8] not in _links(), "the kernel to take the cable away")


def _links() -> str:
    return subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout


def _output(project: Project, stack: str, name: str) -> str:
    return project.openstack(
        "stack", "output", "show", stack, name, "-f", "value", "-c", "output_value"
    ).strip()


def _ssh(
    key: Path, address: str, machines: Watch, server_id: str, command: str
) -> subprocess.CompletedProcess[str]:
    """A command on a machine, whose host key is the one that lies in its root."""
    known = key.with_name("known_hosts")
    host_key = machines.place.root(server_id) / "etc/ssh/ssh_host_ed25519_key.pub"
    known.write_text(f"{address} {host_key.read_text()}")
    options = ["-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"]
    return subprocess.run(
        ["ssh", "-F", "none", "-i", str(key), *options, "-o", "ConnectTimeout=10", f"ubuntu@{address}", command],
        capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _connects(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), 2):
            return True
    except OSError:
        return False


def _until(holds: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"waited {DEADLINE_S:.0f} s for {what}"
        time.sleep(0.5)
