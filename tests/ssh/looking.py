"""What the tests of `tensorboard` and `tunnel` share: the command as a process, a run with events, its page."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
WAIT_S = 300.0  # TensorBoard's first start on a busy machine
RUN = "20260101-120000-abcd"
# The command as it is typed, but for the cloud: the machines of the fixture `site` are the stack's.
DRIVER = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
from cloud import cli
from cloud.commands import look
from cloud.stack import shell as shells
from cloud.stack.shell.config import Machine
told = json.loads(sys.argv[1])
def shell_of(cloud, stack, identity=None):
    machines = [Machine(**each) for each in told["machines"]]
    return shells.Shell(address=told["address"], login=told["login"], machines=machines,
        identity=identity or Path(told["identity"]), port=told["port"], roots=told["roots"])
from cloud.look import over_ssh
over_ssh.PORTS.update(told["named"])
look.found_stack = lambda name, runs_dir, ui: (None, SimpleNamespace(name=name))
shells.shell_of = shell_of
sys.exit(cli.run(sys.argv[2:]))
"""


class Command:
    """A running `hotrun tensorboard` or `hotrun tunnel`."""

    def __init__(
        self, *words: str, site: Any = None, environ: dict[str, str] | None = None,
        named: dict[str, int] | None = None, at_terminal: bool = False,
    ) -> None:  # fmt: skip
        """`named`: other ports for `ray` and `tensorboard`, as this computer may have those in use.

        `at_terminal`: its standard error is one; `said` can be asked once then.
        """
        code = DRIVER if site else "import sys; from cloud import cli; sys.exit(cli.run(sys.argv[1:]))"
        given = [json.dumps({**_told(site), "named": named or {}})] if site else []
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - `end` closes it
        self._terminal, stderr = pty.openpty() if at_terminal else (-1, self._said.fileno())
        own = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "BROWSER"}}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *given, *words], stdout=subprocess.PIPE, stderr=stderr, text=True,
            env={**own, "PYTHONPATH": str(ROOT), **(environ or {})}, start_new_session=True,
        )  # fmt: skip
        if at_terminal:
            os.close(stderr)

    def url(self) -> str:
        """The first line of its result; its deadline is the command's own."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line.startswith("http://127.0.0.1:"), self.said()
        return line

    def port(self) -> int:
        """That of the address."""
        return int(self.url().rstrip("/").rpartition(":")[2])

    def said(self) -> str:
        """Standard error so far."""
        if self._terminal >= 0:
            return os.read(self._terminal, 65536).decode()
        self._said.seek(0)
        return self._said.read()

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal and wait for the end; the exit code."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return self.process.wait(WAIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._said.close()
        if self._terminal >= 0:
            os.close(self._terminal)


def _told(site: Any) -> dict[str, Any]:
    from tests.ssh.conftest import USER

    machines = [
        {"name": each.name, "address": each.address, "host_key": each.host_key} for each in site.machines()
    ]
    return {
        "machines": machines, "address": site.master.address, "login": USER.pw_name, "port": site.master.port,
        "identity": str(site.identity), "roots": {host.name: str(host.root) for host in site.hosts.values()},
    }  # fmt: skip


def write_events(directory: Path, values: list[float], tag: str = "loss") -> None:
    """Write scalars as a training program does."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(directory))
    for step, value in enumerate(values):
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        writer.add_event(Event(step=step, wall_time=time.time(), summary=summary))
    writer.close()


def make_environment(
    root: Path, run: str = RUN, *, packages: Path | None = None, python: Path | None = None
) -> Path:
    """An environment as the node program leaves it, with the packages of this Python or of `packages`.

    `python`: another program of the same version, for a user who can't reach this one.
    """
    lock = root / "var/lib/hotrun/runs" / run / "lock-cpu.txt"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text("tensorboard==2.21.0\n")
    name = hashlib.sha256(("cpu" + lock.read_text()).encode()).hexdigest()[:16]
    environment = root / "opt/hotrun/env" / name
    environment.mkdir(parents=True)
    base = (python or Path(sys._base_executable)).resolve()  # type: ignore[attr-defined]
    (environment / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    (environment / "bin").mkdir()
    (environment / "bin/python").symlink_to(base)
    (environment / "lib").symlink_to(packages or Path(sys.prefix) / "lib")
    (environment / ".complete").touch()
    return environment


def asked(port: int, path: str) -> Any:
    """What the page answers, None when it does not."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def until(what: str, is_so: Callable[[], Any]) -> Any:
    """Wait until something is so and return it."""
    deadline = time.monotonic() + WAIT_S
    while not (found := is_so()):
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.1)
    return found


def runs_shown(port: int) -> set[str]:
    """The runs whose scalars a TensorBoard has."""
    return set(asked(port, "/data/plugin/scalars/tags") or {})


def boards(root: Path) -> set[int]:
    """Processes that were started for a place: TensorBoard's, and those of ssh."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if str(root).encode() in (entry / "cmdline").read_bytes() and int(entry.name) != os.getpid():
                    found.add(int(entry.name))
    return found


@contextlib.contextmanager
def listening(port: int = 0) -> Iterator[int]:
    """Somebody at a port of 127.0.0.1 who answers each line with it; the port."""
    import socketserver

    class Echo(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while line := self.rfile.readline():
                self.wfile.write(line)

    import threading

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads = True, True

    with Server(("127.0.0.1", port), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
