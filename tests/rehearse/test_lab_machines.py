"""Machines of level namespace: what they see, how they end, and that nothing is left of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloud.rehearse.lab import CantDo
from cloud.rehearse.standins import Server, StandIns
from tests.rehearse import labs
from tests.rehearse.labs import run
from tests.rehearse.processes import wait_for

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.rehearsal
SEES = r"""
hostname; cat /etc/hostname; cat /etc/hosts; cat /etc/resolv.conf
ls /tmp /run /dev/shm; ls /sys/class/net; echo "$HOTRUN_ROOT"; ls "$HOTRUN_ROOT"
touch /tmp/here /dev/shm/here
"""


@pytest.fixture(autouse=True)
def _possible() -> None:
    labs.needed()


def test_metadata_is_at_its_own_address_and_knows_who_asks(directory: Path) -> None:
    """The same URL tells each machine its own rank; the services are at the gateway."""
    url = "http://169.254.169.254/openstack/latest/meta_data.json"
    fetch = f"import urllib.request as u; print(u.urlopen('{url}').read().decode())"
    with labs.opened(directory) as level:
        stand_ins = StandIns("10.8.0.1", "digits", services=level.services, metadata=level.metadata)
        for rank, name in enumerate(("master", "worker-1")):
            metadata, address = {"hotrun_rank": str(rank)}, level.network.node(rank)
            stand_ins.serve(Server(name=name, address=address, metadata=metadata, user_data=b"", uuid="u"))
        for rank, name in enumerate(("master", "worker-1")):
            code, shown = run(level, directory, name, f'exec {sys.executable} -I -c "{fetch}"')
            assert (code, json.loads(shown)["meta"]) == (0, {"hotrun_rank": str(rank)})
        assert stand_ins.metadata_url("master") == "http://169.254.169.254"
        signal = json.loads(stand_ins.signal_attributes("HEAT_SIGNAL")["signal"] or "")
        assert signal["auth_url"].startswith("http://10.8.0.1:")
        stand_ins.close()


def test_a_machine_has_its_own_name_and_places(directory: Path) -> None:
    """Host name, hosts, resolver, /tmp, /run and /dev/shm are its own; its root is where it was."""
    with labs.opened(directory) as level:
        code, first = run(level, directory, "master", SEES)
        _, second = run(level, directory, "worker-1", SEES)
    lines = first.splitlines()
    assert (code, lines[:2]) == (0, ["digits-master", "digits-master"])
    assert "10.8.0.11 digits-worker-1" in lines
    assert "nameserver 10.8.0.1" in lines
    assert {"ens3", "lo", "user_data", str(directory / "master")} <= set(lines)
    assert second.splitlines()[0] == "digits-worker-1"
    for name in ("/tmp/here", "/dev/shm/here"):
        assert not Path(name).exists()
        assert name == "/dev/shm/here" or (directory / "master" / name[1:]).exists()


def test_exit_codes_and_signals_come_out(directory: Path) -> None:
    """The command's exit code is the machine's; the end by a signal is 128 and its number."""
    with labs.opened(directory) as level:
        assert run(level, directory, "master", "exit 5")[0] == 5
        assert run(level, directory, "master", "kill -9 $$")[0] == 128 + 9


def test_a_machine_dies_whole_and_comes_back(directory: Path) -> None:
    """All of its processes are found from outside; killed, they are gone with what they left, and it can start again."""
    script = "(setsid sleep 600 & sleep 600 &); echo up; exec sleep 600"
    with labs.opened(directory) as level:
        for _ in range(2):
            process = labs.start(level, labs.node(level, directory, "worker-1", script))
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            assert wait_for(lambda: len(level.processes("worker-1")) == 4)  # with process 1 and two orphans
            assert level.processes("master") == set()
            for pid in level.processes("worker-1"):
                with suppress(ProcessLookupError):  # gone with process 1
                    os.kill(pid, 9)
            process.communicate(timeout=30)
            assert process.returncode != 0
            assert wait_for(lambda: not level.processes("worker-1"))


@pytest.mark.parametrize("is_running", [True, False])
def test_a_full_disk_is_the_machines_own(directory: Path, is_running: bool) -> None:
    """Writing fails there with `No space left on device`, reading goes on, and this computer's disk has room."""
    script = f"""
echo old >"$HOTRUN_ROOT/file"; echo up
until test -e {directory}/go; do sleep 0.1; done
cat "$HOTRUN_ROOT/file"
head -c 40000000 /dev/zero >"$HOTRUN_ROOT/large"
"""
    with labs.opened(directory) as level:
        if not is_running:
            level.fill_disk("master")
        process = labs.start(level, labs.node(level, directory, "master", script))
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        if is_running:
            level.fill_disk("master")
        (directory / "go").touch()
        shown, _ = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "old" in shown
        assert "No space left on device" in shown


