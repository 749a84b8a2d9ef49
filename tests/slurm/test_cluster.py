"""The cluster itself: what its nodes are, and that nothing of it is left however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloud.rehearse.slurm.cluster import ClusterFailed
from tests.slurm.bench import DEADLINE_S, ROOT, opened

if TYPE_CHECKING:
    from tests.slurm.bench import Bench

pytestmark = [pytest.mark.rehearsal, pytest.mark.usefixtures("slurm")]
HOLDS = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.slurm.bench import opened
cluster = opened(Path(sys.argv[2]))
print("up", flush=True)
time.sleep(600)
"""


def left(directory: Path) -> list[str]:
    """Processes that name the directory, or see something mounted there; this process's family left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in (os.getpid(), os.getppid()):
            try:
                command = (entry / "cmdline").read_bytes()
                told = command + (entry / "environ").read_bytes() + (entry / "mountinfo").read_bytes()
            except OSError:
                continue
            if str(directory).encode() in told:
                found.append(command.replace(b"\0", b" ").decode("utf-8", "replace")[:200])
    return found


def daemons(directory: Path) -> set[str]:
    """Names of the daemons of the Slurm that lives there."""
    names = {"munged", "slurmctld", "slurmd"}
    return {line.split()[0] for line in left(directory) if line.strip()} & names


def surroundings() -> tuple[str, list[str]]:
    """What of this computer a cluster could change: mounts, networks, /etc/slurm."""
    places = [Path("/sys/class/net"), Path("/etc/slurm")]
    files = sorted(str(file) for place in places for file in place.iterdir())
    return Path("/proc/self/mounts").read_text(encoding="utf-8"), files


def wait_until_none(directory: Path) -> bool:
    """Whether everything that names the directory ended."""
    deadline = time.monotonic() + DEADLINE_S
    while left(directory):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_a_cluster_that_was_closed_leaves_nothing(directory: Path) -> None:
    """No process, no mount, no network, nothing in /etc/slurm; also after a node was killed and came back."""
    before = surroundings()
    cluster = opened(directory)
    try:
        assert cluster.states() == {"node1": "IDLE", "node2": "IDLE"}
        assert daemons(directory) == {"munged", "slurmctld", "slurmd"}
        cluster.cut("node2")
        assert not cluster.processes("node2")
        cluster.bring_back("node2")
    finally:
        cluster.close()
    assert wait_until_none(directory), left(directory)
    assert surroundings() == before


def test_a_cluster_whose_command_is_killed_leaves_nothing(directory: Path) -> None:
    """SIGKILL to whoever started it ends all of it: there is nobody who has to clean up."""
    before = surroundings()
    command = [sys.executable, "-c", HOLDS, str(ROOT), str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        assert daemons(directory) == {"munged", "slurmctld", "slurmd"}
        holder.send_signal(signal.SIGKILL)
    assert wait_until_none(directory), left(directory)
    assert surroundings() == before


def test_a_daemon_that_does_not_start_is_named_with_its_reason(directory: Path) -> None:
    """And what had been started is gone."""
    with pytest.raises(ClusterFailed, match="slurmctld ended"):
        opened(directory, partitions=("main Nonsense=yes",))
    assert wait_until_none(directory), left(directory)


def test_nodes_have_addresses_names_and_a_tmp_of_their_own_and_no_way_out(bench: Bench) -> None:
    """What a job finds on a compute node: its name, its address, the others by name, no internet."""
    script = """
import json, os, pathlib, socket
try:
    socket.create_connection(("192.0.2.1", 80), 20)
    out = "yes"
except OSError:
    out = "no"
pathlib.Path("/tmp", socket.gethostname()).touch()
address = socket.gethostbyname(socket.gethostname())
print(json.dumps([socket.gethostname(), address, socket.gethostbyname("node1"), out, os.listdir("/tmp")]))
"""
    python = sys.executable
    words = ["srun", "--nodes=2", "--ntasks-per-node=1", "--input=none", python, "-I", "-c", script]
    said = bench.cluster.run(words, bench.environ, bench.directory)
    found = sorted(json.loads(line) for line in said.splitlines())
    first = bench.cluster.layout.nodes["node1"]
    own = [bench.directory.name] if bench.directory.parent == Path("/tmp") else []
    told = {name: (address, other, out, set(files) - set(own)) for name, address, other, out, files in found}
    assert set(told) == {"node1", "node2"}
    for name, (address, other, out, files) in told.items():
        assert (address, other, out) == (bench.cluster.layout.nodes[name], first, "no")
        assert name in files
        assert not {"node1", "node2"} - {name} & files


def test_nodes_without_shared_storage_see_their_own(directory: Path) -> None:
    """A directory that is said to be local is another one on each node, and is empty at first."""
    work = directory / "work"
    work.mkdir()
    (work / "of-the-login-node").touch()
    cluster = opened(directory, local=work)
    try:
        script = f"ls {work}; touch {work}/$(hostname); ls {work}"
        words = ["srun", "--nodes=2", "--ntasks-per-node=1", "--input=none", "sh", "-c", script]
        said = cluster.run(words, {"PATH": os.environ["PATH"], "HOME": "/root"}, Path("/"))
        assert sorted(said.split()) == ["node1", "node2"]
        assert [path.name for path in work.iterdir()] == ["of-the-login-node"]
    finally:
        cluster.close()
