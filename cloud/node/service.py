"""The coordinator's HTTP port: requests in, calls of the coordinator out.

POST /linkRERUN                stays open: JSON lines both ways (link.py is the other end)
POST /claim/NAME               who makes a shared file: the first that asks
PUT, GET /shared/NAME          the source, locks
PUT /upload/KIND/PATH          logs, proof and results of a node
GET /status                    everything as JSON
"""

from __future__ import annotations

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from .gang import SILENCE_S
from .link import RANK_HEADER, SECRET_HEADER

if TYPE_CHECKING:
    from .coordinator import Coordinator


class Server(ThreadingHTTPServer):
    """One thread for each open connection; 254 links are 254 threads that sleep."""

    daemon_threads = True
    request_queue_size = 512  # 254 workers may come in the same second

    def __init__(self, address: tuple[str, int], coordinator: Coordinator) -> None:
        self.coordinator = coordinator
        super().__init__(address, Handler)


class Handler(BaseHTTPRequestHandler):
    """One request of a node."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """A link, or a claim."""
        rank = self._rank()
        if rank is None:
            return
        if self.path == self.server.coordinator.door:
            self._link(rank)
        elif self.path.startswith("/claim/"):
            self._answer({"yours": self.server.coordinator.claim(unquote(self.path[7:]), rank)})
        else:
            self._refuse(409, "this run takes no more machines now")

    def do_PUT(self) -> None:
        """A shared file or an upload."""
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
            self._refuse(507, str(error))
        else:
            self._answer({})

    def do_GET(self) -> None:
        """The status, or a shared file."""
        if self._rank() is None:
            return
        coordinator = self.server.coordinator
        path = coordinator.store.shared(unquote(self.path.partition("/shared/")[2]))
        if self.path == "/status":
            with coordinator.changed:
                self._answer({"members": [vars(member) for member in coordinator.gang.members]})
        elif path.is_file():
            self._head(200, path.stat().st_size)
            with path.open("rb") as file:
                shutil.copyfileobj(file, self.wfile, 1 << 20)
        else:
            self._refuse(404, "not published")

    def log_message(self, *_: Any) -> None:
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
