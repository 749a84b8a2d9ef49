"""Runs as root in a computer with NFS (virtual.py): a master and a worker in network namespaces of it.

    python3 program.py             the master; starts the worker
    python3 program.py worker      in network and mount namespaces of its own

Everything is the node program's own: coordinator, link, share.py. Each fact is printed as `FACT name value`.
"""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, "/code")
from cloud.node import share
from cloud.node.context import Console, Context
from cloud.node.coordinator import Coordinator
from cloud.node.failure import StageFailed
from cloud.node.gang import Gang
from cloud.node.host import Host
from cloud.node.job import Job
from cloud.node.layout import Layout
from cloud.node.link import Link
from cloud.node.machine import Identity
from cloud.node.store import Store

MASTER, WORKER, CIDR, RUN = "10.8.0.5", "10.8.0.6", "10.8.0.0/23", "run-1"
TOP = Path("/var/lib/hotrun/shared")
FOREVER = time.monotonic() + 3600
SOMEBODY = 4321  # the program's user has another number here than on the master


def fact(name: str, value: object) -> None:
    """Tell one fact."""
    print(f"FACT {name} {value}", flush=True)


def node(rank: int, address: str) -> Context:
    """A node that has joined."""
    job = Job(repo="", entrypoint="main.py", master=MASTER, secret="s", cidr=CIDR, share="nfs")
    identity = Identity(rank, 2, "", address)
    made = Context(
        job=job,
        layout=Layout(Path("/")),
        host=Host(is_rehearsal=False),
        console=Console(identity.name),
        identity=identity,
        run=RUN,
    )
    made.found["address"] = address
    made.begin("source", sys.stdout)
    made.link = Link(MASTER, 5170, "s", {"rank": rank, "address": address}, address)
    return made


def somebody(*command: str) -> int:
    """Exit code of a command as another user."""
    return subprocess.run(command, check=False, user=SOMEBODY, group=SOMEBODY, extra_groups=[]).returncode


def mounts() -> int:
    """How often it is mounted here."""
    return Path("/proc/mounts").read_text().count(f" {TOP} nfs4 ")


def refused(name: str, work: Callable[[], object]) -> None:
    """Tell how something fails."""
    try:
        work()
    except StageFailed as error:
        fact(name, f"{error.problem['code']} {error.problem['what']}")


def is_free(path: Path, lock: object) -> bool:
    """Whether a lock can be had."""
    with path.open("a") as file:
        try:
            lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def worker() -> None:
    """Wait for the share, use it, lose it."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/var/lib/hotrun"], check=True)
    while "ens3" not in Path("/proc/net/dev").read_text():
        time.sleep(0.1)
    while True:
        with contextlib.suppress(OSError):
            context = node(1, WORKER)
            break
        time.sleep(0.5)
    fact("done", share.add(context, FOREVER))
    fact(
        "type",
        next(line.split()[2] for line in Path("/proc/mounts").read_text().splitlines() if str(TOP) in line),
    )
    fact("read", (TOP / "data/made").read_text())
    fact("own", context.found["variables"]["HOTRUN_CHECKPOINT_DIR"])
    fact("written", somebody("sh", "-c", f"echo by somebody > {TOP}/data/written"))
    fact("checkpoint", somebody("sh", "-c", f"echo whole > {context.found['checkpoints']}/own.pt"))
    fact("owner", somebody("chown", "0:0", f"{TOP}/data/written"))
    with (TOP / "data/lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        context.link.send("locked")
        (TOP / "data/locked").touch()
        while not (TOP / "data/looked").exists():
            time.sleep(0.5)
            list((TOP / "data").iterdir())
    before = mounts()
    fact("again", share.add(context, FOREVER))
    fact("mounts_again", mounts() - before)
    subprocess.run(["umount", str(TOP)], check=True)
    share.add(context, FOREVER)
    share._PATIENCE_S = 6.0
    for name, run, address in (("refused", "run-2", MASTER), ("silent", RUN, WORKER)):
        context.run, context.job = run, replace(context.job, master=address)
        refused(name, lambda: share._take(context, TOP, FOREVER))
        subprocess.run(["umount", str(TOP)], check=False)


def master() -> None:
    """Make a network, serve, look at what the worker left."""
    started = subprocess.Popen(["unshare", "--net", "--mount", sys.executable, "-u", __file__, "worker"])
    time.sleep(3)
    inside = ["nsenter", "-t", str(started.pid), "-n"]
    for command in (
        f"ip link add ens3 type veth peer name ens3 netns {started.pid}",
        f"ip addr add {MASTER}/23 dev ens3",
        "ip link set ens3 up",
    ):
        subprocess.run(command.split(), check=True)
    for command in (f"ip addr add {WORKER}/23 dev ens3", "ip link set lo up", "ip link set ens3 up"):
        subprocess.run([*inside, *command.split()], check=True)
    state = Path("/var/lib/hotrun")
    coordinator = Coordinator(
        address=MASTER,
        port=5170,
        secret="s",
        gang=Gang(2, FOREVER),
        on_gate=None,
        store=Store(state / "runs" / RUN / "1", state / "runs" / RUN / "shared"),
        welcome={"t": "welcome", "run": RUN, "nnodes": 2},
    )
    coordinator.start()
    context = node(0, MASTER)
    context.coordinator = coordinator
    context.layout.checkpoints(RUN).mkdir(parents=True)
    (TOP / "data").mkdir(parents=True)
    (TOP / "data/made").write_text("by the master")
    while not coordinator.gang.members[1].is_here:
        time.sleep(0.5)
    time.sleep(10)  # for the worker to say what it waits for
    systemctl = Path("/usr/bin/systemctl")
    systemctl.rename("/usr/bin/aside")
    systemctl.write_text("#!/bin/sh\necho Unit nfs-server.service not found.\nexit 5\n")
    systemctl.chmod(0o755)
    refused("not_served", lambda: share.add(context, FOREVER))
    Path("/usr/bin/aside").rename(systemctl)
    fact("served", share.add(context, FOREVER))
    while not (TOP / "data/locked").exists():
        time.sleep(0.5)
    fact("flock", is_free(TOP / "data/lock", fcntl.flock))
    fact("lockf", is_free(TOP / "data/lock", fcntl.lockf))
    (TOP / "data/looked").touch()
    code = started.wait()
    fact("worker", code)
    status = (TOP / "data/written").stat()
    fact("is_the_programs", status.st_uid == (TOP / "data").stat().st_uid != 0)
    own = context.layout.checkpoints(RUN)  # where they are fetched from while the program trains
    fact("fetched_from", (own / "../worker-1/own.pt").read_text().strip())
    sys.exit(code)


if __name__ == "__main__":
    worker() if sys.argv[1:] else master()
