"""No test reaches the network or starts a process unless its marker says so."""

from __future__ import annotations

import ipaddress
import socket
import subprocess
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

MAY_START_PROCESSES = {"process", "rehearsal", "payload", "heat", "openstack"}
MAY_USE_THE_NETWORK = {"network", "rehearsal", "payload", "heat", "openstack"}


@pytest.fixture(autouse=True)
def _guard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse what the test's markers don't allow; numeric loopback addresses are always allowed."""
    marks = {mark.name for mark in request.node.iter_markers()}
    if not marks & MAY_USE_THE_NETWORK:
        monkeypatch.setattr(socket, "getaddrinfo", _only_loopback(socket.getaddrinfo))
    if not marks & MAY_START_PROCESSES:
        monkeypatch.setattr(subprocess, "Popen", _NoProcess)


class _NoProcess(subprocess.Popen):  # type: ignore[type-arg]
    def __init__(self, args: Any, *_: object, **__: object) -> None:
        _refuse(f"starts {args!r}", MAY_START_PROCESSES)

    def __del__(self) -> None:
        """Nothing was started."""


def _only_loopback(real: Callable[..., Any]) -> Callable[..., Any]:
    def getaddrinfo(host: object, *args: Any, **kwargs: Any) -> Any:
        if not _is_loopback(host):
            _refuse(f"looks up {host!r}", MAY_USE_THE_NETWORK)
        return real(host, *args, **kwargs)

    return getaddrinfo


def _is_loopback(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return text in {"None", "", "localhost"}


def _refuse(what: str, markers: set[str]) -> NoReturn:
    pytest.fail(f"this test {what}; if that is meant, mark it with one of: {', '.join(sorted(markers))}")
