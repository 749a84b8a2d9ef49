"""What the master says over ssh while a run goes on: one look of five seconds at most, again and again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cloud.errors import HotrunError, Interrupted
from cloud.stack.shell import Shell, shell_of
from cloud.stack.shell.config import door
from cloud.stack.told import OUTPUT

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.stack.api import Cloud, Stack

STARTED_S = 4.0
ANSWER_S = 1.0  # the program asks the coordinator for three seconds at most, mostly before STARTED_S is over


class Viewer:
    """Looks at one stack; keeps its connection between looks."""

    def __init__(self, cloud: Cloud, identity: Path | None = None) -> None:
        self._cloud, self._identity = cloud, identity
        self._shell: Shell | None = None
        self._of: tuple[Any, ...] = ()
        self.why = ""
        """Why the last look saw nothing; empty when it did."""

    def look(self, stack: Stack) -> dict[str, Any] | None:
        """The answer of inside.py's `status`, None when the master can't be asked; never raises for that."""
        try:
            found = self._look(stack)
        except Interrupted:
            raise
        except (HotrunError, OSError, EOFError, TimeoutError, ValueError) as error:
            problem = error.problems[0].what if isinstance(error, HotrunError) else ""
            self.why = problem or "the master did not answer in time"
            return None
        self.why = ""
        return found

    def close(self) -> None:
        """End the connection."""
        if self._shell is not None:
            self._shell.close()
        self._shell, self._of = None, ()

    def _look(self, stack: Stack) -> dict[str, Any]:
        of = (stack.id, door(stack), str(stack.outputs.get(OUTPUT)))
        if self._shell is None or of != self._of:
            self.close()
            self._shell, self._of = shell_of(self._cloud, stack, self._identity), of
        stream = self._shell.python("status", started_s=STARTED_S)
        try:
            found = json.loads(stream.line(ANSWER_S))
        finally:
            stream.end()
        if not isinstance(found, dict):
            raise ValueError("no status")  # noqa: TRY004 - it is what json raises for the same
        return found
