"""`--swap`: a real swap file of the kernel, where this machine lets one be added."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloud.node import swap
from cloud.node.failure import StageFailed
from cloud.node.host import Host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.node.context import Context

pytestmark = pytest.mark.process
FOREVER = 1e12


def asked(context: Context, size: str) -> Context:
    """The machine, no rehearsal, with a job that asks for swap."""
    context.host = Host(is_rehearsal=False)
    context.job = replace(context.job, swap=size)
    return context


@pytest.fixture
def machine(context: Context) -> Iterator[Context]:
    """One where swap may be changed; what was added goes."""
    if os.geteuid() != 0:
        pytest.skip("only root can add swap")
    probe = context.layout.state / "probe"
    probe.touch(mode=0o600)
    os.posix_fallocate(os.open(probe, os.O_RDWR), 0, 1 << 20)
    for command in (["mkswap", str(probe)], ["swapon", str(probe)], ["swapoff", str(probe)]):
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
        if ended.returncode:
            pytest.skip(f"this machine lets no swap be added: {ended.stderr.strip()[:200]}")
    probe.unlink()
    yield context
    with contextlib.suppress(FileNotFoundError):
        subprocess.run(["swapoff", context.layout.state / "swapfile"], check=False, capture_output=True)


def kib_of(path: Path) -> int:
    """How much of it the kernel may use; 0 when it does not."""
    lines = [line.split() for line in Path("/proc/swaps").read_text().splitlines()]
    return next((int(words[2]) for words in lines if words[0] == str(path)), 0)


def test_a_swap_file_is_added_once(machine: Context) -> None:
    """As large as asked for, readable by root alone; a second start finds it in use, a reboot adds it again."""
    path = machine.layout.state / "swapfile"
    assert swap.add(asked(machine, "16M"), FOREVER) == "16M added"
    assert (path.stat().st_size, path.stat().st_mode & 0o777) == (16 << 20, 0o600)
    assert kib_of(path) == 16 * 1024 - 4
    inode = path.stat().st_ino
    assert swap.add(machine, FOREVER) == "16M in use"
    subprocess.run(["swapoff", path], check=True)  # as a reboot leaves it
    assert swap.add(machine, FOREVER) == "16M added"
    assert (kib_of(path), path.stat().st_ino) == (16 * 1024 - 4, inode)


def test_what_an_interrupted_start_left_is_no_hindrance(machine: Context) -> None:
    """A file of another size, or one without a swap area."""
    path = machine.layout.state / "swapfile"
    path.write_bytes(b"x" * 100)
    assert swap.add(asked(machine, "8M"), FOREVER) == "8M added"
    subprocess.run(["swapoff", path], check=True)
    path.write_bytes(bytes(8 << 20))
    assert swap.add(machine, FOREVER) == "8M added"
    assert kib_of(path) == 8 * 1024 - 4


def test_a_rehearsal_adds_nothing(context: Context) -> None:
    """And says so; also as root."""
    context.job = replace(context.job, swap="16M")
    assert swap.add(context, FOREVER) == "skipped: rehearsal"
    assert not (context.layout.state / "swapfile").exists()


def test_a_disk_that_is_too_small_is_named_before_it_is_full(context: Context) -> None:
    """What is free, and what must stay so, for packages and data."""
    free = shutil.disk_usage(context.layout.state).free >> 30
    with pytest.raises(StageFailed, match="GiB of disk are free") as caught:
        swap.add(asked(context, f"{free + 10}G"), FOREVER)
    assert caught.value.problem["code"] == "swap-failed"
    assert "--swap" in caught.value.problem["fix"]
    assert not (context.layout.state / "swapfile").exists()


def test_a_machine_that_takes_none_is_named(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel without swap, a container: its own words, and no lost stage."""
    monkeypatch.setenv("PATH", str(context.layout.state))
    (context.layout.state / "mkswap").write_text("#!/bin/sh\necho mkswap: not here\nexit 1\n")
    (context.layout.state / "mkswap").chmod(0o755)
    with pytest.raises(StageFailed, match="a swap file of 16M: mkswap: not here") as caught:
        swap.add(asked(context, "16M"), FOREVER)
    assert caught.value.problem["code"] == "swap-failed"
