"""What can go wrong, as data and as exceptions with an exit code each. Pure.

    HotrunError          1    unexpected: a bug, or a machine that misbehaves
    ├── RequestError     2    the request was not understood
    ├── ProblemsFound    3    the template or its repository has problems
    ├── NoAccess         4    no way in: no cloud, no credentials
    ├── RunFailed        5    the run or the stack failed
    ├── DeadlinePassed   6    the time that was given is over
    └── Interrupted    130    Ctrl-C; the message says what was left behind

A `Problem` is a finding. Checks return lists of them; the command raises once, with all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding: what is wrong, where, and how to mend it."""

    code: str
    """Kebab-case name, the heading in docs/errors.md."""
    level: Level = "error"
    what: str
    """One sentence that begins with the user's own key, flag, file or machine."""
    where: str = ""
    """`file:line`, `flag --workers`, `answer 2`, or empty."""
    fix: str = ""
    """What to type or to change, or empty when nothing can be advised."""
    node: str = ""
    """`master`, `worker-3`, or empty outside a run."""
    stage: str = ""
    """The stage of the node program, or empty outside a run."""
    log: tuple[str, ...] = ()
    """The last lines that led to it, oldest first."""

    @property
    def docs(self) -> str:
        """The page and heading that explain it."""
        return f"docs/errors.md#{self.code}"

    def as_json(self) -> dict[str, Any]:
        """The form of `problems` in every `--json` document."""
        return {
            "code": self.code, "level": self.level, "node": self.node, "stage": self.stage,
            "what": self.what, "where": self.where, "fix": self.fix, "log": list(self.log),
        }  # fmt: skip

    @classmethod
    def told(cls, raw: Mapping[str, Any]) -> Problem:
        """Return a problem as a node wrote it into its status document; whatever is odd there is left out."""
        text = {key: str(raw.get(key) or "") for key in ("what", "where", "fix", "node", "stage")}
        level, log = raw.get("level"), raw.get("log")
        return cls(
            code=str(raw.get("code") or "run-failed"),
            level=level if level in ("warning", "note") else "error",
            log=tuple(str(line) for line in log) if isinstance(log, list) else (), **text,
        )  # fmt: skip


class HotrunError(Exception):
    """A failure that ends the command with `exit_code` and shows `problems`."""

    exit_code: ClassVar[int] = 1

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.what for problem in problems))
        self.problems = problems


class RequestError(HotrunError):
    """The request can't be understood: a flag, a key, an answer, a file."""

    exit_code = 2


class ProblemsFound(HotrunError):
    """A template or a repository was read and has problems."""

    exit_code = 3


class NoAccess(HotrunError):
    """No cloud, or no credentials for it."""

    exit_code = 4


class RunFailed(HotrunError):
    """A rehearsal or a stack failed."""

    exit_code = 5


class DeadlinePassed(HotrunError):
    """A wait had a deadline, and it is over."""

    exit_code = 6


class Interrupted(HotrunError):
    """Ctrl-C or SIGTERM, after cleaning up."""

    exit_code = 130
