"""The master's service: it knows every node, starts and stops them together, and takes what they bring.

It serves one port on the master's private address (service.py); every request carries the stack's secret.
"""

from __future__ import annotations

import hmac
import math
import random
import socket
import threading
import time
from typing import Any, Callable

from .checkpoints import CHECKPOINT
from .failure import problem
from .gang import Gang
from .link import BEAT_S
from .service import Server
from .store import Store

_TICK_S = 0.2


class Coordinator:
    """Serves one run; `on_gate(verdict or None)` is called once, when the gate is decided.

    `on_attempt()` is called whenever `gang.memory` has changed.
    """

    def __init__(
        self,
        *,
        address: str,
        port: int,
        secret: str,
        gang: Gang,
        store: Store,
        welcome: dict[str, Any],
        on_gate: Callable[[dict[str, Any] | None], None] | None,
        on_attempt: Callable[[], None] = lambda: None,
        ends_at: float = math.inf,
        rerun: int = 0,
    ) -> None:
        self.gang, self.store = gang, store
        self.over = threading.Event()
        self.changed = threading.Condition(threading.RLock())
        self._welcome, self._on_gate, self._on_attempt, self._ends_at = welcome, on_gate, on_attempt, ends_at
        self.door = f"/link{rerun}"  # where nodes of this very run open their links; empty: nowhere
        self.is_urgent = False  # another run waits
        self._secret = secret.encode()
        self._writers: dict[int, Callable[[dict[str, Any]], None]] = {}
        self._told: dict[str, dict[str, Any]] = {}
        self._published: dict[str, dict[str, Any]] = {}
        self._claims: dict[str, int] = {}
        self._server = Server((address, port), self)
        self._ended = threading.Event()
        self._gate: threading.Thread | None = None

    def start(self) -> None:
        """Serve, beat and watch the clock, each in a thread of its own."""
        for work in (self._server.serve_forever, self._tick):
            threading.Thread(target=work, daemon=True).start()

    def stop(self) -> None:
        """Serve nothing more."""
        self.door = ""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def tell(self, kind: str, **fields: Any) -> None:
        """Say something to every node, once; nodes that come later hear it too."""
        with self.changed:
            if kind in self._told:
                return
            self._told[kind] = {"t": kind, "attempt": self.gang.memory.attempt, **fields}
            self._write(self._told[kind])

    def wait_for_byes(self, timeout_s: float, late_s: float) -> list[str]:
        """Wait until every node said bye or is lost; the names of those that did neither.

        `late_s`: how long to stay for nodes that were never heard, so that they hear that the run is over.
        """
        began = time.monotonic()
        with self.changed:
            while True:
                passed_s = time.monotonic() - began
                left = [each for each in self.gang.members if not (each.said_bye or each.lost)]
                if all(passed_s >= (timeout_s if each.heard or self.is_urgent else late_s) for each in left):
                    return [each.name for each in left]
                self.changed.wait(_TICK_S)

    def resize(self, nnodes: int) -> None:
        """There are to be `nnodes` machines from now on."""
        with self.changed:
            self.gang.resize(nnodes, time.monotonic())

    def wait_for_leaving(self, timeout_s: float) -> None:
        """Wait until all other nodes have closed their links, to start anew."""
        with self.changed:
            self.changed.wait_for(lambda: not self._writers.keys() - {0}, timeout_s)

    def wait_for_gate(self, timeout_s: float) -> None:
        """Wait until the gate's decision was told, so that the result does not overtake it."""
        if self._gate is not None:
            self._gate.join(timeout_s)

    def authorised(self, secret: str) -> bool:
        """Whether a request carries the stack's secret."""
        return hmac.compare_digest(secret.encode(), self._secret)

    def join(self, rank: int, write: Callable[[dict[str, Any]], None]) -> None:
        """A node's link opened: tell it everything that was said before."""
        with self.changed:
            self._writers[rank] = write
            attempt = self.gang.memory.attempt
            for message in [
                {**self._welcome, "attempt": attempt}, *self._published.values(), *self._told.values()
            ]:  # fmt: skip
                write(message)
            if self.gang.phase in ("collect", "over") and "stop" not in self._told:
                write(
                    {"t": "stop", "attempt": attempt, "verdict": problem("run-over", "the ranks have ended")}
                )

    def leave(self, rank: int, write: Callable[[dict[str, Any]], None], how: str) -> None:
        """A node's link ended; an older link of a node that came back does not count."""
        with self.changed:
            if self._writers.get(rank) is write:
                del self._writers[rank]
                self.gang.lose(rank, time.monotonic(), how)
                self._advance()

    def hear(self, rank: int, message: dict[str, Any]) -> None:
        """Take one message of a node."""
        with self.changed:
            self.gang.report(rank, message, time.monotonic(), time.time())
            self._advance()

    def claim(self, name: str, rank: int) -> bool:
        """Whether node `rank` makes the shared file `name`."""
        with self.changed:
            return self._claims.setdefault(name, rank) == rank

    def publish(self, name: str, facts: dict[str, Any]) -> None:
        """A shared file is complete: tell everybody."""
        with self.changed:
            message = {"t": "published", "name": name, "facts": facts}
            self._published[name] = message
            if name == CHECKPOINT:
                self.gang.checkpoint(facts["number"])
                self._on_attempt()
            self._write(message)

    def waiting_for(self) -> str:
        """Who has not passed the gate, for a person; empty when nobody."""
        with self.changed:
            return self.gang.absent(time.monotonic(), 3)

    def _advance(self) -> None:
        """Tell the nodes what followed from the last report. Called with the lock held."""
        gang = self.gang
        if not self.door:
            self.changed.notify_all()
            return
        if gang.may_pass():
            self.tell("stop", verdict=gang.verdict, again=True)
            gang.begin_again(time.monotonic())
            if gang.memory.anew:
                self.door = ""
            self._told.clear()
            self._on_attempt()
        elif gang.verdict and "stop" not in self._told:
            self._decide_gate(gang.verdict)
            self.tell("stop", verdict=gang.verdict)
        elif gang.phase == "look":
            machines = [[each.rank, each.address, each.facts["port"]] for each in gang.members]
            self.tell("look", machines=machines)
        elif gang.phase == "train" and "go" not in self._told:
            self._on_attempt()
            self._decide_gate(None)
            self.tell("go", **self._go())
        if gang.phase in ("collect", "over"):
            self._told.pop("go", None)  # a node that comes now has nothing to train
        if gang.phase == "over":
            self.over.set()
        self.changed.notify_all()

    def _go(self) -> dict[str, Any]:
        members = self.gang.members
        return {
            "port": _free_port(), "addresses": [each.address for each in members], "resume": self.gang.resume,
            "has_gpu": all(member.facts.get("gpus") for member in members),  # else gloo would wait for nccl
            "left_s": self._ends_at - time.time(),
        }  # fmt: skip

    def _decide_gate(self, verdict: dict[str, Any] | None) -> None:
        if self._on_gate is not None:
            self._gate = threading.Thread(target=self._on_gate, args=(verdict,), daemon=True)
            self._gate.start()
            self._on_gate = None

    def _tick(self) -> None:
        last_beat = 0.0
        while not self._ended.wait(_TICK_S):
            with self.changed:
                self.gang.tick(time.monotonic())
                self._advance()
                if time.monotonic() - last_beat >= BEAT_S:
                    last_beat = time.monotonic()
                    self._write({"t": "beat"})

    def _write(self, message: dict[str, Any]) -> None:
        """Say it to every node that is there. Called with the lock held."""
        for write in list(self._writers.values()):
            write(message)


def _free_port() -> int:
    """One below those that connections are given: it is still free when rank 0 listens. 0: there is none."""
    for port in random.sample(range(20_000, 30_000), 99):
        try:
            socket.create_server(("", port)).close()
        except OSError:
            continue
        return port
    return 0
