"""`--share nfs` by the kernel's own server and client: in a computer of its own, as this one's kernel has neither."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.node import virtual

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]
SYSTEMCTL = """#!/bin/sh
# no systemd here: what Debian's nfs-server.service starts, with the services that it wants
[ "$1" = enable ] && [ "$3" = nfs-server ] || exit 1
mount -t nfsd nfsd /proc/fs/nfsd || exit 1
for time in lease grace; do echo 10 >/proc/fs/nfsd/nfsv4${time}time; done # 90 s, in which no lock is given
rpcbind && exportfs -r && rpc.mountd && rpc.nfsd 4
"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What share_program.py found: a master and a worker in two network namespaces, share.py in both."""
    virtual.needed()
    files: dict[str, str | bytes] = {"usr/bin/systemctl": SYSTEMCTL, "code/cloud/__init__.py": ""}
    files |= {
        f"code/{path.relative_to(ROOT)}": path.read_bytes() for path in (ROOT / "cloud/node").rglob("*.py")
    }
    program = (ROOT / "tests/node/share_program.py").read_text()
    code, lines = virtual.ran(program, files, tmp_path_factory.mktemp("virtual"))
    assert code == 0, "\n".join(lines[-60:])
    told = [line.removeprefix("FACT ").partition(" ") for line in lines if line.startswith("FACT ")]
    return {"lines": "\n".join(lines), **{name: value for name, _, value in told}}


def test_workers_wait_for_the_masters_share_and_mount_it(facts: Mapping[str, str]) -> None:
    """A worker that is early says what it waits for; what it then has is NFS, with what the master wrote."""
    assert "worker-1: waiting for the master's share" in facts["lines"]
    assert (facts["served"], facts["done"], facts["type"]) == ("nfs", "nfs", "nfs4")
    assert facts["read"] == "by the master"


def test_whoever_writes_there_is_the_programs_user(facts: Mapping[str, str]) -> None:
    """Whatever its number is on a worker; and nobody can give a file to root."""
    assert (facts["written"], facts["checkpoint"], facts["is_the_programs"]) == ("0", "0", "True")
    assert facts["owner"] == "1"


def test_a_workers_checkpoints_are_on_the_masters_disk(facts: Mapping[str, str]) -> None:
    """In a directory of its own, beside the one from which the master's are fetched."""
    assert facts["own"] == "/var/lib/hotrun/shared/runs/run-1/worker-1"
    assert facts["fetched_from"] == "whole"


def test_locks_between_workers_and_master(facts: Mapping[str, str]) -> None:
    """As docs/sharing.md says: a worker's flock keeps the master's lockf away, not its flock."""
    assert (facts["flock"], facts["lockf"]) == ("True", "False")


def test_another_start_finds_it_mounted(facts: Mapping[str, str]) -> None:
    """Nothing is mounted over it."""
    assert (facts["again"], facts["mounts_again"]) == ("nfs", "0")


def test_what_cant_be_mounted_is_named(facts: Mapping[str, str]) -> None:
    """Another run's directory, and a master that does not serve, in mount's own words."""
    code, _, what = facts["refused"].partition(" ")
    assert code == "share-failed"
    assert what == "worker-1 can't mount 10.8.0.5:/var/lib/hotrun/shared: it is not this run's"
    code, _, what = facts["silent"].partition(" ")
    assert code == "share-failed"
    assert "worker-1 can't mount 10.8.0.6:/var/lib/hotrun/shared: mount.nfs4: " in what


def test_a_master_without_the_service_is_named(facts: Mapping[str, str]) -> None:
    """The last line of what failed, before any worker waits for long."""
    code, _, what = facts["not_served"].partition(" ")
    assert code == "share-failed"
    assert what.startswith("the master can't serve /var/lib/hotrun/shared: ")
