"""What nodes of a job tell each other while they train, in the place of a link to a coordinator.

Every node answers at one port of its own address: what it has published, and checkpoints that it holds. Asked
are rank 0's node, or the holder of a checkpoint. A request carries the job's secret, made as the job starts.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import shutil
import socket
import socketserver
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

from ..checkpoints import CHECKPOINT
from ..failure import MasterLost, Stopped, problem
from ..link import Link

_ASK_S = 0.5  # between two questions
_LINE_BYTES = 65536
_HEARD_S = 60.0  # for all nodes to hear that rank 0's program has ended
_ENDED = "ended-"  # begins what train.py publishes then
RESUME = "resume-"  # names a checkpoint that a node lacks


class Talk(Link):
    """A node's side; rank 0's is what a coordinator would be as well."""

    def __init__(self, rank: int, secret: str, go: dict[str, Any] | None = None, kept: Path = Path()) -> None:
        self.attempt, self.welcome = 1, {}
        self.rank, self.secret, self._go, self._kept = rank, secret, go or {}, kept
        self._offers: dict[str, dict[str, Any]] = {}
        self._files: dict[str, Path] = {}
        self._heard_of: dict[str, dict[str, Any]] = {}
        self._wanted: set[str] = set()
        self._heard_by: dict[str, set[int]] = {}
        self._asked = threading.Event()
        self.limit = 0.0
        """When the time limit was announced, time.monotonic(); 0 before."""
        self.is_ending: Callable[[], bool] = lambda: False
        """Whether the work may end now that the limit was announced."""
        self.failure: dict[str, Any] = {}
        self.stages: dict[str, float] = {}
        self.store = SimpleNamespace(keep_shared_file=_nothing, link_shared=self._link_shared)
        self._server: _Server | None = None
        if len(self._go.get("addresses", ())) > 1:
            self._server = _Server((self._go["addresses"][rank], self._go["talk_port"]), _Answer)
            self._server.talk = self
            threading.Thread(target=self._server.serve_forever, args=(0.2,), daemon=True).start()
            threading.Thread(target=self._ask_on, daemon=True).start()

    def send(self, kind: str, **fields: Any) -> None:
        """Keep how a stage went: the node's report is made of it."""
        if kind == "stage" and fields["state"] != "begin":
            self.stages[fields["stage"]] = round(fields["s"], 2)
            self.failure = fields.get("problem") or self.failure

    def is_over(self) -> bool:
        """Whether work should end now: the time limit is near, and it may."""
        return bool(self.limit) and self.is_ending()

    def raise_if_over(self) -> None:
        """Raise Stopped if `is_over`."""
        if self.is_over():
            raise Stopped(problem("time-limit", "the time limit is near"), again=True)

    def raise_if_again(self) -> None:
        """Nothing: what follows is the script's."""

    def claim(self, name: str) -> bool:
        """Nobody else makes it."""
        return True

    def publish(self, name: str, what: Any, /, **facts: Any) -> None:
        """A coordinator's `publish(name, facts)`, or a link's `publish(name, path, **facts)`."""
        if isinstance(what, Path):
            self._files[name], what = what, facts
        self._offers[name] = dict(what)
        if name.startswith(_ENDED):
            self._wait_until_heard(name)

    def offered(self, name: str) -> dict[str, Any] | None:
        """What was published under that name, as far as this node has heard."""
        if name in self._offers:
            return self._offers[name]
        if name == CHECKPOINT and self._go.get("shared"):
            return None  # it lies where this node sees it
        self._wanted.add(name)
        return self._heard_of.get(name)

    def published(self, name: str, deadline: float) -> dict[str, Any]:
        """The same, waited for. Raises TimeoutError."""
        while True:
            found = self.offered(name)
            if found is not None:
                return found
            self.raise_if_over()
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.1)

    def fetch(self, name: str, target: Path) -> None:
        """Copy a published file of another node to `target`, whole or not at all."""
        partial = target.with_name(target.name + ".part")
        try:
            with self._question(name, is_file=True) as stream, partial.open("wb") as file:
                told = json.loads(stream.readline(_LINE_BYTES) or "null")
                shutil.copyfileobj(stream, file, 1 << 20)
            if not told or partial.stat().st_size != told["bytes"]:
                raise MasterLost(f"{name} ended early")
            partial.replace(target)
        except (OSError, ValueError) as error:
            raise MasterLost(f"{name}: {error}") from error

    def close(self) -> None:
        """Answer no more."""
        self._asked.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def answer(self, request: dict[str, Any]) -> tuple[dict[str, Any] | None, Path | None]:
        """What another node asked for; nothing without the secret."""
        if not self.secret or not hmac.compare_digest(str(request.get("secret")), self.secret):
            return None, None
        name = str(request.get("name"))
        path = self._files.get(name) if request.get("file") else None
        if name in self._offers:
            self._heard_by.setdefault(name, set()).add(int(request.get("rank", -1)))
        return self._offers.get(name), path

    def _wait_until_heard(self, name: str) -> None:
        """This node goes next, and who asks it later finds nobody."""
        others, until = set(range(len(self._go["addresses"]))) - {self.rank}, time.monotonic() + _HEARD_S
        while not others <= self._heard_by.get(name, set()) and time.monotonic() < until:
            time.sleep(0.05)

    def _link_shared(self, name: str, path: Path) -> None:
        self._files[name] = path

    def _question(self, name: str, *, is_file: bool = False) -> Any:
        holder = self._go["resume"]["holders"][0] if name.startswith(RESUME) else 0
        address = (self._go["addresses"][holder], self._go["talk_port"])
        with contextlib.closing(socket.create_connection(address, 10.0)) as connection:
            question = {"secret": self.secret, "name": name, "file": is_file, "rank": self.rank}
            connection.sendall((json.dumps(question) + "\n").encode())
            return connection.makefile("rb")

    def _ask_on(self) -> None:
        while not self._asked.wait(_ASK_S):
            for name in sorted(self._wanted):
                with contextlib.suppress(OSError, ValueError), self._question(name) as stream:
                    told = json.loads(stream.readline(_LINE_BYTES) or "null")
                    if told:
                        self._heard_of[name] = told["facts"]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128
    talk: Talk

    def handle_error(self, *_: Any) -> None:
        """Nothing: who asked sees that no answer came."""


class _Answer(socketserver.StreamRequestHandler):
    timeout = 60

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Server), "made by it"
        facts, path = server.talk.answer(json.loads(self.rfile.readline(_LINE_BYTES)))
        if facts is None:
            return
        size = path.stat().st_size if path else 0
        self.wfile.write((json.dumps({"facts": facts, "bytes": size}) + "\n").encode())
        if path:
            with path.open("rb") as file:
                shutil.copyfileobj(file, self.wfile, 1 << 20)


def _nothing(name: str, path: Path) -> None:
    """On one file system there is nothing to hand on."""
