"""What all nodes are doing, and what follows from it: reports in, one verdict out. Pure: time is a parameter.

    gather ──all ready and alike──► train ──every rank ended with 0──► collect ──all collected──► over
       └───────── first failure of a node's own, or a node lost ──────────► collect ──► over

The blame: a node's own failure decides at once. A failure that only says that a peer went away waits
`PEER_WAIT_S` for the peer's own, because survivors report first and the culprit a little later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .console import node_name
from .failure import problem

SILENCE_S = 10.0  # heartbeats come every second
PEER_WAIT_S = 12.0  # longer than SILENCE_S: a silent culprit is named before its victims
COLLECT_S = 900.0  # for logs and results to arrive after the end


@dataclass
class Member:
    """One node as the coordinator knows it."""

    rank: int
    address: str = ""
    stage: str = "boot"
    stages: dict[str, float] = field(default_factory=dict)
    heard: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    exited: bool = False
    collected: bool = False
    said_bye: bool = False
    lost: bool = False

    @property
    def name(self) -> str:
        """`master` or `worker-<rank>`."""
        return node_name(self.rank)

    @property
    def is_here(self) -> bool:
        """Whether it said hello and was not lost since."""
        return self.heard > 0 and not self.lost

    def last_heard(self, now: float) -> str:
        """`worker-2 (last heard in environment, 40 s ago)`."""
        when = f"last heard in {self.stage}, {now - self.heard:.0f} s ago" if self.heard else "never heard"
        return f"{self.name} ({when})"


class Gang:
    """The state of one attempt with `nnodes` nodes; `gather_until` is the deadline of the gate."""

    def __init__(self, nnodes: int, gather_until: float) -> None:
        self.members = [Member(rank) for rank in range(nnodes)]
        self.phase = "gather"
        self.verdict: dict[str, Any] | None = None
        self._gather_until = gather_until
        self._peer_failure: tuple[float, dict[str, Any]] | None = None
        self._collect_until = 0.0

    def report(self, rank: int, message: dict[str, Any], now: float) -> None:
        """Take one message of a node: hello, beat, stage, ready, exit, collected or bye."""
        member = self.members[rank]
        member.heard, member.lost = now, False
        kind = message["t"]
        if kind == "hello":
            member.address = message["address"]
        elif kind == "stage":
            self._stage(member, message, now)
        elif kind == "ready":
            member.facts = message["facts"]
            self._judge_gate(now)
        elif kind == "exit":
            member.exited = True
            if self.phase == "train" and all(each.exited for each in self.members):
                self._collect(now)
        elif kind == "collected":
            member.collected = True
        elif kind == "bye":
            member.said_bye = True

    def lose(self, rank: int, now: float, how: str) -> None:
        """A node's connection ended, or it fell silent."""
        member = self.members[rank]
        if member.said_bye or member.lost:
            return
        member.lost = True
        if self.phase in ("gather", "train") or (self.phase == "collect" and not member.collected):
            what = f"{member.name} was lost in {member.stage}: {how}"
            fix = "look at that machine's console; where it is still up, the log is in /var/log/hotrun"
            self._fail(member, problem("node-lost", what, fix=fix, stage=member.stage), now)

    def tick(self, now: float) -> None:
        """Let time pass: silence, the wait for a culprit, deadlines."""
        for member in self.members:
            if member.is_here and now - member.heard > SILENCE_S:
                self.lose(member.rank, now, f"nothing was heard of it for {SILENCE_S:.0f} s")
        if self._peer_failure and now - self._peer_failure[0] > PEER_WAIT_S:
            self._decide(self._peer_failure[1], now)
        if self.phase == "gather" and now > self._gather_until:
            self._miss(now)
        if self.phase == "collect":
            waiting = [member for member in self.members if member.is_here and not member.collected]
            if not waiting or now > self._collect_until:
                self.phase = "over"

    def absent(self, now: float, most: int) -> str:
        """Who has not come to the gate, `most` of them by name: `worker-2 (never heard) and 4 more`."""
        names = [member.last_heard(now) for member in self.members if not member.facts]
        return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

    def _stage(self, member: Member, message: dict[str, Any], now: float) -> None:
        member.stage = message["stage"]
        if message["state"] != "begin":
            member.stages[member.stage] = message["s"]
        if message["state"] == "failed":
            self._fail(member, {**message["problem"], "stage": member.stage}, now)

    def _fail(self, member: Member, found: dict[str, Any], now: float) -> None:
        found = {**found, "node": member.name, "stage": found.get("stage") or member.stage}
        if self.verdict:
            return
        if found.get("of_peer"):
            self._peer_failure = self._peer_failure or (now, found)
        else:
            self._decide(found, now)

    def _decide(self, found: dict[str, Any], now: float) -> None:
        self._peer_failure = None
        self.verdict = self.verdict or found
        if self.phase in ("gather", "train"):
            self._collect(now)

    def _collect(self, now: float) -> None:
        self.phase = "collect"
        self._collect_until = now + COLLECT_S

    def _judge_gate(self, now: float) -> None:
        if self.phase != "gather" or not all(member.facts for member in self.members):
            return
        difference = gate_difference([member.facts for member in self.members])
        if difference:
            rank, found = difference
            self._fail(self.members[rank], {**found, "stage": "rendezvous"}, now)
        else:
            self.phase = "train"

    def _miss(self, now: float) -> None:
        missing = next(member for member in self.members if not member.facts)
        found = problem(
            "nodes-missing",
            f"the deadline passed while waiting for {self.absent(now, 5)}",
            fix="look at its console: it did not start, or can't reach the master",
            stage="rendezvous",
        )
        self._fail(missing, found, now)


_ALIKE = {
    "ranks": ("ranks-differ", "would run another number of ranks"),
    "commit": ("commit-differs", "trains another commit"),
    "python": ("python-differs", "has another Python"),
    "torch": ("torch-differs", "has another torch"),
}


def gate_difference(facts: list[dict[str, Any]]) -> tuple[int, dict[str, Any]] | None:
    """The first node whose ranks, commit, Python or torch differ from the master's, or None.

    A local version label of torch (`+cpu`) is no difference: nodes with and without a GPU may train together.
    """
    for key, (code, sentence) in _ALIKE.items():
        expected = str(facts[0].get(key, "")).partition("+")[0]
        for rank, each in enumerate(facts):
            actual = str(each.get(key, "")).partition("+")[0]
            if actual != expected:
                what = f"{node_name(rank)} {sentence}: {actual or 'none'} instead of {expected or 'none'}"
                return rank, problem(code, what, fix="start all machines from the same image and template")
    return None
