"""Debian's packages of the lab, installed without starting any of their services."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.openstack.lab.place import CannotRun

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NEEDED = (
    "mariadb-server", "rabbitmq-server", "memcached",
    "keystone", "glance-api", "placement-api", "heat-api", "heat-engine",
    "nova-api", "nova-conductor", "nova-scheduler", "nova-compute", "nova-compute-qemu",
    "neutron-server", "neutron-linuxbridge-agent",
    "python3-openstackclient", "python3-heatclient", "python3-pymysql",
    "uwsgi-core", "uwsgi-plugin-python3", "iproute2", "iptables", "ipset", "ebtables", "util-linux",
)  # fmt: skip
ANSWERS = """\
keystone keystone/configure_db boolean false
keystone keystone/create-admin-tenant boolean false
keystone keystone/register-endpoint boolean false
glance-common glance/configure_db boolean false
heat-common heat/configure_db boolean false
neutron-common neutron/configure_db boolean false
nova-common nova/configure_db boolean false
nova-api nova/configure_db boolean false
placement-common placement/configure_db boolean false
"""
POLICY = Path("/usr/sbin/policy-rc.d")  # asked by every package before it starts a service, invoke-rc.d(8)
KEPT_POLICY = Path("/usr/sbin/policy-rc.d.before-hotrun-lab")
OUR_POLICY = "#!/bin/sh\n# hotrun-lab: no service starts while the lab's packages are installed\nexit 101\n"
_DEADLINE_S = 1800


def missing(needed: Sequence[str] = NEEDED) -> list[str]:
    """The packages that are not installed."""
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *needed]
    shown = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    installed = {line.split()[0] for line in shown if line.endswith(" installed")}
    return [name for name in needed if name not in installed]


def install(log: Path, needed: Sequence[str] = NEEDED) -> int:
    """Install what is missing and return how many packages that were; raises CannotRun with the log's name."""
    _restore_policy()  # an installation that was killed may have left ours
    names = missing(needed)
    if not names:
        return 0
    print(
        f"installing {len(names)} of Debian's packages and what they need (2 minutes, more on a busy machine)",
        flush=True,
    )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    with _no_service_starts():
        subprocess.run(["debconf-set-selections"], input=ANSWERS, text=True, env=environment, check=True)
        if not _run(["dpkg", "--configure", "-a"], log, environment):  # an installation that was killed
            _run(["apt-get", "update", "--quiet"], log, environment)
        options = ["--no-install-recommends", "-o", "DPkg::Lock::Timeout=900"]
        keep = ["-o", "Dpkg::Options::=--force-confold"]
        install = ["apt-get", "install", "--yes", "--quiet", *options, *keep, *names]
        code = _run(install, log, environment)
    if code or missing(needed):
        raise CannotRun(
            f"Debian's packages can't be installed ({', '.join(missing(needed)[:3])} …); read {log}"
        )
    return len(names)


def _run(words: list[str], log: Path, environment: dict[str, str]) -> int:
    """Run a program with its output in the log; a sign of life every ten seconds."""
    with log.open("a", encoding="utf-8") as out:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        began = time.monotonic()
        while True:
            try:
                return process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                seconds = time.monotonic() - began
                if seconds > _DEADLINE_S:
                    process.terminate()
                print(f"  {words[0]} {words[1]}: {seconds:.0f} s", flush=True)


@contextmanager
def _no_service_starts() -> Iterator[None]:
    if POLICY.exists() or POLICY.is_symlink():
        POLICY.rename(KEPT_POLICY)
    try:
        POLICY.write_text(OUR_POLICY, encoding="ascii")
        POLICY.chmod(0o755)
        yield
    finally:
        _restore_policy()


def _restore_policy() -> None:
    """Put the machine's own policy back, or none."""
    if POLICY.is_file() and POLICY.read_text(encoding="utf-8", errors="replace") == OUR_POLICY:
        POLICY.unlink()
    if KEPT_POLICY.exists() or KEPT_POLICY.is_symlink():
        KEPT_POLICY.replace(POLICY)
