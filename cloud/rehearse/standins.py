"""The cloud's services that a node asks: metadata, Keystone's tokens, Heat's signals. One small HTTP server.

    /openstack/latest/meta_data.json   /latest/meta-data/local-ipv4   …/user_data
    /v3/auth/tokens                    /v1/PROJECT/stacks/…/resources/gate_handle/signal

At level namespace the metadata service is at its own address and knows a machine by the address that asks; at
level process each has a path of its own, /node/NAME/openstack/… The answers follow the real services' rules;
what the node sent is judged in `signals`.
"""

from __future__ import annotations

import json
import secrets
import threading
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from cloud.rehearse.signals import MAX_BODY_BYTES, WaitCondition

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

METADATA = "169.254.169.254"  # the link-local address of every OpenStack's metadata service
_UNAUTHORIZED = {
    "error": {
        "code": 401,
        "message": "The request you have made requires authentication.",
        "title": "Unauthorized",
    }
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What the metadata service knows of one machine."""

    name: str
    address: str
    metadata: dict[str, str]
    user_data: bytes
    uuid: str

    def documents(self, stack: str, project: str) -> dict[str, bytes]:
        """Path below the machine's base -> body."""
        meta = {
            "uuid": self.uuid, "name": f"{stack}-{self.name}", "hostname": f"{stack}-{self.name}.novalocal",
            "meta": self.metadata, "project_id": project, "availability_zone": "nova", "launch_index": 0,
        }  # fmt: skip
        return {
            "/openstack/latest/meta_data.json": json.dumps(meta).encode(),
            "/openstack/latest/user_data": self.user_data,
            "/latest/user-data": self.user_data,
            "/latest/meta-data/local-ipv4": self.address.encode(),
            "/latest/meta-data/instance-id": self.uuid.encode(),
            "/latest/meta-data/hostname": f"{stack}-{self.name}.novalocal".encode(),
        }


def _ignore(_recorded: bool, _body: Any) -> None:
    """Nobody follows the signals."""


class StandIns:
    """The services of one rehearsal; `serve` adds machines, `close` ends them.

    `on_signal` is called from the server's threads with (recorded, body). `services` and `metadata` are
    listening sockets; without them one is opened at `address` for all.
    """

    def __init__(
        self, address: str, stack: str, on_signal: Callable[[bool, Any], None] = _ignore,
        services: socket.socket | None = None, metadata: socket.socket | None = None,
    ) -> None:  # fmt: skip
        self.condition = WaitCondition(count=1)
        self.stack, self.project, self.on_signal = stack, uuid.uuid4().hex, on_signal
        self._user_id, self._password = uuid.uuid4().hex, secrets.token_hex(16)
        self._tokens = {secrets.token_hex(16)}
        self._static_token = next(iter(self._tokens))
        self._documents: dict[str, bytes] = {}
        self._names: dict[str, str] = {}
        self._lock = threading.Lock()
        own = _Server(self, address, services)
        self._servers = [own] if metadata is None else [own, _Server(self, address, metadata)]
        self._url = f"http://{address}:{own.server_address[1]}"
        self._signal_path = f"/v1/{self.project}/stacks/{stack}/{uuid.uuid4()}/resources/gate_handle/signal"
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()

    def serve(self, server: Server) -> None:
        """Answer metadata requests for this machine from now on."""
        self._names[server.address] = server.name
        for path, body in server.documents(self.stack, self.project).items():
            self._documents[f"/node/{server.name}{path}"] = body

    def change(self, name: str, **metadata: str) -> None:
        """Change a machine's metadata, as Heat does when a stack is updated."""
        path = f"/node/{name}/openstack/latest/meta_data.json"
        told = json.loads(self._documents[path])
        told["meta"].update(metadata)
        self._documents[path] = json.dumps(told).encode()

    def metadata_url(self, name: str) -> str:
        """Where this machine asks: the real address, or the base that stands for it."""
        return f"http://{METADATA}" if len(self._servers) > 1 else f"{self._url}/node/{name}"

    def signal_attributes(self, transport: str) -> dict[str, str | None]:
        """The wait condition handle's attributes, as Heat gives them for this signal transport."""
        url = self._url + self._signal_path
        if transport == "TOKEN_SIGNAL":
            return {"signal": "null", "endpoint": url, "token": self._static_token}
        if transport == "NO_SIGNAL":
            return {"signal": "{}", "endpoint": None, "token": None}
        signal = {
            "auth_url": f"{self._url}/v3", "username": f"{self.stack}-gate_handle", "user_id": self._user_id,
            "password": self._password, "project_id": self.project, "domain_id": "default",
            "region_name": "RegionOne", "alarm_url": url,
        }  # fmt: skip
        return {"signal": json.dumps(signal), "endpoint": None, "token": None}

    def close(self) -> None:
        """Stop listening."""
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def document(self, path: str, asker: str) -> bytes | None:
        """The body at this path for the machine with the address `asker`, or None."""
        own = f"/node/{self._names.get(asker, '')}{path}"
        return self._documents.get(own if len(self._servers) > 1 else path)

    def token_for(self, body: Any) -> str | None:
        """A new token for Keystone's password method, or None when the credentials are wrong."""
        try:
            user = body["auth"]["identity"]["password"]["user"]
            methods = body["auth"]["identity"]["methods"]
            project = body["auth"].get("scope", {}).get("project", {}).get("id", self.project)
        except (KeyError, TypeError, AttributeError):
            return None
        known = user.get("id") == self._user_id or user.get("name") == f"{self.stack}-gate_handle"
        if "password" not in methods or not known or user.get("password") != self._password:
            return None
        if project != self.project:
            return None
        token = secrets.token_hex(16)
        with self._lock:
            self._tokens.add(token)
        return token

    def signal(self, path: str, token: str, raw: bytes) -> tuple[int, Any]:
        """Heat's answer (status, JSON body) to a POST: 401, 404, 400, or 200 with null."""
        with self._lock:
            if token not in self._tokens:
                return 401, _UNAUTHORIZED
            if path != self._signal_path:
                return 404, {"code": 404, "title": "Not Found"}
            try:
                body = json.loads(raw) if raw.strip() else None
            except ValueError:
                return 400, {"code": 400, "title": "Bad Request", "explanation": "JSON body is malformed"}
            recorded = self.condition.signal(body)
        self.on_signal(recorded, body)
        return 200, None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512  # all machines of the largest rehearsal at once

    def __init__(self, stand_ins: StandIns, address: str, listening: socket.socket | None) -> None:
        self.stand_ins = stand_ins
        super().__init__((address, 0), _Handler, bind_and_activate=listening is None)
        if listening is not None:
            self.socket.close()
            self.socket, self.server_address = listening, listening.getsockname()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 30

    def do_GET(self) -> None:
        document = self.server.stand_ins.document(self.path.rstrip("/"), self.client_address[0])
        if document is None:
            self._answer(404, b"", "text/plain")
        else:
            self._answer(200, document, "application/json" if self.path.endswith(".json") else "text/plain")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        if length > MAX_BODY_BYTES:
            explanation = (
                f"Request limit exceeded: JSON body size ({length} bytes) exceeds maximum allowed size "
                f"({MAX_BODY_BYTES} bytes)."
            )
            self._json(400, {"code": 400, "title": "Bad Request", "explanation": explanation})
        elif self.path == "/v3/auth/tokens":
            self._issue_token(raw)
        else:
            token = self.headers.get("X-Auth-Token", "")
            self._json(*self.server.stand_ins.signal(self.path, token, raw))

    def _issue_token(self, raw: bytes) -> None:
        try:
            body = json.loads(raw)
        except ValueError:
            return self._json(400, {"error": {"code": 400, "title": "Bad Request"}})
        token = self.server.stand_ins.token_for(body)
        if token is None:
            return self._json(401, _UNAUTHORIZED)
        self._json(201, {"token": {"methods": ["password"]}}, {"X-Subject-Token": token})
        return None

    def _json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self._answer(status, json.dumps(body).encode(), "application/json", headers or {})

    def _answer(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_told: object) -> None:
        """Keep the console for the machines."""
