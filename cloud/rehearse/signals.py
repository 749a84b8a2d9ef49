"""What Heat makes of signals: a wait condition and its handle, by the real engine's rules. Pure.

A body has the keys status, id, data, reason and no other; a missing key has a default, so that an
empty body is a success. What breaks the rules is answered like everything else and dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

State = Literal["waiting", "complete", "failed"]

KEYS = frozenset({"status", "id", "data", "reason"})
STATUSES = ("SUCCESS", "FAILURE")
MAX_REASON_CHARACTERS = 3_000  # more was not tried and stored; 70,000 made a stack undeletable
MAX_BODY_BYTES = 1_048_576  # heat.conf max_json_body_size


class WaitCondition:
    """An `OS::Heat::WaitCondition` with its handle.

    `count` different ids with SUCCESS complete it; one FAILURE before that fails it, for good.
    """

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self.state: State = "waiting"
        self.reason = ""
        """The reasons of the failures, once it failed."""
        self.unstorable: list[str] = []
        """Ids whose reason Heat's database refuses: a real stack then hangs."""
        self._entries: dict[str, dict[str, Any]] = {}

    @property
    def data(self) -> dict[str, Any]:
        """Id -> data of all recorded signals: the attribute `data`, before it becomes JSON text."""
        return {identity: entry["data"] for identity, entry in self._entries.items()}

    @property
    def statuses(self) -> dict[str, str]:
        """Id -> SUCCESS or FAILURE of all recorded signals."""
        return {identity: entry["status"] for identity, entry in self._entries.items()}

    def signal(self, body: Any = None) -> bool:
        """Take one signal's body; return whether it was recorded rather than dropped."""
        if body and not isinstance(body, Mapping):
            return False
        number = len(self._entries) + 1
        defaults = {"status": "SUCCESS", "id": number, "data": None, "reason": f"Signal {number} received"}
        entry = {**defaults, **(body or {})}
        if set(entry) != KEYS or entry["status"] not in STATUSES:
            return False
        identity = str(entry.pop("id"))
        self._entries[identity] = entry
        if not is_storable(str(entry["reason"])):
            self.unstorable.append(identity)
        self._judge()
        return True

    def _judge(self) -> None:
        if self.state != "waiting":
            return
        failures = [entry["reason"] for entry in self._entries.values() if entry["status"] == "FAILURE"]
        if failures:
            self.state, self.reason = "failed", ";".join(str(reason) for reason in failures)
        elif len(self._entries) >= self.count:
            self.state = "complete"


def is_storable(reason: str) -> bool:
    """Whether Heat's database takes it: MySQL's three-byte utf8 knows no character above U+FFFF."""
    return len(reason) <= MAX_REASON_CHARACTERS and all(ord(character) <= 0xFFFF for character in reason)
