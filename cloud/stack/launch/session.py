"""One `up` from when there is a stack: follow, judge, fetch, delete when asked, and Ctrl-C at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from cloud.errors import HotrunError, Interrupted, Problem, ProblemsFound
from cloud.rehearse import keep
from cloud.stack import record
from cloud.stack.deadline import deadline_of
from cloud.stack.shell.config import no_way_in
from cloud.stack.watch import Watch, outcome
from cloud.stack.watch.loop import Loop
from cloud.stack.watch.screen import Screen, title

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.rehearse.interrupts import Interrupts
    from cloud.stack.api import Cloud, Stack
    from cloud.stack.watch.outcome import Outcome
    from cloud.ui import Ui

_QUESTION = "Keep the stack (k), or delete it with all that was not fetched (d)? [k]"


class Asked(Protocol):
    """The part of `up.Options` that is needed here."""

    @property
    def runs_dir(self) -> Path:
        """Where results go."""

    @property
    def identity(self) -> Path | None:
        """The private key for ssh."""

    @property
    def ends_with_down(self) -> bool:
        """Whether the stack is deleted at the end."""


class Session:
    """A stack that is followed. `number`: of the rerun that was asked for just now.

    Made before its record is: a stack that this computer does not remember may be somebody else's.
    """

    def __init__(
        self, cloud: Cloud, stack: Stack, asked: Asked, ui: Ui, interrupts: Interrupts, *, number: int = 0
    ) -> None:
        self._cloud, self._stack, self._asked, self._ui, self._interrupts = (
            cloud,
            stack,
            asked,
            ui,
            interrupts,
        )
        self._place = record.directory(asked.runs_dir, stack.name)
        self._number = number
        before = record.read(asked.runs_dir, stack.name)
        self.is_own = before is not None and before.stack_id == stack.id
        self._watch: Watch | None = None
        self._ids: int = -1

    def require_own(self) -> None:
        """Raise ProblemsFound `stack-not-known` for a stack that is not this computer's to delete."""
        if not self.is_own:
            raise ProblemsFound(self._not_own())

    def run(self) -> Outcome:
        """Follow to the end, bring home, delete when asked. Raises RequestError `run-exists`."""
        record.claim(self._asked.runs_dir, self._cloud.label, self._stack.name, self._stack.id)
        kept = keep.Kept(self._place)
        try:
            try:
                with self._interrupts.at_once():
                    ended = self._followed(kept)
                    ended = self._brought_home(ended)
            except Interrupted:
                return self._interrupted(kept)
            if self._asked.ends_with_down and not ended.is_gone:
                ended = self._deleted(ended)
            kept.event("finished", exit_code=ended.exit_code)
            self._write(ended)
            return ended
        finally:
            kept.close()

    def left_alone(self) -> Outcome:
        """Look once and leave the stack to itself."""
        snapshot = self._new_watch().look()
        self._remember()
        if snapshot is None:
            what = f"the stack {self._stack.name} was deleted"
            raise HotrunError(Problem(code="stack-gone", what=what))
        return outcome.picture(snapshot, self._stack.name, self._place, self._ui.program)

    def _followed(self, kept: keep.Kept) -> Outcome:
        from cloud.stack.shell.viewer import Viewer

        stack, viewer = self._stack, Viewer(self._cloud, self._asked.identity)
        self._watch = Watch(self._cloud, stack.id, viewer, is_rerun=self._number > 0)
        heading = title(stack.name, self._cloud.label, stack.workers, deadline_of(stack))
        try:
            with Screen(self._ui, heading) as screen:
                followed = Loop(
                    watch=self._watch, shown=screen, kept=kept, now=self._cloud.time, on_look=self._remember,
                    is_signalling=not stack.is_silent,
                    number=self._number, raise_early=self._interrupts.raise_early,
                ).run()  # fmt: skip
        finally:
            viewer.close()
        return outcome.judged(followed, stack.name, self._place, self._ui.program)

    def _brought_home(self, ended: Outcome) -> Outcome:
        """Fetch what a run left that passed the gate, also one that never told how it ended."""
        if ended.is_gone or not (ended.run or ended.state == "done"):
            return ended
        from cloud.stack import fetch

        stack = self._stack
        try:
            now = self._cloud.stack(stack.id)
            if now is None:
                return ended
            stack = now
            fetched = fetch.fetch(self._cloud, stack, self._ui, self._asked.runs_dir, self._asked.identity)
        except Interrupted:
            raise
        except HotrunError as error:
            fix = f"{self._ui.program} fetch {stack.name}"
            lost = Problem(code="results-not-here", what=f"the results are not here: {error}", fix=fix)
            return ended.plus(lost).leaving(no_way_in(stack))
        missing = [Problem(code="results-incomplete", level="warning", what=one) for one in fetched.missing]
        told = [one for one in fetched.problems if not any(one.what in each.what for each in missing)]
        ended = ended.plus(*told, *missing)
        return ended if fetched.how == "ssh" else ended.leaving(no_way_in(stack))

    def _deleted(self, ended: Outcome, *, discard: bool = False) -> Outcome:
        """Delete the stack; that it is refused or leaves something is part of the outcome."""
        from cloud.stack import down

        if not self.is_own:
            return ended.plus(self._not_own(), code=ProblemsFound.exit_code)
        try:
            with self._interrupts.passed_on():
                stack = self._cloud.stack(self._stack.id)
                if stack is None:
                    return ended
                downed = down.down(self._cloud, stack, self._ui, self._asked.runs_dir, discard=discard)
        except Interrupted as error:
            return ended.cut_short(error.problems[0])
        except KeyboardInterrupt:
            return ended.cut_short(self._not_deleted())
        except HotrunError as error:
            return ended.plus(*error.problems, code=error.exit_code)
        return ended.after_down(downed.as_json(), is_clean=downed.exit_code == 0)

    def _not_deleted(self) -> Problem:
        what = f"interrupted before {self._stack.name} was deleted: it is kept and costs"
        fix = f"{self._ui.program} down {self._stack.name} deletes it"
        return Problem(code="interrupted", what=what, fix=fix)

    def _not_own(self) -> Problem:
        name, program = self._stack.name, self._ui.program
        what = f"{name} is not deleted: this computer has no record of it, so it may be somebody else's"
        fix = f"{program} down {name} deletes it, if it is really meant; --name NAME makes another"
        return Problem(code="stack-not-known", what=what, fix=fix)

    def _interrupted(self, kept: keep.Kept) -> Outcome:
        """Ctrl-C: at a terminal ask whether to keep the stack; elsewhere keep it."""
        name, program = self._stack.name, self._ui.program
        ended = outcome.interrupted(name, self._place, self._interrupts.name, program)
        kept.event("interrupted", what=self._interrupts.name)
        if self._ui.is_interactive and not self._ui.is_json and self._interrupts.name == "SIGINT":
            self._interrupts.name, is_to_go = "", False
            try:
                with self._interrupts.at_once():
                    is_to_go = self._is_to_go()
            except Interrupted:  # twice is enough: it stays, and that is said
                pass
            if is_to_go:
                ended = self._deleted(ended, discard=True)
        self._write(ended)
        return ended

    def _is_to_go(self) -> bool:
        """Ask until the answer is one of the two; nothing typed keeps the stack."""
        while True:
            answer = (self._ui.ask(_QUESTION) or "").strip().lower() or "k"
            if answer in ("k", "keep", "d", "delete"):
                return answer.startswith("d")
            self._ui.explain("type k or d")

    def _new_watch(self) -> Watch:
        self._watch = Watch(self._cloud, self._stack.id)
        return self._watch

    def _remember(self) -> None:
        """Write down ids that were not seen before; `down` asks for each of them."""
        if self._watch is None or len(self._watch.seen) == self._ids:
            return
        self._ids = len(self._watch.seen)
        before = record.read(self._asked.runs_dir, self._stack.name)
        if before is not None:
            grown = before.grow(sorted(self._watch.seen))
            if grown != before:
                record.write(self._asked.runs_dir, grown)

    def _write(self, ended: Outcome) -> None:
        import json

        document: dict[str, Any] = ended.as_json()
        record.put(self._place / keep.STATUS, json.dumps(document, indent=1) + "\n")
