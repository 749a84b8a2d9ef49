"""A node's side of its one connection to the master's coordinator.

JSON lines both ways over one HTTP request that stays open. The node sends hello, beat, stage, ready, seen,
exit, collected, bye; it hears welcome, beat, published, look, go, stop, final.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import shutil
import socket
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any, Callable, TypeVar

from .failure import MasterLost, Stopped
from .gang import SILENCE_S

SECRET_HEADER = "X-Hotrun-Secret"
RANK_HEADER = "X-Hotrun-Rank"
BEAT_S = 1.0
T = TypeVar("T")


class Refused(Exception):
    """The coordinator answered, and it is not ours: another run's, or another stack's."""

    def __init__(self, what: str, may_pass: bool) -> None:
        super().__init__(what)
        self.may_pass = may_pass  # it has no place for this machine yet


class Link:
    """An open connection; `close` or a lost master ends it."""

    def __init__(self, master: str, port: int, secret: str, hello: dict[str, Any], source: str) -> None:
        self._endpoint, self._door = (master, port), f"/link{hello.get('rerun', 0)}"
        self._headers = {SECRET_HEADER: secret, RANK_HEADER: str(hello["rank"])}
        self._changed = threading.Condition()
        self._published: dict[str, dict[str, Any]] = {}
        self._heard: dict[str, dict[str, Any]] = {}
        self._lost = ""
        self._closing = False
        self.attempt = 0
        bind = (source, 0) if source else None
        self._socket = socket.create_connection(self._endpoint, timeout=SILENCE_S, source_address=bind)
        self._stream = self._open()
        self._sending = threading.Lock()
        self.send("hello", **hello)
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()
        try:
            self.welcome = self.wait("welcome", time.monotonic() + SILENCE_S)
            self.attempt = self.welcome["attempt"]
        except (TimeoutError, MasterLost):
            self.close()
            raise

    def send(self, kind: str, **fields: Any) -> None:
        """Send one message; a broken connection is noticed by the listener."""
        attempt = {"attempt": self.attempt} if self.attempt else {}
        data = (json.dumps({"t": kind, **attempt, **fields}) + "\n").encode()
        try:
            with self._sending:
                self._socket.sendall(data)
        except OSError as error:
            self._lose(str(error))

    def wait(self, kind: str, deadline: float) -> dict[str, Any]:
        """The message of that kind, once heard. See `wait_for` for how it ends otherwise."""
        return self.wait_for(lambda: self.heard(kind), deadline, minds_stop=kind not in ("final", "welcome"))

    def published(self, name: str, deadline: float) -> dict[str, Any]:
        """What the coordinator said of the published file `name`, once it has it."""
        return self.wait_for(lambda: self._published.get(name), deadline)

    def wait_for(self, look: Callable[[], T | None], deadline: float, *, minds_stop: bool = True) -> T:
        """Wait until `look()` finds something.

        Raises Stopped when the run failed elsewhere, MasterLost, or TimeoutError at `deadline`.
        """
        with self._changed:
            while True:
                found = look()
                if found is not None:
                    return found
                self._raise_if_stopped(only_again=not minds_stop)
                if self._lost:
                    raise MasterLost(self._lost)
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self._changed.wait(min(left, 1.0))

    def heard(self, kind: str) -> dict[str, Any] | None:
        """The message of that kind, if it came in this attempt or a later one."""
        found = self._heard.get(kind)
        return found if found and found["attempt"] >= self.attempt else None

    def offered(self, name: str) -> dict[str, Any] | None:
        """What was last published under that name."""
        return self._published.get(name)

    def is_over(self) -> bool:
        """Whether the run failed elsewhere or the master is lost: work should end now."""
        return self.heard("stop") is not None or bool(self._lost)

    def raise_if_over(self) -> None:
        """Raise Stopped or MasterLost if `is_over`."""
        self._raise_if_stopped()
        if self._lost:
            raise MasterLost(self._lost)

    def claim(self, name: str) -> bool:
        """Whether this node is the one to make the shared file `name` (the first that asks is)."""
        status, body = self._request("POST", f"/claim/{urllib.parse.quote(name)}")
        return status == 200 and bool(json.loads(body)["yours"])

    def publish(self, name: str, path: Path, /, **facts: Any) -> None:
        """Hand a shared file to the coordinator; every node hears of it, with `facts`."""
        query = urllib.parse.urlencode({"facts": json.dumps(facts)})
        self._put(f"/shared/{urllib.parse.quote(name)}?{query}", path)

    def fetch(self, name: str, target: Path) -> None:
        """Copy a published file to `target`, whole or not at all."""
        connection = self._connection()
        try:
            connection.request("GET", f"/shared/{urllib.parse.quote(name)}", headers=self._headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise MasterLost(f"the master answered {answer.status} for {name}")
            partial = target.with_name(target.name + ".part")
            with partial.open("wb") as file:
                shutil.copyfileobj(answer, file, 1 << 20)
            if partial.stat().st_size != int(answer.headers["Content-Length"]):
                raise MasterLost(f"{name} ended early")
            partial.replace(target)
        except (OSError, http.client.HTTPException) as error:
            _raise_if_full(error)
            raise MasterLost(f"{name}: {error}") from error
        finally:
            connection.close()

    def upload(self, path: Path, kind: str, relative: str) -> None:
        """Send a file of this node to the master: kind is logs, proof or results."""
        self._put(f"/upload/{kind}/{urllib.parse.quote(relative)}", path)

    def close(self) -> None:
        """Say nothing more; the coordinator has heard bye."""
        self._closing = True
        with contextlib.suppress(
            OSError
        ):  # the listening thread holds the socket: closing alone ends nothing
            self._socket.shutdown(socket.SHUT_WR)
        self._socket.close()

    def _open(self) -> Any:
        headers = {"Host": "hotrun", "Content-Length": "0", **self._headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._socket.sendall(f"POST {self._door} HTTP/1.1\r\n{lines}\r\n".encode())
        stream = self._socket.makefile("rb")
        status = stream.readline().decode("latin-1").split(" ", 2)
        while stream.readline() not in (b"\r\n", b"\n", b""):
            pass
        if len(status) < 2 or status[1] != "200":
            stream.close()
            self._socket.close()
            why = " ".join(status[1:]).strip()
            raise Refused(
                f"the coordinator at {self._endpoint[0]} refused this machine: {why}", why.startswith("409")
            )
        return stream

    def _listen(self) -> None:
        try:
            with self._stream:
                for line in self._stream:
                    message = json.loads(line)
                    with self._changed:
                        if message["t"] == "published":
                            self._published[message["name"]] = message["facts"]
                        elif message["t"] != "beat":
                            self._heard[message["t"]] = message
                        self._changed.notify_all()
            self._lose("the connection ended")
        except (OSError, ValueError) as error:
            self._lose("nothing was heard of it for 10 s" if isinstance(error, TimeoutError) else str(error))

    def _beat(self) -> None:
        while not (self._lost or self._closing):
            time.sleep(BEAT_S)
            if not self._closing:
                self.send("beat")

    def _lose(self, why: str) -> None:
        if self._closing:
            return
        with self._changed:
            self._lost = self._lost or why
            self._changed.notify_all()

    def raise_if_again(self) -> None:
        """Raise Stopped if another attempt follows: what came after the training counts no more."""
        self._raise_if_stopped(only_again=True)

    def _raise_if_stopped(self, *, only_again: bool = False) -> None:
        stop = self.heard("stop")
        if stop and (stop.get("again") or not only_again):
            raise Stopped(stop["verdict"], again=stop.get("again", False))

    def _put(self, target: str, path: Path) -> None:
        with path.open("rb") as file:
            status, _ = self._request("PUT", target, file, path.stat().st_size)
        if status == 507:
            raise OSError(f"the master could not keep {target}")
        if status != 200:
            raise MasterLost(f"the master answered {status} for {target}")

    def _request(self, method: str, target: str, body: Any = None, size: int = 0) -> tuple[int, bytes]:
        connection = self._connection()
        try:
            headers = {**self._headers, "Content-Length": str(size)}
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise MasterLost(f"{target}: {error}") from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self._endpoint, timeout=30)


def _raise_if_full(error: Exception) -> None:
    """A full disk of this node is no loss of the master."""
    if getattr(error, "errno", None) == errno.ENOSPC:
        raise error
