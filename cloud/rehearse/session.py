"""One rehearsal from the first process to the last: starts, follows, ends, keeps, judges."""

from __future__ import annotations

import os
import queue
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from cloud.errors import ProblemsFound
from cloud.node.console import node_name
from cloud.rehearse import Options, faults, follow, guardian, keep, shares
from cloud.rehearse.ending import Ended, report
from cloud.rehearse.follow import Machine
from cloud.rehearse.inject import Injector
from cloud.rehearse.interrupts import Interrupts
from cloud.rehearse.prepare import Prepared, prepare
from cloud.rehearse.processes import Fleet, Line, kill
from cloud.rehearse.returns import Returns, ended_by
from cloud.rehearse.roots import remove_scratch, short_name
from cloud.rehearse.screen import Screen, Ui, teller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.plan import Plan
    from cloud.rehearse.keep import Kept
    from cloud.rehearse.prepare import Node
    from cloud.rehearse.report import Report
    from cloud.rehearse.verdict import End

AFTER_A_LOSS_S = 150.0  # silence is noticed after 10 s, a lost machine or master is waited for another 90 s
PER_MACHINE_S = 2.0  # a worker that lost the master tells Heat after a random pause of this length
AFTER_AN_END_S = 120.0  # collecting results of a failed or finished run
_LOOK_S = 0.1
_SEEKING = ("", "network")  # stages without a master, which take up to most of the boot time-out


def rehearse(plan: Plan, options: Options, ui: Ui) -> Report:
    """See `cloud.rehearse.rehearse`."""
    with Interrupts() as interrupts, ExitStack() as stack:
        signals: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        with interrupts.at_once():
            names = _names(plan, options)
            asked, cpu_shares = faults.read(options.faults, names), shares.read(options.cpu_shares, names)
            prepared = prepare(
                plan, options, stack, teller(ui), lambda recorded, body: signals.put((recorded, body))
            )
            injector = Injector(asked, prepared.level, prepared.nodes)
            injector.begin()
            injector.limit_cpus(cpu_shares)
        kept = keep.make(options.runs_dir, options.name, short_name(prepared.launch.repo))
        stack.callback(kept.close)
        kept.write("template.yml", plan.text)
        kept.write("parameters.json", prepared.parameters)
        workers = len(prepared.nodes) - 1
        title = f"rehearsing {options.template} · level {prepared.level.name} · 1 master"
        title += f" + {workers} worker{'s' if workers > 1 else ''}" if workers else ""
        session = Session(prepared, options, kept, interrupts, signals=signals, injector=injector)
        with Screen(ui, title, session.machines.values()) as screen:
            return session.run(screen)


def _names(plan: Plan, options: Options) -> list[str]:
    if not plan.is_ready:  # it may have no number of workers
        raise ProblemsFound(*plan.problems)
    workers = plan.parameters["workers"] if options.workers is None else options.workers
    return [node_name(rank) for rank in range(int(workers) + 1)]


