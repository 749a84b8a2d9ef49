"""An API behind a proxy that stumbles as real ones do: answers 5xx, breaks off, or loses an answer that was given."""

from __future__ import annotations

import contextlib
import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import openstack

from cloud.stack.sdk import Sdk
from cloud.stack.sdk.patience import Patience

if TYPE_CHECKING:
    from openstack.connection import Connection

    from tests.openstack.projects import Project


class Stumbling:
    """A proxy on this machine's loopback for one endpoint, as long as the `with` lasts."""

    def __init__(self, endpoint: str) -> None:
        self.target = urlsplit(endpoint)
        self.next_statuses: list[int] = []
        """What the next requests get instead of an answer; 0 breaks the connection off."""
        self.loses_answers = 0
        """So many POST requests are done, and nobody hears of it."""
        self.seen: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def endpoint(self) -> str:
        """Where to ask instead."""
        return f"http://127.0.0.1:{self._server.server_port}{self.target.path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stumbling = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                stumbling.seen.append(self.command)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if stumbling.next_statuses:
                    self._stumble(stumbling.next_statuses.pop(0))
                    return
                status, headers, content = stumbling.forward(
                    self.command, self.path, dict(self.headers), body
                )
                if stumbling.loses_answers and self.command == "POST":
                    stumbling.loses_answers -= 1
                    self._stumble(0)
                    return
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def _stumble(self, status: int) -> None:
                self.close_connection = True
                if status:
                    self.send_response(status)
                    self.send_header("Content-Type", "text/html")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                else:
                    with contextlib.suppress(OSError):
                        self.connection.shutdown(2)

            do_GET = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Ask the real API."""
        connection = http.client.HTTPConnection(
            self.target.hostname or "", self.target.port or 80, timeout=60
        )
        try:
            connection.request(method, path, body or None, {**headers, "Host": self.target.netloc})
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


def sdk_through(
    project: Project, api: Stumbling, said: list[str], limit_s: float = 60.0, service: str = "orchestration"
) -> Sdk:
    """The project's cloud whose Heat, or other service, is behind the proxy."""
    connection = with_password(project, **{f"{service}_endpoint_override": api.endpoint})
    return Sdk(connection, Patience(note=said.append, limit_s=limit_s))


def with_password(project: Project, **more: str) -> Connection:
    """A connection of its own, as the project's user."""
    return openstack.connect(**_login(project), **more)


def with_credential(project: Project, identifier: str, secret: str) -> Connection:
    """A connection of an application credential."""
    url, region = project.environ["OS_AUTH_URL"], project.environ["OS_REGION_NAME"]
    auth = {"auth_url": url, "application_credential_id": identifier, "application_credential_secret": secret}
    return openstack.connect(
        load_envvars=False,
        load_yaml_config=False,
        auth_type="v3applicationcredential",
        auth=auth,
        region_name=region,
    )


def _login(project: Project) -> dict[str, Any]:
    region, words = project.login()
    return {"load_envvars": False, "load_yaml_config": False, "region_name": region, "auth": words}
