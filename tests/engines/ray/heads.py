"""A head as the node program starts it: the engine's own words, on this machine's own Python."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cloud.node.engines import Launch, Place, ray
from cloud.node.job import Job
from cloud.node.recognise import Recognition
from tests.engines.ray.drivers import DEADLINE_S, clean_environment, processes, wait
from tests.ports import free_port, is_free


@dataclass(frozen=True)
class Head:
    """A running one."""

    launch: Launch
    secret: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def port(self) -> int:
        """Where other machines join it."""
        return port_of(self.launch, "port")

    @property
    def dashboard(self) -> int:
        """Where its page is."""
        return port_of(self.launch, "dashboard-port")


def port_of(launch: Launch, option: str) -> int:
    """What an option of `ray start` is set to."""
    return int(next(word.partition("=")[2] for word in launch.service if word.startswith(f"--{option}=")))


def launched(
    secret: str, run: str, node_rank: int = 0, port: int = 0, first_port: int | None = None
) -> Launch:
    """What a machine with the address 127.0.0.1 is to start; alone, or as the worker of a head at `port`.

    On ports of its own, as another Ray of this computer may have the usual ones; 0: on those.
    """
    place = Place(
        node_rank=node_rank, nnodes=1, nproc=1, addresses=("127.0.0.1",) * (node_rank + 1),
        master_port=port or free_port(), run=run, attempt=1, has_gpu=False, threads=1, interface="lo",
        shared_memory_bytes=200 << 20, environment=sys.prefix,
        service_ports=a_thousand_ports() if first_port is None else first_port,
    )  # fmt: skip
    job = Job(repo="", entrypoint="main.py", master="127.0.0.1", secret=secret)
    return ray.launch(job, Recognition("ray", 1, ""), place)


@contextlib.contextmanager
def head(directory: Path, python: str = sys.executable) -> Iterator[Head]:
    """One that listens, with its dashboard where the environment has it; it ends with the block."""
    secret = secrets.token_hex(8)
    launch = launched(secret, f"test-{secret}")
    log = directory / "head.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [python, *launch.service], cwd=directory, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL,
            env={**clean_environment(), **launch.environment}, start_new_session=True,
        )  # fmt: skip
    try:
        wait(lambda: not is_free(port_of(launch, "port")) or process.poll() is not None, "Ray's head")
        assert process.poll() is None, log.read_text()
        yield Head(launch, secret, process, log)
    finally:
        end(process, launch.environment["RAY_AUTH_TOKEN"])
        shutil.rmtree(launch.scratch)


def end(process: subprocess.Popen[bytes], token: str) -> None:
    """End it with all that it has started, which are known by their token."""
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(60)
    for pid in processes(f"RAY_AUTH_TOKEN={token}"):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    process.wait(DEADLINE_S)


def a_thousand_ports() -> int:
    """The first of as many that nobody listens at; below those that this computer's own connections take."""
    firsts = range(11_000, 31_000, 1_000)
    return next(first for first in firsts if all(map(is_free, range(first, first + 1_000))))
