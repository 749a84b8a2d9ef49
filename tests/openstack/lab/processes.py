"""One process group per service: started, found again by other commands, ended; never anybody else's."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.openstack.lab import place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MARK = "HOTRUN_LAB_SERVICE"  # in the environment of every process of a lab: DIRECTORY/NAME
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # Debian's own programs and Pythons
STOP_S = 10.0  # then it is killed; RabbitMQ and MariaDB need two or three


@dataclass(frozen=True)
class Command:
    """How one service is started."""

    name: str
    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Process:
    """What /proc tells of a process."""

    pid: int
    session: int
    began: int
    """In clock ticks since boot: a pid that is used again has another one."""
    is_zombie: bool


def start(command: Command) -> None:
    """Start a service as a session of its own, its output in log/NAME.log; one that runs is left as it is."""
    if is_alive(command.name):
        return
    stop(command.name)  # what a dead one left behind
    with _path("log", f"{command.name}.log").open("ab") as log:
        process = subprocess.Popen(
            command.words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**environment(command.name), **command.environment},
            cwd="/",
            start_new_session=True,
        )
    found = _read(process.pid)
    record = {"pid": process.pid, "began": found.began if found else 0}
    _path("run", f"{command.name}.json").write_text(json.dumps(record), encoding="ascii")


def environment(name: str) -> dict[str, str]:
    """What a process of the lab starts with: Debian's programs, nothing of the caller's, and the lab's mark."""
    return {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": "/root", MARK: _mark(name)}


def is_alive(name: str) -> bool:
    """Whether the first process of a service runs."""
    pid, began = _record(name)
    found = _read(pid) if pid else None
    return found is not None and found.began == began and not found.is_zombie


def stop(name: str, *, at_once: bool = False) -> None:
    """End all processes of a service: asked to, then killed; `at_once` kills them without asking."""
    asked = signal.SIGKILL if at_once else signal.SIGTERM
    until = time.monotonic() + STOP_S
    _send(members(name), asked)
    while left := members(name):
        if time.monotonic() > until:
            _send(left, signal.SIGKILL)
        time.sleep(0.05)
    _path("run", f"{name}.json").unlink(missing_ok=True)


def members(name: str) -> list[int]:
    """Pids of a service's processes: those of its session, and those that carry its mark."""
    pid, began = _record(name)
    return [
        process.pid
        for process in _in_the_namespace()
        if (pid and process.session == pid and process.began >= began) or _mark_of(process.pid) == _mark(name)
    ]


def own() -> list[int]:
    """Pids of all processes of the lab."""
    records = {pid: began for pid, began in map(_record, recorded()) if pid}
    return [
        process.pid
        for process in _in_the_namespace()
        if process.began >= records.get(process.session, 1 << 62)
        or _mark_of(process.pid).startswith(_mark(""))
    ]


def other_lab() -> str:
    """The directory of a lab that holds the namespace already, or empty."""
    marks = {_mark_of(process.pid) for process in _in_the_namespace()}
    return next((mark.rpartition("/")[0] for mark in marks if mark and not mark.startswith(_mark(""))), "")


def strangers() -> dict[int, str]:
    """Pid and command of processes in the namespace that the lab did not start, this one and its parents left out."""
    ours = {*own(), *_line_to(os.getpid())}
    return {process.pid: _command(process.pid) for process in _in_the_namespace() if process.pid not in ours}


def end_all() -> None:
    """Kill every process of the lab; its data go next, so nobody is asked to close them."""
    while left := own():
        _send(left, signal.SIGKILL)
        time.sleep(0.05)


def recorded() -> list[str]:
    """Names of the services that were started and not stopped."""
    return sorted(path.stem for path in (place.home() / "run").glob("*.json"))


def memory_mib(pids: list[int]) -> float:
    """Memory of processes in MiB, shared pages counted once (PSS, proc(5))."""
    total_kib = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
            total_kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total_kib / 1024


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _record(name: str) -> tuple[int, int]:
    try:
        record = json.loads(_path("run", f"{name}.json").read_text(encoding="ascii"))
        return int(record["pid"]), int(record["began"])
    except (OSError, ValueError, KeyError):
        return 0, 0


def _in_the_namespace() -> Iterator[Process]:
    try:
        inode = place.DOOR.stat().st_ino
    except OSError:
        return
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (path / "ns" / "net").stat().st_ino == inode:
                found = _read(int(path.name))
                if found and not found.is_zombie:
                    yield found


def _read(pid: int) -> Process | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    words = text.rpartition(")")[2].split()  # proc(5): the third field is the first word
    return Process(pid=pid, session=int(words[3]), began=int(words[19]), is_zombie=words[0] in "ZX")


def _mark(name: str) -> str:
    return f"{place.home()}/{name}"


def _mark_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if entry.startswith(f"{MARK}=".encode()):
                return entry.partition(b"=")[2].decode()
    return ""


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:80]
    return ""


def _line_to(pid: int) -> Iterator[int]:
    """This process, its parent, and so on."""
    while pid > 1:
        yield pid
        words = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
        pid = int(words[1])


def _path(folder: str, name: str) -> Path:
    return place.home() / folder / name
