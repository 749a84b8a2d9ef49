"""Ports for programs that listen seconds later, as they load torch first."""

from __future__ import annotations

import random
import socket

_BELOW_CONNECTIONS = range(
    20_000, 32_000
)  # the system gives its own from 32768 on to whoever connects meanwhile


def free_port() -> int:
    """One that nobody listens at, on any address."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """As many, each another one."""
    found = [port for port in random.sample(_BELOW_CONNECTIONS, count + 100) if _is_free(port)]
    return found[:count]


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("", port)).close()
    except OSError:
        return False
    return True
