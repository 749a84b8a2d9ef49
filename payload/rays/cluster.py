"""RAY_ADDRESS, or nothing -> a Ray that this driver is connected to and that has room for its workers.

A Ray that was started here ends here; one that was there already is only left. Ray itself waits for ever for
machines that do not come, and says so every half minute: here there is a deadline, and what is missing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray

from rays.ending import FITTING, without
from rays.words import ClusterError, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

STORE_BYTES = 256 << 20  # of an own Ray's object store; an epoch of MNIST is 43 MB, and streams through
STORE_ROOM = 1.1  # Ray wants so many times as much of /dev/shm, or goes to the disk
POLL_S = 0.5
LOOK_S = 2.0  # between two looks at the machines while they train
START_S = 600.0  # for workers that have room: importing torch on a slow machine, and fetching the data
# Of C++: said every second for half a minute, and then raised; of the actors of Ray Data, whatever they are.
WORDY = re.compile(rb"gcs_client.*InvalidAuthToken|constructor arguments in the object store")
SHM = Path("/dev/shm")  # noqa: S108  # where Ray has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What the train workers need, all at once."""

    workers: int
    cpus: int
    """For each."""
    gpus: int = 0
    nodes: int = 1
    """Machines that must be there, with or without room."""

    def on(self, node: dict[str, Any]) -> int:
        """How many workers one of ray.nodes() could take."""
        has = node["Resources"]
        fit = int(has.get("CPU", 0)) // self.cpus
        return min(fit, int(has.get("GPU", 0)) // self.gpus) if self.gpus else fit

    def missing(self) -> str:
        """What the cluster lacks, in words; empty where there is room."""
        alive = [node for node in ray.nodes() if node["Alive"]]
        fit = sum(self.on(node) for node in alive)
        if fit >= self.workers and len(alive) >= self.nodes:
            return ""
        has = ", ".join(f"{node['NodeManagerAddress']} for {self.on(node)}" for node in alive) or "none"
        each = f"{self.cpus} CPU" + (f" and {self.gpus} GPU" if self.gpus else "")
        lack = [f"room for {self.workers - fit} of {self.workers} workers ({each} each)"] * (
            fit < self.workers
        )
        away = self.nodes - len(alive)
        lack += [f"{away} of {self.nodes} machines"] * (away > 0)
        return f"{' and '.join(lack)} missing; machines with room: {has}"


@contextlib.contextmanager
def connected(workers: int, wait_s: float, *, logs: bool) -> Iterator[None]:
    """Be a driver: of the cluster at RAY_ADDRESS, else of a Ray on this machine. Raises ClusterError."""
    address = os.environ.get("RAY_ADDRESS", "")
    own, dropped = address in ("", "local"), [b""]
    quiet: dict[str, Any] = {} if logs else {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if own:
            _room_for_the_store()
            ray.init(address="local", num_cpus=workers, include_dashboard=False,
                     object_store_memory=STORE_BYTES, **quiet)  # fmt: skip
        else:
            _answers(address, wait_s)
            with without(WORDY) as dropped:
                ray.init(address=address, **quiet)
    except ClusterError:
        raise
    except Exception as error:
        said = b"".join(dropped).decode(errors="replace")
        raise ClusterError(refused(error, "" if own else address, said)) from error
    # Behind ray.init, which has its own: so that a Ray that was started here ends with this program.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if not FITTING.is_set():  # else see `leaving`
            ray.shutdown()


def _room_for_the_store() -> None:
    """Raise ClusterError where /dev/shm, as in many containers, is too small for the object store."""
    with contextlib.suppress(OSError):
        status = os.statvfs(SHM)
        free = status.f_bavail * status.f_frsize
        if free < STORE_BYTES * STORE_ROOM:
            needed = int(STORE_BYTES * STORE_ROOM) >> 20
            raise ClusterError(
                f"{SHM} has {free >> 20:,} MB free, and Ray's object store needs {needed:,}: free some, "
                "or give the container more (docker run --shm-size 1g)"
            )


def _answers(address: str, wait_s: float) -> None:
    """Wait until somebody listens there. Raises ClusterError."""
    if "://" in address:
        raise ClusterError(
            f"RAY_ADDRESS {address}: this program is a driver, it runs on a machine of the cluster; "
            "there RAY_ADDRESS is HOST:PORT or auto"
        )
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ClusterError(f"RAY_ADDRESS {address}: HOST:PORT or auto is needed there")
    deadline = time.monotonic() + wait_s
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"RAY_ADDRESS {address}: nobody answered in {wait_s:g} s ({error.strerror or error}); "
                    "`ray start --head` starts a cluster there"
                ) from error
            time.sleep(POLL_S)
        else:
            return


def wait_for(room: Room, wait_s: float) -> None:
    """Until there is room for all workers. Raises ClusterError at the deadline, naming what is missing."""
    deadline, told = time.monotonic() + wait_s, False
    while missing := room.missing():
        if time.monotonic() > deadline:
            raise ClusterError(f"after {wait_s:g} s {missing}; --wait allows for more time")
        if not told:
            print(f"waiting up to {wait_s:g} s: {missing}", flush=True)
            told = True
        time.sleep(POLL_S)


def nodes_wanted() -> int:
    """Machines that hotrun has given to this run; 1 without it."""
    given = os.environ.get("HOTRUN_NNODES", "")
    return int(given) if given.isdecimal() else 1


def placement(room: Room, here: str) -> dict[str, Any]:
    """Of ScalingConfig: a machine for each worker where there are enough; always one on this machine."""
    able = [node for node in ray.nodes() if node["Alive"] and room.on(node)]
    if here not in {node["NodeID"] for node in able}:
        raise ClusterError(
            "this machine, where the results and checkpoints are written, has no room for a worker: "
            "its Ray was started with too few CPUs"
        )
    spread = "STRICT_SPREAD" if len(able) >= room.workers else "SPREAD"
    selector: list[dict[str, str]] = [{} for _ in range(room.workers)]
    selector[0] = {"ray.io/node-id": here}
    return {"placement_strategy": spread if len(able) > 1 else "PACK", "label_selector": selector}


class Watch:
    """While Ray trains: says when workers did not begin, or machines are gone, for longer than `wait_s`."""

    def __init__(self, room: Room, wait_s: float) -> None:
        self.room, self.wait_s = room, wait_s
        self.began = self.looked = self.complete = time.monotonic()
        self.has_begun = False

    def hear(self) -> None:
        """A worker said something."""
        self.has_begun = True

    def look(self) -> None:
        """Raise ClusterError for what Ray would wait for without an end."""
        now = time.monotonic()
        if now - self.looked < LOOK_S:
            return
        self.looked, missing = now, self.room.missing()
        if not missing:
            self.complete = now
        elif now - self.complete > self.wait_s:
            raise ClusterError(
                f"for {self.wait_s:g} s {missing}; --resume auto goes on from the newest checkpoint"
            )
        if not self.has_begun and now - self.began > self.wait_s + START_S:
            free = ray.available_resources().get("CPU", 0)
            raise ClusterError(
                f"the workers did not begin in {self.wait_s + START_S:g} s; {free:g} CPUs are free in the "
                "cluster: does another job hold the others?"
            )
