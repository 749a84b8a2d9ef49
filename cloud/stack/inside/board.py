"""On a machine: TensorBoard on a run's events, and ports. Part of inside.py: standard library, Python 3.9.

TensorBoard ends with this program, however that ends.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import http.client
import json
import os
import pwd
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import Any, Optional

from cloud.stack.inside.events import Links, directory, has_tensorboard, places, python_of
from cloud.stack.inside.run import current, document, say

USER = "hotrun"  # the user of the program, cloud/node/host.py
STARTED_S = 180.0  # the first import of a cold machine
LOOK_S = 0.5
PORTS_EVERY = 20  # looks: who listens is asked for every ten seconds
# sys.argv: what TensorBoard is given. It ends when its stdin does, which is a pipe of its starter's. Without
# the module `notf` it would import TensorFlow where that is installed: seconds, and hundreds of megabytes.
_START = """\
import os, runpy, sys, threading, types
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
sys.modules["tensorboard.compat.notf"] = types.ModuleType("notf")
runpy.run_module("tensorboard.main", run_name="__main__", alter_sys=True)
"""


class Board:
    """One TensorBoard, started where none shows the same directory at that port already."""

    def __init__(self, python: str, logdir: str, port: int, home: str, owner: Any = None) -> None:
        """`owner`: the passwd entry of the user that it runs as; None: this one."""
        self.port, self.version = port, ""
        self._python, self._logdir, self._owner, self._home = python, logdir, owner, home
        self._child: Optional[subprocess.Popen[bytes]] = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - `end` closes it
        self._began = time.monotonic()

    @property
    def is_shared(self) -> bool:
        """Whether somebody else's is looked at."""
        return self._child is None

    def tend(self) -> str:
        """`starting`, `ready`, or why there is none: `ended`, `late`."""
        if self._child is not None and self._child.poll() is not None:
            self._forget()
            if self.version or not is_taken(self.port):
                return "ended"  # else something else took the port meanwhile
        if self.version:
            if self._child is not None or is_taken(self.port):
                return "ready"
            self._began, self.version = time.monotonic(), ""  # the other one went with its starter
        elif self._answers():
            return "ready"
        if self._child is None:
            if is_taken(self.port):
                self.port = free_port()
            self._start()
        return "late" if time.monotonic() - self._began > STARTED_S else "starting"

    def words(self) -> list[str]:
        """The last lines of what it said."""
        with contextlib.suppress(OSError, ValueError):
            self._said.seek(0)
            text = self._said.read().decode("utf-8", "replace")
            return [line.rstrip() for line in text.splitlines() if line.strip()][-6:]
        return []

    def end(self) -> None:
        """End it, and wait until it is gone."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(5)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._forget()
        self._said.close()

    def _forget(self) -> None:
        if self._child is not None and self._child.stdin is not None:
            self._child.stdin.close()
        self._child = None

    def _start(self) -> None:
        flags = ["--logdir", self._logdir, "--host", "127.0.0.1", "--port", str(self.port)]
        # -I: no PYTHONPATH and no module of the current directory
        command = [self._python, "-I", "-c", _START, *flags, "--reload_interval", "1"]
        env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": self._home, "LANG": "C.UTF-8"}
        given: dict[str, Any] = {}
        if self._owner is not None:
            given = {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": []}
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=self._said, stderr=self._said, cwd="/", env=env,
            start_new_session=True, **given,
        )  # fmt: skip

    def _answers(self) -> bool:
        """Whether a TensorBoard that shows this directory answers at the port."""
        try:
            with _opener().open("http://127.0.0.1:%d/data/environment" % self.port, timeout=5) as answer:
                found = json.loads(answer.read())
        except (OSError, ValueError, http.client.HTTPException):
            return False
        if not isinstance(found, dict) or found.get("data_location") != self._logdir:
            return False
        self.version = str(found.get("version", ""))
        return True


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def show(root: str, user: str, port: str) -> None:
    """Keep a TensorBoard of the newest run alive and say how it is, until nobody reads any more."""
    run, _, phase = current(root)
    python = python_of(root, run) if run else ""
    if not python or not has_tensorboard(python):
        say({"stop": "no-run" if not run else "no-environment" if not python else "no-tensorboard"})
        return
    links = Links(directory(root, run))
    looked = Board(python, links.top, int(port), os.path.join(root, "var/lib/hotrun/home"), _owner(user))
    try:
        while True:
            count = links.renew(places(root, run))
            state = looked.tend()
            told = {"state": state, "port": looked.port, "shared": looked.is_shared, "files": count}
            say({**told, "run": run, "phase": phase, "version": looked.version})
            if state in ("ended", "late"):
                say({"stop": state, "log": looked.words()})
                return
            sys.stdout.buffer.flush()
            time.sleep(LOOK_S)
            phase = current(root)[2]
    finally:
        is_last = not looked.is_shared
        looked.end()
        if is_last:
            links.remove()


def ports(root: str, port: str, package: str = "") -> None:
    """Say whether something listens at a port of 127.0.0.1 here, until nobody reads any more.

    `package`: whose dashboard that is; what the newest run's environment lacks for it is said too, and the
    token that it asks for (cloud/node/engines/ray.py).
    """
    found: dict[str, Any] = {}
    if package:
        run = current(root)[0]
        python = python_of(root, run) if run else ""
        secret = document(os.path.join(root, "etc/hotrun/job.json")).get("secret", "")
        token = hashlib.sha256(("%s/%s" % (secret, package)).encode()).hexdigest() if secret else ""
        found = {"lacks": lacks(python, package) if python else "", "token": token}
    while True:
        listens = is_taken(int(port))
        for _ in range(PORTS_EVERY):
            say({**found, "listens": listens})
            sys.stdout.buffer.flush()
            time.sleep(LOOK_S)


# What ray/dashboard/optional_deps.py imports, without which Ray starts no dashboard and says nothing.
DASHBOARDS = {
    "ray": ("ray", "aiohttp", "aiohttp_cors", "grpc", "opencensus", "opentelemetry", "prometheus_client",
            "pydantic"),
}  # fmt: skip


def lacks(python: str, package: str) -> str:
    """The first module that an environment lacks for the dashboard of a package; empty when it has all."""
    top = glob.escape(os.path.dirname(os.path.dirname(python)))
    for name in DASHBOARDS[package]:
        if not glob.glob(os.path.join(top, "lib/python3*/site-packages", name)):
            return name
    return ""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def is_taken(port: int) -> bool:
    """Whether somebody listens at a port of 127.0.0.1."""
    with socket.socket() as one:
        one.settimeout(3)
        return not one.connect_ex(("127.0.0.1", port))


def _owner(user: str) -> Any:
    """The user that the program runs as, where this is root and there is one."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(user)
    except KeyError:
        return None