def test_limits_hold_and_leave_nothing(directory: Path) -> None:
    """A machine beyond its memory is killed; the cgroups are gone with the lab."""
    script = f"""exec {sys.executable} -I -c "print(len('x' * 300_000_000))" """
    with labs.opened(directory) as level:
        try:
            level.limit_memory("master", 100_000_000)
            level.limit_cpu("master", 20.0)
        except CantDo as cant:
            if os.geteuid() == 0:
                raise
            pytest.skip(f"without root: {cant}")
        assert run(level, directory, "master", script)[0] == 128 + 9
        assert run(level, directory, "worker-1", script)[0] == 0
        assert cgroups()
    assert not cgroups()


def test_memory_that_a_machine_holds_counts(directory: Path) -> None:
    """A limit that comes when it is too late ends the largest process, not the others."""
    script = f"""{sys.executable} -I -c "import time; x = 'x' * 300_000_000; print('has', flush=True); time.sleep(60)"
echo "its end: $?" """
    with labs.opened(directory) as level:
        try:
            level.count_memory("master")
        except CantDo as cant:
            if os.geteuid() == 0:
                raise
            pytest.skip(f"without root: {cant}")
        process = labs.start(level, labs.node(level, directory, "master", script))
        assert process.stdout is not None
        assert process.stdout.readline() == "has\n"
        level.limit_memory("master", 100_000_000)
        shown, _ = process.communicate(timeout=30)
    assert "its end: 137" in shown


def cgroups() -> list[Path]:
    """What this process made of them."""
    return [path for path in Path("/sys/fs/cgroup").glob(f"*/hotrun-{os.getpid()}-*") if path.is_dir()]


OWNER = """
import sys, time; sys.path.insert(0, {root!r})
from pathlib import Path
from tests.rehearse import labs
directory = Path({directory!r})
with labs.opened(directory) as level:
    try:
        level.limit_cpu("master", 50.0)
    except labs.CantDo:
        pass
    machine = labs.start(level, labs.node(level, directory, "master", "(setsid sleep 600 &); sleep 600"))
    while len(level.processes("master")) < 4:
        time.sleep(0.05)
    print("up", flush=True)
    time.sleep(600 if {is_killed} else 0)
"""


@pytest.mark.parametrize("is_killed", [True, False])
def test_nothing_is_left_of_a_lab(directory: Path, is_killed: bool) -> None:
    """Whether it is closed or its owner is killed: no process, mount, interface, namespace or cgroup stays."""
    root = str(Path(__file__).parents[2])
    text = OWNER.format(root=root, directory=str(directory), is_killed=is_killed)
    before = left(directory)
    owner = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "up\n"
    if is_killed:
        assert labs.below_a_lab()
        owner.kill()
    owner.communicate(timeout=60)
    assert wait_for(lambda: left(directory) == before), left(directory)


def left(directory: Path) -> tuple[set[str], str, str, set[str], set[str]]:
    """What of a lab could be seen on this computer."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    networks = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    mounts = {line for line in Path("/proc/self/mounts").read_text().splitlines() if str(directory) in line}
    groups = {str(path) for path in Path("/sys/fs/cgroup").glob("**/hotrun-*-tttttttt-*")}
    return labs.below_a_lab(), links, networks, mounts, groups
