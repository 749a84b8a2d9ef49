"""Which level a rehearsal gets, and that ordinary users get namespaces too."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloud.errors import ProblemsFound
from cloud.rehearse.lab import CantDo, Level, choice, limits, site
from cloud.rehearse.lab.process import Process
from tests.rehearse import labs

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.rehearsal
ROOT = Path(__file__).parents[2]


def opened(directory: Path, level: str, said: list[str], **changed: Any) -> Level:
    """A level of one machine, closed again."""
    wanted = {
        "level": level, "names": ["master"], "stack": "digits", "tag": labs.TAG, "cidr": "10.8.0.0/23", "group": None,
        "where": "", "roots": {"master": directory / "master"}, "directory": directory / "lab",
        "together": (directory,), "kept": (), "local": (), **changed,
    }  # fmt: skip
    made = choice.opened(choice.Wanted(**wanted), said.append)
    made.close()
    return made


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer without one of the programs."""
    monkeypatch.setitem(site.PACKAGES, "hotrun-no-such-program", "nftables")


def test_namespace_is_chosen_where_it_works(directory: Path) -> None:
    """Nothing has to be said then."""
    labs.needed()
    said: list[str] = []
    made = opened(directory, "auto", said)
    assert (made.name, made.reason, said) == ("namespace", "", [])


def test_process_is_chosen_with_a_reason(directory: Path, lacking: None) -> None:
    """The package to install and what is lost are said."""
    said: list[str] = []
    made = opened(directory, "auto", said)
    assert (made.name, made.reason) == ("process", "it needs nftables: sudo apt install nftables")
    assert said == [f"level process, so that {choice.LOST} are not shown: {made.reason}"]


def test_a_level_that_was_asked_for_is_not_replaced(directory: Path, lacking: None) -> None:
    """`--level namespace` is refused with the reason where it does not work; `--level process` needs none."""
    with pytest.raises(ProblemsFound) as caught:
        opened(directory, "namespace", [])
    assert caught.value.problems[0].code == "level-not-possible"
    assert "sudo apt install nftables" in caught.value.problems[0].what
    said: list[str] = []
    assert (opened(directory, "process", said).reason, said) == ("", [])


def test_an_index_at_the_loopback_asks_for_processes(directory: Path) -> None:
    """Machines in namespaces could not reach it, so auto keeps to what works."""
    said: list[str] = []
    made = opened(directory, "auto", said, local=["PIP_INDEX_URL"])
    assert made.name == "process"
    assert "PIP_INDEX_URL leads to this computer's loopback" in said[0]


def test_process_says_what_it_cannot_do(directory: Path) -> None:
    """Each thing that needs a network or a disk of a machine's own is refused, naming the level that can."""
    level = Process(1, labs.TAG, {"master": directory / "master"})
    refused: list[Callable[[], None]] = [
        lambda: level.link("master", False), lambda: level.block_ports(None), lambda: level.block_names("master"),
        lambda: level.shape("1mbit"), lambda: level.loss(1.0), lambda: level.fill_disk("master"),
    ]  # fmt: skip
    for do in refused:
        with pytest.raises(CantDo, match="needs --level namespace: machines share this computer's"):
            do()
    assert level.processes("master") == set()
    level.close()


def test_processes_of_a_machine_are_found_by_their_marks(directory: Path) -> None:
    """Those of the node program carry the root, its ranks the node's own tag; another machine's carry others."""
    root = directory / "master"
    level = Process(1, labs.TAG, {"master": root, "worker-1": directory / "worker-1"})
    marks = [{"HOTRUN_ROOT": str(root)}, {"HOTRUN_TAG": f"{root}#master"}]
    started = [subprocess.Popen(["sleep", "60"], env=mark) for mark in marks]
    try:
        assert level.processes("master") == {process.pid for process in started}
        assert level.processes("worker-1") == set()
    finally:
        for process in started:
            process.kill()
            process.wait()
        level.close()


