from __future__ import annotations

import sys
from pathlib import Path

import pytest
from machine import available

from tests.payload.children import child

GIB = 1 << 30
MEMINFO = "MemTotal:       24000000 kB\nMemAvailable:   20971520 kB\n"  # 20 GiB


def system(root: Path, **files: str) -> Path:
    """A root directory with MEMINFO and `files`, whose names have __ for /."""
    for name, text in {"proc__meminfo": MEMINFO, **files}.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def group(root: Path, folder: str, **files: str) -> None:
    """A control group below `root`."""
    path = root / "sys/fs/cgroup" / folder
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text)


def test_ranks_of_a_machine_share_what_it_has_available(tmp_path: Path) -> None:
    """Without groups and limits a rank has its part of MemAvailable."""
    assert available.available_bytes(4, system(tmp_path)) == 5 * GIB


def test_a_system_that_says_nothing_is_not_guessed(tmp_path: Path) -> None:
    """Where there is no /proc, what is free is unknown."""
    assert available.available_bytes(1, tmp_path) is None


@pytest.mark.parametrize("mount", ["", "unified/"])
def test_a_group_above_limits_its_members(tmp_path: Path, mount: str) -> None:
    """cgroup v2: the tightest of a process's group and all above it counts, beside v1 too."""
    root = system(tmp_path, proc__self__cgroup="0::/user/run\n")
    used = {"memory__current": str(3 * GIB), "memory__stat": f"anon 1\ninactive_file {GIB}\n"}
    group(root, mount + "user/run", memory__max="max\n", memory__high="max\n", **used)
    group(root, mount + "user", memory__max=f"{8 * GIB}\n", memory__high="max\n", **used)
    assert available.available_bytes(1, root) == 6 * GIB
    assert available.available_bytes(2, root) == 3 * GIB


def test_throttling_counts_as_a_limit(tmp_path: Path) -> None:
    """Above memory.high a process crawls, so that is where its memory ends."""
    root = system(tmp_path, proc__self__cgroup="0::/\n")
    group(root, "", memory__max=f"{8 * GIB}", memory__high=f"{4 * GIB}", memory__current=str(GIB))
    assert available.available_bytes(1, root) == 3 * GIB


def test_a_group_of_the_first_version_limits_too(tmp_path: Path) -> None:
    """cgroup v1: a container sees its own group as the topmost, under the path that the host has for it."""
    root = system(tmp_path, proc__self__cgroup="4:cpu,cpuacct:/\n3:memory:/docker/0a1b\n0::/\n")
    group(root, "memory", memory__limit_in_bytes=f"{2 * GIB}", memory__usage_in_bytes=f"{GIB}",
          memory__stat=f"inactive_file 5\ntotal_inactive_file {GIB // 2}\n")  # fmt: skip
    assert available.available_bytes(1, root) == 3 * GIB // 2


def test_an_unlimited_group_is_no_limit(tmp_path: Path) -> None:
    """cgroup v1 says 2^63 less a page where there is none."""
    root = system(tmp_path, proc__self__cgroup="3:memory:/\n")
    group(root, "memory", memory__limit_in_bytes="9223372036854771712\n", memory__usage_in_bytes=f"{GIB}")
    assert available.available_bytes(1, root) == 20 * GIB


def test_a_group_that_is_full_leaves_nothing(tmp_path: Path) -> None:
    """What is free is never negative."""
    root = system(tmp_path, proc__self__cgroup="0::/\n")
    group(root, "", memory__max=f"{GIB}", memory__current=f"{GIB + 4096}")
    assert available.available_bytes(1, root) == 0


def test_limits_are_each_process_s_own() -> None:
    """RLIMIT_AS counts all that is mapped, RLIMIT_DATA what may be written; ranks do not share them."""
    limits = (
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max data size             3000000              unlimited            bytes     \n"
        "Max address space         9000000              unlimited            bytes     \n"
    )
    assert available.limits_bytes(limits, "VmSize:\t 1000 kB\nVmData:\t 100 kB\n") == [7_976_000, 2_897_600]
    assert available.limits_bytes(limits.replace("3000000", "unlimited"), "VmData:\t 1 kB\n") == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is free")
def test_this_machine_says_what_is_free() -> None:
    """The real files are read: something is free, and never more than the machine has available."""
    free = available.available_bytes(1)
    machine = available.machine_bytes(Path("/proc/meminfo").read_text())
    assert free is not None
    assert machine is not None
    assert 0 < free <= machine + (64 << 20)


LIMITED = """
import resource, sys
from machine.available import _kib, _text, Path, available_bytes
kind, used = getattr(resource, sys.argv[1]), sys.argv[2]
bound = _kib(_text(Path("/proc/self/status")), used) + (200 << 20)
resource.setrlimit(kind, (bound, bound))
free = available_bytes(2)
print(free)
bytearray(free * 9 // 10)
try:
    bytearray(free * 11 // 10)
except MemoryError:
    print("no more")
"""


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is free")
@pytest.mark.parametrize(("kind", "used"), [("RLIMIT_AS", "VmSize:"), ("RLIMIT_DATA", "VmData:")])
def test_what_is_said_to_be_free_can_be_had_and_little_more(kind: str, used: str) -> None:
    """A process in a limited memory gets nine tenths of what is reported, and not eleven."""
    free, refused = child(LIMITED, kind, used)
    assert 190 << 20 < int(free) <= 200 << 20
    assert refused == "no more"


def test_the_peak_of_this_process_is_known() -> None:
    """A plausible peak of memory, where the system says one."""
    peak = available.peak_rss_bytes()
    assert peak is None or 10 * 2**20 < peak < 2**40
