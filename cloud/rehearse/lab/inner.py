"""Process 1 of a rehearsed machine: hides what is not the machine's, runs its user data, buries orphans.

    python -I inner.py PLAN COMMAND ...      in new mount, host name and process namespaces; PLAN is JSON
    python -I inner.py --fill ROOT BYTES     in a machine's mount namespace: leaves BYTES of room

Exit code: the command's, or 128 and the number of the signal that ended it. The machine ends with this one.
Standard library only.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

_OWN = Path("/run/hotrun")  # in the machine's own /run
_LEAST_BYTES = 1 << 20  # of a file system that is to be full: its directories need some


def main() -> None:
    """Set the machine up, then run the command to its end."""
    if sys.argv[1] == "--fill":
        fill(sys.argv[2], int(sys.argv[3]))
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # what process 1 does not handle does not end it
    plan = json.loads(sys.argv[1])
    _settle(plan)
    os.chdir(plan["root"])
    child = subprocess.Popen(sys.argv[2:])
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)  # the kernel ends all others


def fill(root: str, room: int) -> None:
    """Put a small disk over the machine's root: what is there can be read, `room` bytes can be written."""
    disk = _OWN / "disk"
    disk.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", f"size={max(room, _LEAST_BYTES)}", "tmpfs", str(disk))
    for name in ("upper", "work"):
        (disk / name).mkdir()
    lower = root.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
    layers = f"lowerdir={lower},upperdir={disk}/upper,workdir={disk}/work"
    try:
        _mount("-t", "overlay", "-o", f"{layers},userxattr", "overlay", root)  # in a user namespace
    except subprocess.CalledProcessError:
        _mount("-t", "overlay", "-o", layers, "overlay", root)
    if not room:
        _write_to_the_end(disk / "ballast")


def _settle(plan: dict[str, Any]) -> None:
    """Give the machine its own view of this computer."""
    root = plan["root"]
    _mount("-t", "proc", "proc", "/proc")
    _own_sys()
    own = {  # what is mounted over each
        "/tmp": ["--bind", f"{root}/tmp"],  # noqa: S108 - nobody else's there
        "/run": ["-t", "tmpfs", "-o", "mode=755", "tmpfs"],
    }
    for name in plan["hidden"]:
        _hide(name, plan["kept"], own[name])
    _mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm")  # noqa: S108 - see above
    _OWN.mkdir(mode=0o700)
    socket.sethostname(plan["hostname"])
    _replace("/etc/hostname", plan["hostname"] + "\n")
    _replace("/etc/hosts", plan["hosts"])
    _replace("/etc/resolv.conf", f"nameserver {plan['resolver']}\n")
    if plan["room"] is not None:
        fill(root, plan["room"])
    if plan.get("share"):
        _mount("--bind", *plan["share"])  # as NFS would, after the disk that holds the place


def _own_sys() -> None:
    """/sys shows the machine's own network interfaces; what is mounted below it stays."""
    groups = os.open("/sys/fs/cgroup", os.O_PATH)
    try:
        _mount("-t", "sysfs", "sysfs", "/sys")
        _bind(groups, "/sys/fs/cgroup")
    except subprocess.CalledProcessError:
        pass  # where the kernel refuses it, the computer's own is seen
    os.close(groups)


def _hide(name: str, kept: list[str], what: list[str]) -> None:
    """Mount `what` over a directory, and show in it again what is kept of the old one."""
    inside = [path for path in kept if path.startswith(f"{name}/")]
    below = {path: os.open(path, os.O_PATH) for path in inside}
    _mount(*what, name)
    for path, held in below.items():
        target = Path(path)
        if not target.exists():
            is_directory = Path(f"/proc/self/fd/{held}").is_dir()
            (target if is_directory else target.parent).mkdir(parents=True, exist_ok=True)
            target.touch()
        _bind(held, path)
        os.close(held)


def _replace(name: str, text: str) -> None:
    """Put a text in the place of a file; of one that is not there, only where that is the machine's own."""
    own, target = _OWN / name.replace("/", "-"), Path(name).resolve()
    own.write_text(text)
    own.chmod(0o644)
    if not target.exists():
        if not target.is_relative_to("/run"):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount("--bind", str(own), str(target))


def _bind(held: int, target: str) -> None:
    """Mount what an open descriptor stands for, whatever lies over it by now."""
    _mount("--no-canonicalize", "--rbind", f"/proc/self/fd/{held}", target, held=held)


def _mount(*arguments: str, held: int | None = None) -> None:
    subprocess.run(["mount", *arguments], check=True, pass_fds=() if held is None else (held,))


def _write_to_the_end(path: Path) -> None:
    """Write until there is no room left."""
    for size in (1 << 16, 1 << 12, 1):
        try:
            with path.open("ab", buffering=0) as file:
                while True:
                    file.write(bytes(size))
        except OSError:
            continue


if __name__ == "__main__":
    main()