class Session:
    """The state of a running rehearsal."""

    def __init__(
        self, prepared: Prepared, options: Options, kept: Kept, interrupts: Interrupts, *,
        signals: queue.SimpleQueue[tuple[bool, Any]], injector: Injector,
    ) -> None:  # fmt: skip
        self.prepared, self.options, self.kept, self.interrupts = prepared, options, kept, interrupts
        self.machines = {node.name: Machine(node.name, node.address) for node in prepared.nodes}
        self._nodes = {node.name: node for node in prepared.nodes}
        self._fleet = Fleet()
        self._signals = signals
        self._dropped: list[Any] = []
        self._injector, self._returns = injector, Returns()
        self._waiting = {name: node for name, node in self._nodes.items() if name not in injector.gone}
        self._ended_at: dict[str, float] = {}
        self._began_at = time.monotonic()

    def run(self, screen: Screen) -> Report:
        """Start all machines, follow them to the end, and leave no process behind whatever happens."""
        self.interrupts.raise_early()
        warden = guardian.start(self.prepared.tag, self.prepared.held)
        end: End = "interrupted"
        try:
            self._say_faults(screen, [f"fault: {fault}" for fault in self._injector.begun])
            end = self._follow(screen)
        finally:
            stuck = [machine.name for machine in self.machines.values() if not machine.has_ended]
            guardian.sweep(self.prepared.tag, is_urgent=lambda: self.interrupts.is_urgent)
            self._drain(screen)
            self._note_ends(screen, ended_by_us=True)
            assert warden.stdin is not None
            warden.stdin.close()
            warden.wait()
            for node in self.prepared.nodes:
                remove_scratch(node.root)
        return self._report(end, stuck if end == "stuck" else [])

    def _follow(self, screen: Screen) -> End:
        deadline = self._began_at + self.prepared.max_seconds
        while True:
            self._start_due()
            self._drain(screen, _LOOK_S)
            self._note_ends(screen)
            now = time.monotonic()
            self._say_faults(screen, self._injector.tick(self.machines, self._began_at, now))
            self._bring_back(screen, now)
            if all(machine.has_ended for machine in self._awaited()) and not self._returns.waiting:
                return "ended"
            if self.interrupts.name:
                return "interrupted"
            if now > deadline:
                return "deadline"
            if self._is_stuck(now):
                return "stuck"

    def _awaited(self) -> list[Machine]:
        """Whose end decides: not who was taken away by a fault, nor who seeks a master that gave up."""
        gave_up = self.machines["master"].exit_code == 5
        return [
            machine
            for name, machine in self.machines.items()
            if name not in self._injector.out and not (gave_up and machine.stage in _SEEKING)
        ]

    def _is_stuck(self, now: float) -> bool:
        """Whether the others had time enough since one ended; not while a machine is on its way back."""
        if self._returns.waiting or not self._ended_at:
            return False
        return now - min(self._ended_at.values()) > self._patience_s()

    def _say_faults(self, screen: Screen, sentences: Sequence[str]) -> None:
        for sentence in sentences:
            screen.tell(sentence)
            self.kept.event("fault", what=sentence)

    def _start_due(self) -> None:
        for name, node in list(self._waiting.items()):
            if time.monotonic() - self._began_at >= self.options.hold.get(name, 0.0):
                del self._waiting[name]
                self._start(node)
                place = {
                    "root": str(node.root),
                    "pid": os.getpid(),
                }  # by which a run can be looked at meanwhile
                self.kept.event("started", node=name, address=node.address, **place)

    def _start(self, node: Node) -> None:
        argv = self.prepared.level.argv(node)
        self._fleet.start(node.name, argv, node.environment, node.root, self.kept.log(node.name))
        self.machines[node.name].has_begun = True

    def _bring_back(self, screen: Screen, now: float) -> None:
        """Start again what a signal ended, unless the run is over without it."""
        if self.machines["master"].has_ended and "master" not in self._returns.waiting:
            self._returns.cancel()
        for name in self._returns.take_due(now):
            self._injector.bring_back(name)
            self.machines[name].come_back()
            self._ended_at.pop(name, None)
            self._start(self._nodes[name])
            screen.tell(f"{name} came back")
            self.kept.event("came-back", node=name, what=f"{name} came back")

    def _drain(self, screen: Screen, patience_s: float = 0.0) -> None:
        """Take the lines and signals that are there; wait up to `patience_s` for the first line."""
        try:
            self._take(
                self._fleet.lines.get(timeout=patience_s) if patience_s else self._fleet.lines.get_nowait(),
                screen,
            )
            while True:
                self._take(self._fleet.lines.get_nowait(), screen)
        except queue.Empty:
            pass
        while not self._signals.empty():
            recorded, body = self._signals.get()
            if not recorded:
                self._dropped.append(body)
            body = body if isinstance(body, dict) else {}
            told = {key: body.get(key) for key in ("id", "status", "reason")}
            self.kept.event("signal", recorded=recorded, **told)

    def _take(self, line: Line, screen: Screen) -> None:
        machine = self.machines[line.name]
        fields = follow.take(machine, line.text, time.monotonic())
        if fields is None:
            screen.line(line.name, line.text)
            return
        self.kept.event("stage", **{**fields, "node": line.name})
        screen.stage(machine, fields)

    def _note_ends(self, screen: Screen, *, ended_by_us: bool = False) -> None:
        for name, told in self._fleet.ended().items():
            machine, code = self.machines[name], self._injector.exit_code(name, told)
            if machine.has_ended:
                continue
            self._fleet.finish_reading(name)
            self._drain(screen)
            machine.exit_code, machine.was_ended = code, ended_by_us
            now = self._ended_at[name] = time.monotonic()
            self.kept.event("ended", node=name, exit_code=code)
            number = None if ended_by_us else ended_by(code)
            if number is None:
                continue
            kill(self.prepared.level.processes(name))  # as systemd does with what a service leaves behind
            if name not in self._injector.gone and self._returns.plan(name, code, now):
                screen.tell(f"{name} was ended by {number.name}; it starts again")

    def _patience_s(self) -> float:
        """How long the others may take once the first machine is gone."""
        if any(machine.was_killed for machine in self.machines.values()):
            return AFTER_A_LOSS_S + PER_MACHINE_S * len(self.machines)
        return AFTER_AN_END_S

    def _report(self, end: End, stuck: list[str]) -> Report:
        seconds = max(self._ended_at.values(), default=time.monotonic()) - self._began_at
        ended = Ended(
            end=end, machines=self.machines, stuck=stuck, interrupted_by=self.interrupts.name,
            dropped=self._dropped, seconds=seconds, out=frozenset(self._injector.out),
            never=self._injector.problems() if end == "ended" else (),
        )  # fmt: skip
        return report(ended, self.prepared, self.kept)
