"""What all nodes are doing, and what follows from it: reports in, one verdict out. Pure: time is a parameter.

    gather ─all ready, alike─► look ─all see each other─► train ─all ranks ended with 0─► collect ─► over
       ▲                                                    │
       └─── a failure that may pass, restarts are left ─────┤
                    any other failure ──────────────────────┴──► collect ──► over

The blame: a node's own failure decides at once. A failure that only says that a peer went away waits
`PEER_WAIT_S` for the peer's own, because survivors report first and the culprit a little later.
"""

from __future__ import annotations

from typing import Any

from . import gate
from .console import node_rank
from .failure import problem
from .member import RESIZED, Member, Memory, newest_held

SILENCE_S = 10.0  # heartbeats come every second
PEER_WAIT_S = 12.0  # longer than SILENCE_S: a silent culprit is named before its victims
COLLECT_S = 900.0  # for logs and results to arrive after the end
LOOK_S = 60.0  # for machines to try each other
RESIZE_S = 300.0  # for a checkpoint before the cluster changes its size


class Gang:
    """The state of a run with `nnodes` nodes; `gather_until` is the deadline of the gate.

    `restarts`: how often all begin again without a newer checkpoint; `rejoin_s`: how long a node is awaited.
    """

    def __init__(
        self, nnodes: int, gather_until: float, *, restarts: int = 0, rejoin_s: float = 600.0,
        memory: Memory | None = None,
    ) -> None:  # fmt: skip
        self.members = [Member(rank) for rank in range(nnodes)]
        self.phase = "gather"
        self.verdict: dict[str, Any] | None = None
        self.memory = memory or Memory()
        self.resume: dict[str, Any] | None = None
        self._restarts, self._rejoin_s = restarts, rejoin_s
        self._until = gather_until
        self._peer_failure: tuple[float, dict[str, Any]] | None = None
        self._resize: tuple[int, float, int] | None = None  # machines, since when, checkpoint then

    @property
    def may_recover(self) -> bool:
        """Whether a lost node is waited for."""
        return self.memory.used < self._restarts

    def report(self, rank: int, message: dict[str, Any], now: float, clock: float = 0.0) -> None:
        """Take one message of a node: hello, beat, stage, ready, seen, exit, collected or bye.

        What was said in an earlier attempt only shows that the node is alive. `clock`: seconds since 1970.
        """
        member = self.members[rank]
        member.heard, member.lost = now, 0.0
        kind = message["t"]
        if kind == "hello":
            self._hello(member, message, now)
        elif kind == "collected":  # a node that goes on says neither of these, whatever it has heard
            member.collected, member.left = True, message.get("left", "")
        elif kind == "bye":
            member.said_bye = True
        if message.get("attempt", self.memory.attempt) != self.memory.attempt:
            return
        if kind == "stage":
            self._stage(member, message, now)
        elif kind == "ready":
            member.facts, member.held, member.arrived = message["facts"], message.get("held", []), clock
            self._judge_gate(now)
        elif kind == "seen":
            member.unreachable = message["unreachable"]
            self._judge_ports(now)
        elif kind == "exit":
            member.exited = True
            if self.phase == "train" and all(each.exited for each in self.members):
                self._collect(now)

    def lose(self, rank: int, now: float, how: str) -> None:
        """A node's connection ended, or it fell silent."""
        member = self.members[rank]
        if member.said_bye or member.lost:
            return
        member.lost, member.lost_how = now, how
        if self._resize and rank >= self._resize[0] and self.phase == "train":
            self._resize = (self._resize[0], -RESIZE_S, 0)  # it goes: no checkpoint can come any more
            return
        if self.phase == "gather" and self._restarts:  # `tick` has its deadline
            member.facts = {}  # it says anew what it has
        elif self.phase != "collect" or not member.collected:
            self._fail(member, member.loss(), now)

    def tick(self, now: float) -> None:
        """Let time pass: silence, the wait for a culprit, deadlines."""
        for member in self.members:
            if member.is_here and now - member.heard > SILENCE_S:
                self.lose(member.rank, now, f"nothing was heard of it for {SILENCE_S:.0f} s")
            if self.phase == "gather" and member.lost and now - member.lost > self._rejoin_s:
                found = member.loss()
                self._fail(
                    member, {**found, "what": f"{found['what']}; it did not come back"}, now, final=True
                )
        self._judge_size(now)
        if self._peer_failure and now - self._peer_failure[0] > PEER_WAIT_S:
            self._decide(self._peer_failure[1], now)
        if self.phase in ("gather", "look") and now > self._until:
            self._miss(now)
        if self.phase == "collect":
            waiting = [member for member in self.members if member.is_here and not member.collected]
            if not waiting or now > self._until:
                self.phase = "over"

    def begin_again(self, now: float) -> None:
        """After a verdict that `may_pass`: the next attempt gathers."""
        assert self.verdict is not None, "nothing has failed"
        self.memory.fail(self.verdict)
        for member in self.members:
            member.facts, member.unreachable, member.exited, member.stages = {}, None, False, {}
            member.collected = False
        self.verdict, self.phase, self._until = None, "gather", now + self._rejoin_s

    def resize(self, nnodes: int, now: float) -> None:
        """There are to be `nnodes` machines: after the next checkpoint all start anew."""
        if nnodes == len(self.members):
            self._resize = None
        elif not self._resize or nnodes != self._resize[0]:
            self._resize = (nnodes, now, self.memory.newest)

    def end(self, verdict: dict[str, Any], now: float) -> None:
        """Fail the run before it begins."""
        self._fail(self.members[0], verdict, now, final=True)

    def may_pass(self) -> bool:
        """Whether the verdict is one after which all begin again."""
        return bool(self.verdict and self.verdict.get("again"))

    def checkpoint(self, number: int) -> None:
        """A newer complete checkpoint was handed on: restarts are counted anew."""
        if number > self.memory.newest:
            self.memory.newest, self.memory.used = number, 0

    def absent(self, now: float, most: int) -> str:
        """Who has not come to the gate, `most` of them by name: `worker-2 (never heard) and 4 more`."""
        names = [member.last_heard(now) for member in self.members if not member.facts]
        return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

    def _hello(self, member: Member, message: dict[str, Any], now: float) -> None:
        member.address, member.host_key = message["address"], message.get("host_key", "")
        if self.phase == "gather":
            member.facts = {}
        elif self.phase in ("look", "train") and member.facts:
            self._fail(member, member.loss("its node program started again"), now)

    def _stage(self, member: Member, message: dict[str, Any], now: float) -> None:
        member.stage = message["stage"]
        if message["state"] != "begin":
            member.stages[member.stage] = message["s"]
        if message["state"] == "failed":
            self._fail(member, {**message["problem"], "stage": member.stage}, now)

    def _fail(self, member: Member, found: dict[str, Any], now: float, *, final: bool = False) -> None:
        found = {**found, "node": member.name, "stage": found.get("stage") or member.stage}
        if self.verdict:
            return
        if found.get("of_peer"):
            self._peer_failure = self._peer_failure or (now, found)
        else:
            self._decide(found, now, final=final)

    def _decide(self, found: dict[str, Any], now: float, *, final: bool = False) -> None:
        self._peer_failure = None
        if self.verdict:
            return
        error = found.get("error", "")
        if error and error == self.memory.error:
            found = {**found, "what": f"{found['what']} (twice the same: it is not tried again)"}
        elif (
            not final and self.phase in ("look", "train") and found["code"] in _MAY_PASS and self.may_recover
        ):
            found = {**found, "again": True}
        self.verdict = found
        if self.phase in ("gather", "look", "train"):
            self._collect(now)

    def _judge_size(self, now: float) -> None:
        if not self._resize or self.verdict or self.phase not in ("gather", "look", "train"):
            return
        nnodes, since, newest = self._resize
        if self.phase == "train" and self.memory.newest <= newest and now - since < RESIZE_S:
            return
        lost = self.memory.recoveries[-1:]
        if self.phase == "gather" and lost and lost[0]["code"] == "node-lost":
            self.memory.used -= node_rank(lost[0]["node"]) >= nnodes  # taken away, not lost: it costs nothing
        what = f"{nnodes - 1} workers instead of {len(self.members) - 1}"
        self._peer_failure = self._resize = None
        self.verdict = {**problem(RESIZED, what), "node": "master", "stage": "train", "again": True}

    def _collect(self, now: float) -> None:
        self.phase, self._until = "collect", now + COLLECT_S

    def _judge_gate(self, now: float) -> None:
        if self.phase != "gather" or not all(member.facts for member in self.members):
            return
        different = gate.difference(
            [member.facts for member in self.members], [member.arrived for member in self.members]
        )
        if different:
            self._fail(self.members[different[0]], {**different[1], "stage": "rendezvous"}, now)
        elif len(self.members) == 1:
            self._go()
        else:
            self.phase, self._until = "look", now + LOOK_S

    def _judge_ports(self, now: float) -> None:
        if self.phase != "look" or any(member.unreachable is None for member in self.members):
            return
        places = [f"{member.name} at {member.address}" for member in self.members]
        reports = {member.rank: member.unreachable or {} for member in self.members}
        found = gate.unreachable(reports, places)
        if found:
            self._fail(self.members[found[0]], {**found[1], "stage": "rendezvous"}, now)
        else:
            self._go()

    def _go(self) -> None:
        """All may train: from the newest checkpoint that any node holds whole."""
        self.phase, memory = "train", self.memory
        memory.has_begun, memory.anew = True, False
        self.resume = newest_held(self.members)
        if self.resume:
            number = self.resume["number"]
            if number > memory.newest:  # made before the last failure, but not handed on by then
                memory.used, memory.newest = min(memory.used, 1), number
            for recovery in memory.recoveries[-1:]:
                recovery["resumed"] = self.resume["name"]

    def _miss(self, now: float) -> None:
        if self.phase == "look":
            missing = next(member for member in self.members if member.unreachable is None)
            what = f"{missing.name} did not say within {LOOK_S:.0f} s which machines it can reach"
        else:
            missing = next(member for member in self.members if not member.facts)
            what = f"the deadline passed while waiting for {self.absent(now, 5)}"
        fix = "look at its console: it did not start, or can't reach the master"
        self._fail(missing, problem("nodes-missing", what, fix=fix, stage="rendezvous"), now)


_MAY_PASS = ("node-lost", "program-failed")
