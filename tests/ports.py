"""Ports for programs that listen seconds later, as they load torch first."""

from __future__ import annotations

import itertools
import random
import socket

# From 32768 on the system gives ports to whoever connects meanwhile.
_BELOW_CONNECTIONS = range(20_000, 32_000)


def free_port() -> int:
    """One that nobody listens at, on any address."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """As many, each another one."""
    tried = random.sample(_BELOW_CONNECTIONS, count + 100)
    return list(itertools.islice(filter(is_free, tried), count))


def is_free(port: int) -> bool:
    """Whether nobody listens there, on any address. It does not listen itself: somebody may be about to."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("", port))
        except OSError:
            return False
    return True
