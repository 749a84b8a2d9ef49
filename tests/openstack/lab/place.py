"""Where the lab lives: its directory, its network namespace and address, and what a machine needs to hold it."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE = os.environ.get("HOTRUN_LAB_NAMESPACE") or "hotrun-lab"  # another one holds another lab
DOOR = Path("/run/netns") / NAMESPACE
ADDRESS = "198.51.100.1"  # of every API inside the namespace; TEST-NET-2, RFC 5737
PUBLIC_NETWORK = "198.51.100.0/24"
REGION = "RegionOne"
DEFAULT_HOME = "/var/tmp/hotrun-lab"
MAX_HOME_CHARACTERS = 80  # MariaDB's socket below it has at most 107, unix(7)
_CLONE_NEWNET = 0x40000000  # sched.h


class CannotRun(Exception):
    """One sentence why there is no lab, or which part of it failed."""


def home() -> Path:
    """The directory of everything that the lab writes: HOTRUN_LAB_DIR, or /var/tmp/hotrun-lab."""
    return Path(os.path.abspath(os.environ.get("HOTRUN_LAB_DIR") or DEFAULT_HOME))  # noqa: PTH100 - links stay


def obstacle() -> str:
    """Why this machine can't hold the lab, or empty; packages that are missing are no obstacle."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "the OpenStack lab needs root on Linux"
    release = _release()
    if (release.get("ID"), release.get("VERSION_ID")) != ("debian", "12"):
        return f"the OpenStack lab needs Debian 12, this is {release.get('PRETTY_NAME', 'something else')}"
    tried = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "the OpenStack lab needs network and mount namespaces"


def _release() -> dict[str, str]:
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {name: value.strip('"') for name, _, value in pairs}


def make_home() -> Path:
    """Make the lab's directory; somebody else's is refused, for root writes and deletes there."""
    path = home()
    if len(str(path)) > MAX_HOME_CHARACTERS:
        raise CannotRun(f"HOTRUN_LAB_DIR={path} is too long, at most {MAX_HOME_CHARACTERS} characters")
    path.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or not path.is_dir() or path.stat().st_uid != 0:
        raise CannotRun(f"{path} is not a directory of root; set HOTRUN_LAB_DIR to one that is")
    path.chmod(0o755)  # MariaDB and RabbitMQ run as users of their own and reach their own parts
    return path


@contextlib.contextmanager
def alone(deadline_s: float = 900) -> Iterator[None]:
    """Hold the lab for one `up`, `down`, `stop` or `start`; waits for another, raises CannotRun after the deadline."""
    until = time.monotonic() + deadline_s
    handle = os.open(make_home(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    told = False
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise CannotRun(f"another command holds the lab in {home()} for too long") from None
                if not told:
                    print(f"waiting for another command that holds the lab in {home()}", flush=True)
                told = True
                time.sleep(0.5)
        yield
    finally:
        os.close(handle)


def password() -> str:
    """The one password of the lab: of its users, its database and its metadata API; made when first asked for."""
    path = home() / "password"
    if not path.exists():
        path.touch(mode=0o600)
    if not path.read_text(encoding="ascii"):
        path.write_text(secrets.token_hex(16), encoding="ascii")
    return path.read_text(encoding="ascii")


def make_network() -> None:
    """Make the namespace, the APIs' address in it, and the interface that plays the external network."""
    if DOOR.exists() and not _opens():  # a bind mount that never came to be
        _ip("netns", "delete", NAMESPACE)
    if not DOOR.exists():
        _ip("netns", "add", NAMESPACE)
    inside = ("-netns", NAMESPACE)
    _ip(*inside, "link", "set", "lo", "up")
    found = subprocess.run(["ip", *inside, "link", "show", "api0"], capture_output=True, check=False)
    if found.returncode:
        _ip(*inside, "link", "add", "api0", "type", "veth", "peer", "name", "ext0")
    _ip(*inside, "address", "replace", f"{ADDRESS}/24", "dev", "api0")
    for name in ("api0", "ext0"):
        _ip(*inside, "link", "set", name, "up")


def remove_network() -> None:
    """Take the namespace's name away; it ends with the last process that is in it."""
    if DOOR.exists():
        _ip("netns", "delete", NAMESPACE)


def is_inside() -> bool:
    """Whether this process is in the lab's network."""
    try:
        return Path("/proc/self/ns/net").stat().st_ino == DOOR.stat().st_ino
    except OSError:
        return False


def enter() -> None:
    """Put this process, and all that it starts from here on, into the lab's network."""
    if is_inside():
        return
    if not DOOR.exists():
        raise CannotRun("the OpenStack lab is not up; type: make openstack-lab")
    if not _opens(and_enter=True):
        raise CannotRun(f"the network namespace {NAMESPACE} can't be entered; type: make openstack-lab")


def _opens(*, and_enter: bool = False) -> bool:
    if not and_enter:
        tried = subprocess.run(["nsenter", f"--net={DOOR}", "true"], capture_output=True, check=False)
        return tried.returncode == 0
    library = ctypes.CDLL(None, use_errno=True)  # os.setns came with Python 3.12
    with DOOR.open("rb") as handle:
        return bool(library.setns(handle.fileno(), _CLONE_NEWNET) == 0)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRun(f"ip {' '.join(words)}: {done.stderr.strip()}")
