"""A few calls to OpenStack's APIs as the lab's admin, with the standard library, before any client is there."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from tests.openstack.lab import place
from tests.openstack.lab.connections import url

TIMEOUT_S = 60


class Refused(place.CannotRun):
    """An API said no, with its own words."""


class Admin:
    """The admin of the lab; a token is asked for at the first call."""

    def __init__(self) -> None:
        self._token = ""

    def get(self, service: str, path: str) -> Any:
        """GET; the answer's JSON."""
        return self.call("GET", service, path)

    def post(self, service: str, path: str, body: Any) -> Any:
        """POST; the answer's JSON."""
        return self.call("POST", service, path, body)

    def put(self, service: str, path: str, body: Any = None) -> Any:
        """PUT; bytes go as they are."""
        return self.call("PUT", service, path, body)

    def call(self, method: str, service: str, path: str, body: Any = None) -> Any:
        """One request; raises Refused with what the API answered."""
        if not self._token:
            self._token = login()
        headers = {"X-Auth-Token": self._token, "Content-Type": "application/json"}
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/octet-stream"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        return _ask(urllib.request.Request(url(service) + path, data=data, headers=headers, method=method))[0]


def login() -> str:
    """A token of the admin for the project admin."""
    domain = {"id": "default"}
    user = {"name": "admin", "domain": domain, "password": place.password()}
    identity = {"methods": ["password"], "password": {"user": user}}
    scope = {"project": {"name": "admin", "domain": domain}}
    body = json.dumps({"auth": {"identity": identity, "scope": scope}}).encode()
    headers = {"Content-Type": "application/json"}
    _, answered = _ask(
        urllib.request.Request(url("keystone") + "/v3/auth/tokens", data=body, headers=headers)
    )
    return str(answered["X-Subject-Token"])


def answers(address: str) -> bool:
    """Whether an API answers at all: its versions, or that a login is needed."""
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        with error:
            return error.code < 500
    except (OSError, ValueError):
        return False


def _ask(request: urllib.request.Request) -> tuple[Any, Any]:
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            text = answer.read()
            return (json.loads(text) if text else None), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(2000).decode(errors="replace")
        raise Refused(f"{request.method} {request.full_url}: {error.code} {said}") from error
    except OSError as error:
        raise Refused(f"{request.method} {request.full_url}: {error}") from error
