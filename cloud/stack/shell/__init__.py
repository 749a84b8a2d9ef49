"""ssh to the machines of a stack: OpenSSH's client, the host keys that the master reported, never unchecked.

Everything that a connection needs lies in a private directory for as long as the Shell is open; `keep` writes
the part that a person can use too. Workers are reached through the master.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cloud.errors import NoAccess, Problem
from cloud.stack import inside, told
from cloud.stack.record import not_writable, put
from cloud.stack.shell.config import KNOWN_HOSTS, SSH_CONFIG, Machine, door, known_hosts, machines, ssh_config
from cloud.stack.shell.refused import refusal
from cloud.stack.shell.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cloud.stack.api import Cloud, Stack

MASTER = "master"
_SSH_FAILED = 255  # its own exit code; all others are the program's
FORWARD_S = 30.0
STARTED_S = 60.0  # for a login and Python's start, on a slow machine far away
# The first Python that is new enough, as root where that needs no password. "$@": what Python is given.
_START = """\
for p in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 /usr/libexec/platform-python
do
 if "$p" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then break; fi
 p=
done
if [ -z "$p" ]; then echo "hotrun: no Python 3.9 or newer" >&2; exit 97; fi
if [ "$(id -u)" != 0 ] && sudo -n true 2>/dev/null; then exec sudo -n "$p" "$@"; fi
exec "$p" "$@"
"""


class NoShell(NoAccess):
    """There is no ssh to a machine; the problem says why."""


class Shell:
    """Logins to the machines of one stack. `close` ends the shared connection; an open one is a context."""

    def __init__(
        self, *, address: str, login: str, machines: Sequence[Machine], identity: Path | None = None,
        port: int = 22, roots: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """`roots`: machine -> below which its paths are looked for; only for tests."""
        self.address, self.login, self.machines = address, login, tuple(machines)
        self.identity, self._port, self._roots = identity, port, dict(roots or {})
        self._place: Path | None = None
        self._running: list[Stream] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def python(
        self, *arguments: str, stdin: bytes = b"", machine: str = MASTER, started_s: float = STARTED_S
    ) -> Stream:
        """Start inside.py's program on a machine; its answer comes from the stream.

        Raises NoShell when it can't be started, at the latest after `started_s`.
        """
        self.require(machine)
        text = inside.program()
        words = ["-I", "-c", inside.LOADER, str(len(text)), "--root", self._roots.get(machine, "/")]
        command = shlex.join(["sh", "-c", _START, "hotrun", *words, *arguments])
        stream = Stream(self._command(machine, command), text + stdin)
        try:
            stream.skip_to(inside.MAGIC, started_s)
        except (EOFError, TimeoutError) as error:
            stream.end()
            found = refusal(stream.errors(), self, machine, is_late=isinstance(error, TimeoutError))
            raise NoShell(found) from error
        with self._lock:
            self._running = [*(each for each in self._running if each.is_open), stream]
        return stream

    def lost(self, stream: Stream, machine: str = MASTER) -> NoShell:
        """End a stream that broke off, and say why."""
        code = stream.end()
        found = refusal(stream.errors(), self, machine, is_lost=True)
        if 0 < code < _SSH_FAILED:  # ssh is well, the program there is not
            what = f"the program that was started on {machine} ended with exit code {code}"
            found = replace(found, code="machine-answer", what=what, fix="its own lines say why")
        return NoShell(found)

    def forward(self, here: int, there: int) -> str:
        """Let a port of 127.0.0.1 here lead to one of the master's, while the Shell is open.

        Empty, or what ssh said against it. Something must run on the master already.
        """
        words = ["-O", "forward", "-L", f"127.0.0.1:{here}:127.0.0.1:{there}"]
        command = ["ssh", "-F", str(self._private() / SSH_CONFIG), *words, MASTER]
        try:
            ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=FORWARD_S)
        except subprocess.TimeoutExpired:
            return "no answer in time"
        return "" if ended.returncode == 0 else ended.stderr.strip() or "it ended with no word"

    def keep(self, folder: Path) -> Path:
        """Write known_hosts and ssh_config for people into `folder`; return the latter.

        Raises RequestError where that can't be written.
        """
        folder = folder.resolve()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            put(folder / KNOWN_HOSTS, known_hosts(self.machines))
            put(folder / SSH_CONFIG, self._config(folder, None))
        except OSError as error:
            raise not_writable(folder, error) from error
        return folder / SSH_CONFIG

    def close(self) -> None:
        """End what runs and the shared connection; what is closed stays closed."""
        for stream in self._running:
            stream.stop()
        for stream in self._running:
            stream.end()
        self._running = []
        if self._place is None:
            return
        for socket in (self._place / "c").glob("*"):
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                command = ["ssh", "-F", str(self._place / SSH_CONFIG), "-O", "exit", socket.name]
                subprocess.run(command, check=False, capture_output=True, timeout=5)
        shutil.rmtree(self._place, ignore_errors=True)
        self._place = None

    def _command(self, machine: str, command: str) -> list[str]:
        return ["ssh", "-F", str(self._private() / SSH_CONFIG), "-T", machine, command]

    def require(self, machine: str) -> None:
        """Raise NoShell for a machine that is not known, or has no known host key."""
        if shutil.which("ssh") is None:
            what = "there is no ssh program on this computer"
            raise NoShell(Problem(code="ssh-missing", what=what, fix="install OpenSSH's client"))
        if self.identity is not None and not self.identity.is_file():
            what = f"--identity {self.identity}: there is no such file"
            fix = "name the private key that belongs to the stack's key_name"
            raise NoShell(Problem(code="identity-missing", what=what, fix=fix))
        for name in {MASTER, machine}:
            found = next((each for each in self.machines if each.name == name), None)
            if found is None or not found.host_key:
                raise NoShell(unknown_key(name, is_listed=found is not None))

    def _private(self) -> Path:
        """The private directory, made at its first use; its path is short, as a socket's must be."""
        if self._place is None:
            self._place = Path(tempfile.mkdtemp(prefix="hotrun-", dir=_short_place()))  # 0700
            (self._place / "c").mkdir(mode=0o700)
            (self._place / KNOWN_HOSTS).write_text(known_hosts(self.machines), encoding="utf-8")
            config = self._config(self._place, self._place / "c")
            (self._place / SSH_CONFIG).write_text(config, encoding="utf-8")
        return self._place

    def _config(self, place: Path, controls: Path | None) -> str:
        identity = self.identity.expanduser().resolve() if self.identity else None
        return ssh_config(
            self.login, self.address, self.machines, place=place, identity=identity,
            port=self._port, controls=controls,
        )  # fmt: skip


