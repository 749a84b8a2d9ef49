"""The master's two signals, played: for stacks of so many machines that real programs are too much for a few cores.

Nothing trains here. Heat, Nova and Neutron are real, and so are the credentials, the transport and the code that
signals (cloud/node/signals.py); what is said is made up: every machine passed the gate, then trained as one.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cloud.node import job as jobs
from cloud.node import signals
from cloud.node.console import node_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.openstack.projects import Project

_END_S = 60.0
_LOOK_S = 3.0


class Played:
    """A master that only speaks; `said` are the seconds at which it did, by signal, counted from the start."""

    def __init__(self, project: Project, stack: str, *, training_s: float, deadline_s: float) -> None:
        self._project, self._stack, self._training_s = project, stack, training_s
        self._began = time.monotonic()
        self._deadline = self._began + deadline_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._play, name="played")
        self._thread.start()
        self.said: dict[str, float] = {}
        self.failure: Exception | None = None

    def close(self) -> None:
        """Stop speaking; raise what went wrong."""
        self._ended.set()
        self._thread.join(_END_S)
        if self.failure is not None:
            raise self.failure

    def _play(self) -> None:
        try:
            servers = self._all_active()
            if servers is None:
                return
            master = next(server["id"] for server in servers if server["metadata"]["hotrun_rank"] == "0")
            self.said["active"] = time.monotonic() - self._began
            the_job = jobs.read(json.dumps(self._project.job(master)))
            machines = _machines(servers)
            gate = {
                "state": "running",
                "server": master,
                "run": "played",
                "problems": [],
                "machines": machines,
            }
            self._say(the_job, "gate", gate)
            if not self._ended.wait(self._training_s):
                self._say(the_job, "result", _document(master, machines))
        except Exception as error:  # noqa: BLE001 - raised at the end
            self.failure = error

    def _all_active(self) -> list[dict[str, Any]] | None:
        """The stack's servers once all are there and active."""
        path = f"/servers/detail?all_tenants=1&project_id={self._project.id}&limit=1000"
        while not self._ended.wait(_LOOK_S):
            answer = self._project.admin.session.get(
                path, endpoint_filter={"service_type": "compute"}, microversion="2.1"
            )
            named = f"{self._stack}-"
            servers = [each for each in answer.json()["servers"] if each["name"].startswith(named)]
            active = [each for each in servers if each["status"] == "ACTIVE"]
            if active and len(active) == int(active[0]["metadata"]["hotrun_workers"]) + 1:
                return active
            if time.monotonic() > self._deadline:
                raise TimeoutError(f"{len(active)} of {len(servers)} machines are active")
        return None

    def _say(self, the_job: jobs.Job, name: str, data: dict[str, Any]) -> None:
        notes: list[str] = []
        if not signals.send(
            the_job, name, ok=True, reason=f"master: played {name}", data=data, note=notes.append
        ):
            raise RuntimeError("; ".join(notes))
        self.said[name] = time.monotonic() - self._began


@contextmanager
def played(
    project: Project, stack: str, *, training_s: float = 0.0, deadline_s: float = 900.0
) -> Iterator[Played]:
    """Let the master of `stack` speak while the block runs: the gate once all machines are active, then a result.

    Raises TimeoutError, at the end of the block, when they are not active within `deadline_s`.
    """
    playing = Played(project, stack, training_s=training_s, deadline_s=deadline_s)
    try:
        yield playing
    finally:
        playing.close()


def _machines(servers: list[dict[str, Any]]) -> list[list[str]]:
    """Name, address and no host key of each, by rank: there is no sshd behind a played machine."""
    by_rank = sorted(servers, key=lambda server: int(server["metadata"]["hotrun_rank"]))
    addresses = [next(iter(server["addresses"].values()))[0]["addr"] for server in by_rank]
    return [[node_name(rank), address, ""] for rank, address in enumerate(addresses)]


def _document(master: str, machines: list[list[str]]) -> dict[str, Any]:
    """The status document of a run that trained as one (cloud/node/stages/collect.py)."""
    size = len(machines)
    nodes = [
        {"name": name, "rank": rank, "address": address, "state": "done", "stages": {}}
        for rank, (name, address, _) in enumerate(machines)
    ]
    return {
        "schema": 1, "run": "played", "attempt": 1, "recoveries": [], "state": "done", "server": master,
        "commit": "", "engine": "torch", "gradient_bytes": 0, "nodes": nodes, "result": {"played": True},
        "world_size": {"expected": size, "proven": size, "backend": "gloo" if size > 1 else ""},
        "problems": [],
    }  # fmt: skip
