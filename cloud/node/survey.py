"""What a machine finds out for the gate: facts about itself, and which other machines it can reach.

Every effect here is a look: nothing is changed. `gate.py` judges what this finds.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import socket
import socketserver
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Iterator, Sequence

from . import machine
from .context import Context
from .failure import StageFailed, problem

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
_TORCH_S = 180.0  # to import torch from a cold disk, and to wake a GPU
_NONCE_BYTES = 4
_DNS_PAUSE_S = 2.0  # a machine that has just booted may not have its name servers yet
# Oldest driver for a CUDA: docs.nvidia.com/deploy/cuda-compatibility, minor version compatibility.
_DRIVERS = {580: "cu130", 525: "cu126", 450: "cu118"}
# torch.cuda.device_count() asks the driver alone; a GPU is usable once it has computed something.
_TRIAL = """
import torch
try:
    for i in range(%d): (torch.ones(1, device=f"cuda:{i}") + 1).item()
    said = ""
except Exception as e: said = str(e).splitlines()[0]
print(torch.version.cuda, said)
"""


def facts(context: Context, port: int = 0) -> dict[str, Any]:
    """What the gate compares (docs/decisions/0003). `port`: where an `Ear` of this machine listens.

    Send it at once: the clock is read last.
    """
    found, names = context.found, context.found["gpus"]
    environment: Path = found["environment"]
    return {
        "name": context.identity.name, "address": found["address"], "interface": found["interface"],
        "mtu": machine.mtu_of(found["interface"]), "commit": found["commit"], "lock": environment.name,
        "kind": machine.kind(names), "python": platform.python_version(),
        "torch": installed(environment, "torch"), "ranks": found["nproc"],
        "gpus": 0 if context.job.torch_index == "cpu" else len(names), "gpu_problem": gpu_problem(context),
        "disk": shutil.disk_usage(context.layout.state).free, "memory": free_memory_bytes(), "port": port,
        "clock": time.time(),
    }  # fmt: skip


def installed(environment: Path, package: str) -> str:
    """The version of a package in an environment, from its metadata's name; empty without."""
    for found in environment.glob(f"lib/python3*/site-packages/{package}-*.dist-info"):
        return found.name[len(package) + 1 : -len(".dist-info")]
    return ""


def gpu_problem(context: Context) -> str:
    """Why torch can't use the GPUs that this machine's ranks will take; empty when it can or need not."""
    environment: Path = context.found["environment"]
    wanted = min(len(context.found["gpus"]), context.found["nproc"])
    if not wanted or context.job.torch_index == "cpu" or not installed(environment, "torch"):
        return ""
    command = [str(environment / "bin/python"), "-c", _TRIAL % wanted]
    try:
        code, tail = context.execute(
            command, deadline=time.monotonic() + _TORCH_S,
            env={"PYTHONPYCACHEPREFIX": str(context.layout.bytecode)},
        )  # fmt: skip
    except StageFailed:
        code, tail = 1, [f"no answer within {_TORCH_S:.0f} s"]
    last = tail[-1] if tail else ""
    cuda, _, said = last.partition(" ") if code == 0 else ("unknown", "", last or f"exit code {code}")
    if not said:
        return ""
    driver = _driver()
    index = _index(driver, "cu" + cuda.replace(".", ""), said)
    fitting = f"; an index that ends in {index} fits" if index else ""
    said = said.partition(". ")[0]  # what to load from where follows
    return f"has a GPU that torch can't use: {said} (driver {driver}, CUDA of torch {cuda}{fitting})"


def _driver() -> str:
    try:
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=30, check=True).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return "unknown"


def _index(driver: str, own: str, said: str) -> str:
    """The end of the index whose torch fits; empty when `own`, that of this torch, is not the reason."""
    if "kernel image" in said and own > "cu126":  # GPUs before Turing: CUDA 12.6 was the last for them
        return "cu126"
    major = driver.partition(".")[0]
    fitting = [index for oldest, index in _DRIVERS.items() if major.isdigit() and int(major) >= oldest]
    return fitting[0] if fitting and fitting[0][:4] != own[:4] else ""