def shell_of(cloud: Cloud, stack: Stack, identity: Path | None = None) -> Shell:
    """Return a Shell for a stack, with the host keys that its master of today reported.

    Raises NoShell when the stack does not say where to log in, or its master has not reported yet.
    """
    login, address = door(stack)
    if not login or not address:
        what = f"stack {stack.name} does not say where its master can be reached"
        fix = "give it an external_network, or run this from a machine inside its network"
        raise NoShell(Problem(code="no-address", what=what, fix=fix))
    listed = machines(told.by(stack, cloud.resources(stack.id)).machines)
    if not any(each.name == MASTER and each.host_key for each in listed):
        raise NoShell(unknown_key(MASTER, is_listed=bool(listed)))
    return Shell(address=address, login=login, machines=listed, identity=identity)


def unknown_key(machine: str, *, is_listed: bool) -> Problem:
    """No host key: nothing is ever connected to unchecked."""
    why = "it reported no host key" if is_listed else "the master has not reported its host key"
    what = f"{machine} can't be logged in to: {why}, and an unchecked connection is never made"
    fix = "wait until the master has reported (hotrun status); hotrun logs shows the consoles until then"
    return Problem(code="host-key-unknown", what=what, fix=fix, node=machine)


def _short_place() -> str | None:
    """The user's own runtime directory, else /tmp; not $TMPDIR, which can be long."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and len(runtime) < 40 and os.access(runtime, os.W_OK):
        return runtime
    return "/tmp" if os.access("/tmp", os.W_OK) else None  # noqa: S108 - mkdtemp makes a private one in it
