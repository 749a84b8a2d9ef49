"""Ports of 127.0.0.1 on this computer: which are free, and whether what is behind one answers."""

from __future__ import annotations

import http.client
import json
import socket
import time

from cloud.errors import Problem, RequestError

HOST = "127.0.0.1"
LOWEST = 1024  # below it only root may listen
_ASK_S = 10.0


def choose(wanted: int, given: int | None) -> int:
    """Port to listen at: `given`, else `wanted` where it is free, else a free one. Raises RequestError."""
    if given is not None:
        if not is_free(given):
            what = f"--port {given}: this computer listens at that port already, or does not let you"
            raise RequestError(Problem(code="port-taken", what=what, fix="leave it out, or name another one"))
        return given
    if wanted >= LOWEST and is_free(wanted):
        return wanted
    with socket.socket() as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether this user could listen there now."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((HOST, port))
        except OSError:
            return False
    return True


def shows(port: int, deadline_s: float) -> str:
    """The version of the TensorBoard that answers there, empty when none does in time."""
    until = time.monotonic() + deadline_s
    while True:
        connection = http.client.HTTPConnection(HOST, port, timeout=_ASK_S)  # never by a proxy
        try:
            connection.request("GET", "/data/environment")
            return str(json.loads(connection.getresponse().read())["version"])
        except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
            if time.monotonic() > until:
                return ""
            time.sleep(0.2)
        finally:
            connection.close()


def closes_at_once(port: int, patience_s: float = 3.0) -> bool:
    """Whether a connection there ends without a word, as one does that sshd does not forward."""
    try:
        with socket.create_connection((HOST, port), timeout=patience_s) as one:
            return one.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True
