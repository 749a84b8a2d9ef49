"""All that is known of a stack at one moment, from every source, as one picture. Pure.

Heat     status, reason, resources      ─┐
Nova     state of each machine, faults   │
signals  gate, result (told.py)          ├─►  Snapshot: machine × stage, problems, what is waited for
consoles stage lines, last lines         │
ssh      the master's own view          ─┘
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cloud.rehearse.sentences import machines as count_machines
from cloud.stack import told as told_
from cloud.stack.api import machine_ids
from cloud.stack.watch import reasons, stalled
from cloud.stack.watch.views import ENDED, GONE, View, last_heard, progress_of, view

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cloud.errors import Problem
    from cloud.stack.api import Stack
    from cloud.stack.told import Told
    from cloud.stack.watch.views import Sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The picture."""

    stack: Stack
    told: Told
    views: tuple[View, ...]
    problems: tuple[Problem, ...]
    """What is known to be wrong by now, the first first."""
    resources: Mapping[str, int] = field(default_factory=dict)
    """Resources by their state, the word behind the underscore: `COMPLETE`: 11."""
    phase: str = ""
    """Of the master's view: `running`, `collected`, `idle`; empty without ssh."""

    @property
    def up(self) -> int:
        """How many machines are there."""
        return sum(view.is_up for view in self.views)

    @property
    def rerun(self) -> int:
        """How often the stack was asked to run again."""
        return self.stack.rerun

    @property
    def is_told(self) -> bool:
        """Whether the result of the newest run is there: an earlier run's says nothing of this one."""
        return self.told.is_over and self.told.number >= self.rerun

    @property
    def runs_again(self) -> bool:
        """Whether a stack that failed was given another run, of which nothing is known yet."""
        stack = self.stack
        return self.rerun > 0 and stack.action == "UPDATE" and reasons.is_of_gate(stack.reason)

    @property
    def has_failed(self) -> bool:
        """Whether Heat gave up on what this run needs; a change that failed ends no run that trains."""
        is_final = self.stack.has_failed and not self.runs_again
        return is_final and not only_a_change_failed(self.stack, self.told)

    @property
    def is_stalled(self) -> bool:
        """Whether Heat has lost the stack, and nothing can come of it any more."""
        return any(one.code == stalled.CODE and one.level == "error" for one in self.problems)

    @property
    def master_is_gone(self) -> bool:
        """Whether the master was there and can't report any more."""
        return bool(self.views) and self.views[0].machine in GONE

    def waiting_for(self) -> str:
        """`waiting for worker-2 (last heard in environment, 40 s ago)`."""
        late = sorted((view for view in self.views if view.state not in ENDED), key=progress_of)
        if not late:
            return "waiting for the master's report"
        first = [view for view in late if progress_of(view) == progress_of(late[0])]
        if len(first) == len(self.views) > 1 and first[0].stage:
            return f"all {count_machines(len(first))} in {first[0].stage}"
        more = f" and {count_machines(len(first) - 3)} more" if len(first) > 3 else ""
        return f"waiting for {', '.join(map(last_heard, first[:3]))}{more}"


def make(sources: Sources) -> Snapshot:
    """Put all sources together."""
    ids = machine_ids(sources.resources)
    told = told_.by(sources.stack, sources.resources, with_workers=True)
    views = tuple(view(rank, sources, ids, told) for rank in range(sources.stack.workers + 1))
    problems = reasons.of_stack(sources.stack, sources.resources, sources.servers)
    if only_a_change_failed(sources.stack, told):
        problems = [replace(one, level="warning") for one in problems]
    is_told = told.number >= sources.stack.rerun
    problems = [*(told.problems if is_told else ()), *problems, *_own(views, sources), *_lost(sources, told)]
    counts: dict[str, int] = {}
    for resource in sources.resources:
        word = resource.status.partition("_")[2] or resource.status or "INIT"
        counts[word] = counts.get(word, 0) + 1
    return Snapshot(
        stack=sources.stack, told=told, views=views, problems=_once(problems), resources=counts,
        phase=str((sources.master or {}).get("phase") or ""),
    )  # fmt: skip


def _lost(sources: Sources, told: Told) -> list[Problem]:
    """That Heat does nothing any more, where it is known what time it is."""
    if sources.moment is None:
        return []
    seen = stalled.Seen(
        stack=sources.stack, resources=sources.resources, servers=sources.servers, events=sources.events,
        now=sources.moment, answers_since=sources.answers_since,
    )  # fmt: skip
    found = stalled.problem(seen, told)
    return [found] if found else []


def only_a_change_failed(stack: Stack, told: Told) -> bool:
    """Whether a resize failed while the run of today trains: it goes on with the machines that it has."""
    is_of_today = told.number >= stack.rerun
    return stack.has_failed and stack.action == "UPDATE" and is_of_today and told.is_training


def _own(views: Sequence[View], sources: Sources) -> list[Problem]:
    """What consoles tell of failed stages before anybody judged it."""
    failed = [sources.consoles[view.name] for view in views if view.name in sources.consoles]
    return [problem for machine in failed if (problem := machine.problem()) is not None]


def _once(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """The same failure from two sources is one: that with the machine's last lines counts."""
    found: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        key = (problem.code, problem.node)
        if key not in found or (problem.log and not found[key].log):
            found[key] = problem
    return tuple(found.values())
