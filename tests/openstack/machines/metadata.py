"""169.254.169.254 of one cluster: each request goes on to Nova's own metadata service, as Neutron's proxy does it.

Nova knows a machine by its id, its project, and a signature made with a secret that both share. What Heat changes
in a server's metadata is seen at the next request, but for Nova's own cache of 15 s.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import threading
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from tests.openstack.machines.namespaces import enter

if TYPE_CHECKING:
    import socket

    from tests.openstack.machines.place import Place

_ASK_S = 60.0  # Nova on a busy computer
_END_S = 5.0


@dataclass(frozen=True, slots=True)
class Asker:
    """The server behind an address."""

    server_id: str
    project_id: str


class Proxy:
    """Serves one listening socket until `close`; `known` is who asks from which address."""

    def __init__(self, listening: socket.socket, place: Place, cloud: int) -> None:
        self.known: dict[str, Asker] = {}
        self._server = _Server(listening, self, place, cloud)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_END_S)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, listening: socket.socket, proxy: Proxy, place: Place, cloud: int) -> None:
        self.proxy, self.place, self.cloud = proxy, place, cloud
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket, self.server_address = listening, listening.getsockname()

    def answer(self, path: str, address: str) -> tuple[int, str, bytes]:
        """Nova's status, kind and body for what this machine asks."""
        asker = self.proxy.known.get(address)
        if asker is None:
            return 404, "text/plain", b"no server has this address"
        enter(self.cloud)
        signature = hmac.new(self.place.secret.encode(), asker.server_id.encode(), hashlib.sha256)
        headers = {
            "X-Forwarded-For": address, "X-Instance-ID": asker.server_id, "X-Tenant-ID": asker.project_id,
            "X-Instance-ID-Signature": signature.hexdigest(),
        }  # fmt: skip
        nova = http.client.HTTPConnection(self.place.api, self.place.metadata_port, timeout=_ASK_S)
        try:
            nova.request("GET", path, headers=headers)
            told = nova.getresponse()
            return told.status, told.headers.get("Content-Type", "text/plain"), told.read()
        except OSError as error:
            return 502, "text/plain", str(error).encode()
        finally:
            nova.close()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 30

    def do_GET(self) -> None:
        status, kind, body = self.server.answer(self.path, self.client_address[0])
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        with suppress(OSError):  # the machine was ended meanwhile
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_told: object) -> None:
        """Nobody reads it."""
