"""How a stage ends early: a failure of its own, or somebody else's. Pure."""

from __future__ import annotations

from typing import Any, Sequence

TAIL_LINES = 30


def problem(
    code: str, what: str, *, where: str = "", fix: str = "", log: Sequence[str] = (), **more: Any
) -> dict[str, Any]:
    """A finding in the form of `problems` in the status document; node and stage are filled in later."""
    return {
        "code": code, "level": "error", "node": "", "stage": "",
        "what": what, "where": where, "fix": fix, "log": list(log)[-TAIL_LINES:], **more,
    }  # fmt: skip


class StageFailed(Exception):
    """This node can't go on; `problem` says why."""

    def __init__(self, code: str, what: str, **fields: Any) -> None:
        super().__init__(what)
        self.problem = problem(code, what, **fields)

    @classmethod
    def of(cls, found: dict[str, Any]) -> StageFailed:
        """The failure that a problem is."""
        failure = cls(found["code"], found["what"])
        failure.problem = found
        return failure


class Stopped(Exception):
    """The attempt has ended: a node failed, and `verdict` is its problem. `again`: another one follows."""

    def __init__(self, verdict: dict[str, Any], *, again: bool = False) -> None:
        super().__init__(verdict.get("what", "stopped"))
        self.verdict, self.again = verdict, again


class MasterLost(Exception):
    """The connection to the master's coordinator ended or fell silent."""


class Anew(BaseException):
    """The node program starts itself again: the metadata name another run, or other machines."""


class Ended(BaseException):
    """SIGTERM or SIGINT reached the node program."""