class Ear(socketserver.ThreadingTCPServer):
    """Listens on a free port of `address` and sends back what `look` sends, until it is closed."""

    daemon_threads = True
    request_queue_size = 64  # all partners come in the same second

    def __init__(self, address: str) -> None:
        super().__init__((address, 0), _Echo)
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def close(self) -> None:
        """Listen no more."""
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: Any) -> None:
        """Nothing: who asked sees that no answer came."""


class _Echo(socketserver.StreamRequestHandler):
    timeout = 5  # a port scanner says nothing

    def handle(self) -> None:
        self.wfile.write(self.rfile.read(_NONCE_BYTES))


def look(machines: Sequence[Sequence[Any]], source: str, timeout_s: float = 5.0) -> dict[str, str]:
    """Try all `machines`, `[rank, address, port]` each, at once, from the address `source`.

    Returns rank -> why, in plain words, for those where no `Ear` answered.
    """

    def reason(target: Sequence[Any]) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        try:
            with socket.create_connection((target[1], target[2]), timeout_s, (source, 0)) as connection:
                connection.sendall(nonce)
                answered = connection.recv(_NONCE_BYTES) == nonce
        except OSError as error:
            return f"port {target[2]}: {(error.strerror or str(error)).lower()}"
        return "" if answered else f"port {target[2]}: another service answers"

    with ThreadPoolExecutor(len(machines) or 1) as pool:
        reasons = list(pool.map(reason, machines))
    return {str(target[0]): why for target, why in zip(machines, reasons) if why}  # noqa: B905 - 3.10


def name_problem(repo: str, name: str = "this machine", tries: int = 3) -> dict[str, Any] | None:
    """The problem `no-dns` when the repository's host has no address here; None when it has, or need not.

    A proxy asks by itself; a rehearsal's stand-in for the repository needs no host.
    """
    host = urllib.parse.urlsplit(repo).hostname
    standing_in = os.environ.get("HOTRUN_GITCONFIG")
    if not repo.startswith("https:") or {"https", "all"} & urllib.request.getproxies().keys():
        return None
    if standing_in and repo in Path(standing_in).read_text():
        return None
    why = ""
    for again in range(tries):
        time.sleep(_DNS_PAUSE_S if again else 0)
        try:
            socket.getaddrinfo(host, 443)
        except (socket.gaierror, UnicodeError) as error:
            why = str(getattr(error, "strerror", error))
        else:
            return None
    fix = "choose name servers that answer: --dns (the subnet's dns_nameservers)"
    return problem("no-dns", f"{name} can't resolve {host}: {why}", fix=fix)


def free_memory_bytes() -> int:
    """What the kernel calls available, or less where a control group of this process allows less."""
    free = [_numbers(_PROC / "meminfo").get("MemAvailable:", 0) * 1024]
    for group in _groups():
        for limit, used in _LIMITS:
            with contextlib.suppress(OSError, ValueError):  # no such file, or no limit: "max"
                left = int((group / limit).read_text()) - int((group / used).read_text())
                stat = _numbers(group / "memory.stat")  # version 1 counts what is below a group as total_
                cached = (stat.get(f"total_{key}", stat.get(key, 0)) for key in _CACHED)
                free.append(left + sum(cached))
    return max(0, min(free))


_LIMITS = ("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")
_CACHED = ("inactive_file", "active_file")  # what was read from disk is used, and given back on demand


def oom_kills() -> int:
    """How often the kernel ended a process for want of memory; only that it grows means something."""
    files = [_PROC / "vmstat"]
    files += [group / name for group in _groups() for name in ("memory.events", "memory.oom_control")]
    return sum(_numbers(path).get("oom_kill", 0) for path in files)


def _groups() -> Iterator[Path]:
    """Control groups that may limit this process's memory: its own and those around it, version 1 and 2."""
    with contextlib.suppress(OSError):
        for line in (_PROC / "self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "memory"):
                group = _CGROUPS / controllers
                for part in path.split("/"):  # the first is empty: the top
                    group /= part
                    yield group


def _numbers(path: Path) -> dict[str, int]:
    """`name number` lines of a file of the kernel; nothing when it can't be read."""
    try:
        lines = re.findall(r"^(\S+)\s+(\d+)", path.read_text(), re.MULTILINE)
    except OSError:
        return {}
    return {name: int(number) for name, number in lines}