def test_limits_without_cgroups_are_refused(tmp_path: Path) -> None:
    """A computer without them, or without the right to them, is said so."""
    made = limits.Limits(labs.TAG, tmp_path / "nowhere")
    with pytest.raises(CantDo, match="limits need a cgroup at"):
        made.cpu("master", 20.0, [])
    (tmp_path / "cgroup.controllers").write_text("memory")
    (tmp_path / "cgroup.subtree_control").write_text("memory")
    with pytest.raises(CantDo, match="no cpu control"):
        limits.Limits(labs.TAG, tmp_path).cpu("master", 20.0, [])


def test_cgroups_of_a_killed_rehearsal_are_removed(tmp_path: Path) -> None:
    """They carry the number of a process that is gone; those of a living one stay."""
    gone, living = (tmp_path / "cpu" / f"hotrun-{pid}-tag-master" for pid in (2**22 + 1, os.getpid()))
    for group in (gone, living):
        group.mkdir(parents=True)
    limits.Limits(labs.TAG, tmp_path)
    assert (gone.exists(), living.exists()) == (False, True)


UNPRIVILEGED = """
import sys; sys.path.insert(0, sys.argv[1])
import ipaddress, os, subprocess
from pathlib import Path
from cloud.rehearse import addresses
from cloud.rehearse.lab import CantDo, Unavailable
from cloud.rehearse.lab.namespace import Namespace
from cloud.rehearse.lab.site import Site
from cloud.rehearse.prepare import Node
top = Path(sys.argv[2])
root = top / "master"
(root / "tmp").mkdir(parents=True)
network = addresses.Subnet(ipaddress.IPv4Network("10.8.0.0/23"), 1)
site = Site(network=network, names=["master"], group=[{"protocol": "tcp"}], where="", directory=top / "lab")
try:
    level = Namespace(site, stack="digits", tag="tag", roots={"master": root}, together=[top])
except Unavailable as unavailable:
    sys.exit(f"unavailable: {unavailable}")
level.shape("100mbit"); level.block_ports(None); level.block_names(None); level.loss(1.0)
script = "hostname; id -u; touch /tmp/here; until test -e $HOTRUN_ROOT/../go; do sleep 0.1; done"
(root / "user_data").write_text(script + "; echo x >$HOTRUN_ROOT/new || kill -9 $$")
environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOTRUN_ROOT": str(root)}
node = Node(name="master", address="10.8.0.10", root=root, user_data=root / "user_data", environment=environment)
run = subprocess.Popen(level.argv(node), env=environment, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
shown = run.stdout.readline() + run.stdout.readline()
level.link("master", False)
level.fill_disk("master")
found = len(level.processes("master"))
(top / "go").touch()
rest, _ = run.communicate()
level.close()
print(os.geteuid(), run.returncode, shown.split(), (root / "tmp/here").exists(), found > 1, "No space left" in rest)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="all tests of level namespace run without root then")
def test_an_ordinary_user_has_the_same_lab(directory: Path) -> None:
    """Without root it is built in a user namespace: machines, rules, rates and faults all the same."""
    python = "/usr/bin/python3"
    recent = "import sys; sys.exit(sys.version_info < (3, 11))"
    if not Path(python).exists() or subprocess.run([python, "-c", recent], check=False).returncode:
        pytest.skip("the system's Python is older than 3.11, and others may belong to root alone")
    shutil.copytree(ROOT / "cloud", directory / "code/cloud", ignore=shutil.ignore_patterns("__pycache__"))
    directory.chmod(0o755)
    shutil.chown(directory, 65534, 65534)
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "-i", "PATH=/usr/bin:/bin"]
    command = [*user, python, "-I", "-c", UNPRIVILEGED, str(directory / "code"), str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.stderr.startswith("unavailable"):
        pytest.skip(f"user namespaces are not allowed here: {done.stderr}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "65534 137 ['digits-master', '0'] True True True"
