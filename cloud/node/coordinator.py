"""The master's service: it knows every node, starts and stops them together, and takes what they bring.

One HTTP port on the master's private address. Every request carries the stack's secret.

    POST /link                     stays open: JSON lines both ways (link.py is the other end)
    POST /claim/NAME               who makes a shared file: the first that asks
    PUT, GET /shared/NAME          the source, locks
    PUT /upload/KIND/PATH          logs, proof and results of a node
    GET /status                    everything as JSON
"""

from __future__ import annotations

import hmac
import json
import shutil
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable
from urllib.parse import parse_qs, unquote, urlsplit

from .gang import SILENCE_S, Gang
from .link import BEAT_S, RANK_HEADER, SECRET_HEADER
from .store import Store

_TICK_S = 0.2


class Coordinator:
    """Serves one attempt of a run; `on_gate(verdict or None)` is called once, when the gate is decided."""

    def __init__(
        self, *, address: str, port: int, secret: str, gang: Gang, store: Store, welcome: dict[str, Any],
        on_gate: Callable[[dict[str, Any] | None], None],
    ) -> None:  # fmt: skip
        self.gang, self.store = gang, store
        self.over = threading.Event()
        self.changed = threading.Condition(threading.RLock())
        self._welcome, self._on_gate = welcome, on_gate
        self._secret = secret.encode()
        self._writers: dict[int, Callable[[dict[str, Any]], None]] = {}
        self._told: dict[str, dict[str, Any]] = {}
        self._published: list[dict[str, Any]] = []
        self._claims: dict[str, int] = {}
        self._server = _Server((address, port), _Handler)
        self._server.coordinator = self
        self._ended = threading.Event()

    def start(self) -> None:
        """Serve, beat and watch the clock, each in a thread of its own."""
        for work in (self._server.serve_forever, self._tick):
            threading.Thread(target=work, daemon=True).start()

    def stop(self) -> None:
        """Serve nothing more."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def tell(self, kind: str, **fields: Any) -> None:
        """Say something to every node, once; nodes that come later hear it too."""
        with self.changed:
            if kind in self._told:
                return
            self._told[kind] = {"t": kind, **fields}
            for write in list(self._writers.values()):
                write(self._told[kind])

    def wait_for_byes(self, timeout_s: float) -> list[str]:
        """Wait until every node said bye or is lost; the names of those that did neither."""
        deadline = time.monotonic() + timeout_s
        with self.changed:
            while True:
                waiting = [each.name for each in self.gang.members if each.is_here and not each.said_bye]
                if not waiting or time.monotonic() > deadline:
                    return waiting
                self.changed.wait(_TICK_S)

    def fail(self, rank: int, found: dict[str, Any]) -> None:
        """A failure that the master found, blamed on node `rank`."""
        with self.changed:
            self.gang.fail(rank, found, time.monotonic())
            self._advance()

    def authorised(self, secret: str) -> bool:
        """Whether a request carries the stack's secret."""
        return hmac.compare_digest(secret.encode(), self._secret)

    def join(self, rank: int, write: Callable[[dict[str, Any]], None]) -> None:
        """A node's link opened: tell it everything that was said before."""
        with self.changed:
            self._writers[rank] = write
            for message in [self._welcome, *self._published, *self._told.values()]:
                write(message)

    def leave(self, rank: int, write: Callable[[dict[str, Any]], None], how: str) -> None:
        """A node's link ended; an older link of a node that came back does not count."""
        with self.changed:
            if self._writers.get(rank) is write:
                del self._writers[rank]
                self.gang.lose(rank, time.monotonic(), how)
                self._advance()

    def hear(self, rank: int, message: dict[str, Any]) -> None:
        """Take one message of a node."""
        with self.changed:
            self.gang.report(rank, message, time.monotonic())
            self._advance()

    def claim(self, name: str, rank: int) -> bool:
        """Whether node `rank` makes the shared file `name`."""
        with self.changed:
            return self._claims.setdefault(name, rank) == rank

    def publish(self, name: str, facts: dict[str, Any]) -> None:
        """A shared file is complete: tell everybody."""
        with self.changed:
            message = {"t": "published", "name": name, "facts": facts}
            self._published.append(message)
            for write in list(self._writers.values()):
                write(message)

    def waiting_for(self) -> str:
        """Who has not passed the gate, for a person; empty when nobody."""
        now = time.monotonic()
        with self.changed:
            names = [
                f"{each.name} ({f'last heard in {each.stage}, {now - each.heard:.0f} s ago' if each.heard else 'never heard'})"
                for each in self.gang.members
                if not each.facts
            ]
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    def _advance(self) -> None:
        """Tell the nodes what followed from the last report. Called with the lock held."""
        gang = self.gang
        if gang.verdict and "stop" not in self._told:
            if "go" not in self._told:
                threading.Thread(target=self._on_gate, args=(gang.verdict,), daemon=True).start()
            self.tell("stop", verdict=gang.verdict)
        elif gang.phase == "train" and "go" not in self._told:
            threading.Thread(target=self._on_gate, args=(None,), daemon=True).start()
            with socket.create_server((self._server.server_address[0], 0)) as probe:
                port = probe.getsockname()[1]
            self.tell("go", port=port, addresses=[member.address for member in gang.members])
        if gang.phase == "over":
            self.over.set()
        self.changed.notify_all()

    def _tick(self) -> None:
        last_beat = 0.0
        while not self._ended.wait(_TICK_S):
            with self.changed:
                self.gang.tick(time.monotonic())
                self._advance()
                if time.monotonic() - last_beat >= BEAT_S:
                    last_beat = time.monotonic()
                    for write in list(self._writers.values()):
                        write({"t": "beat"})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512  # 254 workers may come in the same second
    coordinator: Coordinator


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        rank = self._rank()
        if rank is None:
            return
        if self.path == "/link":
            self._link(rank)
        elif self.path.startswith("/claim/"):
            self._answer({"yours": self.server.coordinator.claim(unquote(self.path[7:]), rank)})
        else:
            self._refuse(404, "nothing here")

    def do_PUT(self) -> None:
        rank = self._rank()
        if rank is None:
            return
        coordinator, url, size = (
            self.server.coordinator,
            urlsplit(self.path),
            int(self.headers["Content-Length"]),
        )
        place, _, name = unquote(url.path[1:]).partition("/")
        try:
            if place == "shared":
                coordinator.store.keep_shared(name, self.rfile, size)
                coordinator.publish(name, json.loads(parse_qs(url.query)["facts"][0]))
            else:
                coordinator.store.keep(coordinator.gang.members[rank].name, name, self.rfile, size)
        except (OSError, ValueError) as error:
            return self._refuse(507, str(error))
        self._answer({})

    def do_GET(self) -> None:
        if self._rank() is None:
            return
        coordinator = self.server.coordinator
        if self.path == "/status":
            with coordinator.changed:
                return self._answer({"members": [vars(member) for member in coordinator.gang.members]})
        path = coordinator.store.shared(unquote(self.path.partition("/shared/")[2]))
        if not path.is_file():
            return self._refuse(404, "not published")
        self._head(200, path.stat().st_size)
        with path.open("rb") as file:
            shutil.copyfileobj(file, self.wfile, 1 << 20)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the nodes' own logs tell it."""

    def _link(self, rank: int) -> None:
        self.close_connection = True
        self.send_response(200)
        self.end_headers()
        self.connection.settimeout(SILENCE_S)
        sending = threading.Lock()

        def write(message: dict[str, Any]) -> None:
            try:
                with sending:
                    self.connection.sendall((json.dumps(message) + "\n").encode())
            except OSError:  # its end is noticed by the reading side
                pass

        coordinator, how = self.server.coordinator, "its connection ended"
        try:
            for line in self.rfile:
                message = json.loads(line)
                coordinator.hear(rank, message)
                if message["t"] == "hello":
                    coordinator.join(rank, write)
        except TimeoutError:
            how = f"nothing was heard of it for {SILENCE_S:.0f} s"
        except (OSError, ValueError) as error:
            how = f"its connection broke ({error})"
        coordinator.leave(rank, write, how)

    def _rank(self) -> int | None:
        """The node that asks, or None after refusing it."""
        coordinator = self.server.coordinator
        rank = self.headers.get(RANK_HEADER, "")
        if not coordinator.authorised(self.headers.get(SECRET_HEADER, "")):
            self._refuse(403, "another stack's coordinator")
        elif not rank.isdigit() or int(rank) >= len(coordinator.gang.members):
            self._refuse(409, "no such machine in this cluster")
        else:
            return int(rank)
        return None

    def _answer(self, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self._head(200, len(body))
        self.wfile.write(body)

    def _refuse(self, code: int, why: str) -> None:
        self.close_connection = True
        self.send_response(code, why)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _head(self, code: int, size: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(size))
        self.end_headers()
