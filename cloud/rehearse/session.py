"""One rehearsal from the first process to the last: starts, follows, ends, keeps, judges."""

from __future__ import annotations

import queue
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from cloud.rehearse import Options, follow, guardian, keep, verdict
from cloud.rehearse.follow import Machine
from cloud.rehearse.interrupts import Interrupts
from cloud.rehearse.prepare import Prepared, prepare
from cloud.rehearse.processes import Fleet, Line
from cloud.rehearse.report import NodeReport, Report
from cloud.rehearse.roots import short_name
from cloud.rehearse.screen import Screen, Ui, teller
from cloud.rehearse.verdict import End, Evidence

if TYPE_CHECKING:
    from cloud.errors import Problem
    from cloud.plan import Plan
    from cloud.rehearse.keep import Kept

AFTER_A_LOSS_S = 20.0  # a heartbeat's silence is noticed after 10 s
PER_MACHINE_S = 2.0  # a worker that lost the master tells Heat after a random pause of this length
AFTER_AN_END_S = 120.0  # collecting results of a failed or finished run
_LOOK_S = 0.1


def rehearse(plan: Plan, options: Options, ui: Ui) -> Report:
    """See `cloud.rehearse.rehearse`."""
    with Interrupts() as interrupts, ExitStack() as stack:
        signals: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        with interrupts.at_once():
            prepared = prepare(
                plan, options, stack, teller(ui), lambda recorded, body: signals.put((recorded, body))
            )
        kept = keep.make(options.runs_dir, options.name, short_name(prepared.launch.repo))
        stack.callback(kept.close)
        kept.write("template.yml", plan.text)
        kept.write("parameters.json", prepared.parameters)
        workers = len(prepared.nodes) - 1
        title = f"rehearsing {options.template} · level {options.level} · 1 master"
        title += f" + {workers} worker{'s' if workers > 1 else ''}" if workers else ""
        session = Session(prepared, options, kept, interrupts, signals)
        with Screen(ui, title, session.machines.values()) as screen:
            return session.run(screen)


class Session:
    """The state of a running rehearsal."""

    def __init__(
        self, prepared: Prepared, options: Options, kept: Kept, interrupts: Interrupts,
        signals: queue.SimpleQueue[tuple[bool, Any]],
    ) -> None:  # fmt: skip
        self.prepared, self.options, self.kept, self.interrupts = prepared, options, kept, interrupts
        self.machines = {node.name: Machine(node.name, node.address) for node in prepared.nodes}
        self._fleet = Fleet()
        self._signals = signals
        self._dropped: list[Any] = []
        self._waiting = {node.name: node for node in prepared.nodes}
        self._ended_at: dict[str, float] = {}
        self._began_at = time.monotonic()

    def run(self, screen: Screen) -> Report:
        """Start all machines, follow them to the end, and leave no process behind whatever happens."""
        self.interrupts.raise_early()
        warden = guardian.start(self.prepared.tag, self.prepared.held)
        end: End = "interrupted"
        try:
            end = self._follow(screen)
        finally:
            stuck = [machine.name for machine in self.machines.values() if not machine.has_ended]
            guardian.sweep(self.prepared.tag, is_urgent=lambda: self.interrupts.is_urgent)
            self._drain(screen)
            self._note_ends(screen, ended_by_us=True)
            assert warden.stdin is not None
            warden.stdin.close()
            warden.wait()
        return self._report(end, stuck if end == "stuck" else [])

    def _follow(self, screen: Screen) -> End:
        deadline = self._began_at + self.prepared.max_seconds
        while True:
            self._start_due()
            self._drain(screen, _LOOK_S)
            self._note_ends(screen)
            now = time.monotonic()
            if all(machine.has_ended for machine in self.machines.values()):
                return "ended"
            if self.interrupts.name:
                return "interrupted"
            if now > deadline:
                return "deadline"
            if self._ended_at and now - min(self._ended_at.values()) > self._patience_s():
                return "stuck"

    def _start_due(self) -> None:
        for name, node in list(self._waiting.items()):
            if time.monotonic() - self._began_at >= self.options.hold.get(name, 0.0):
                del self._waiting[name]
                self._fleet.start(name, node.user_data, node.environment, node.root, self.kept.log(name))
                self.kept.event("started", node=name, address=node.address)

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
        for name, code in self._fleet.ended().items():
            machine = self.machines[name]
            if machine.has_ended:
                continue
            self._fleet.finish_reading(name)
            self._drain(screen)
            machine.exit_code, machine.was_ended = code, ended_by_us
            self._ended_at[name] = time.monotonic()
            self.kept.event("ended", node=name, exit_code=code)

    def _patience_s(self) -> float:
        """How long the others may take once the first machine is gone."""
        if any(machine.was_killed for machine in self.machines.values()):
            return AFTER_A_LOSS_S + PER_MACHINE_S * len(self.machines)
        return AFTER_AN_END_S

    def _report(self, end: End, stuck: list[str]) -> Report:
        seconds = max(self._ended_at.values(), default=time.monotonic()) - self._began_at
        master = self.prepared.nodes[0]
        attempt = keep.attempt_directory(master.root)
        condition = self.prepared.stand_ins.condition
        status = verdict.status_of(condition, keep.status(attempt))
        evidence = Evidence(
            end=end, interrupted_by=self.interrupts.name, machines=list(self.machines.values()),
            condition=condition, status=status, transport=self.prepared.transport,
            dropped=self._dropped, stuck=stuck,
            is_single_allowed=self.prepared.job.get("allow_single") == "yes",
        )  # fmt: skip
        problems = verdict.problems(evidence)
        if attempt is not None:
            problems += keep.collect(attempt, self.kept)
        problems += [problem for problem in self.prepared.problems if problem.level != "error"]
        report = self._judged(verdict.exit_code(evidence, problems), status, problems, seconds)
        self.kept.event("finished", exit_code=report.exit_code)
        self.kept.write(keep.STATUS, report.as_json())
        return report

    def _judged(self, code: int, status: dict[str, Any], problems: list[Problem], seconds: float) -> Report:
        world = status.get("world_size", {})
        return Report(
            name=self.kept.name, level=self.options.level, state="failed" if code else "done", exit_code=code,
            expected=int(world.get("expected") or len(self.machines)), proven=int(world.get("proven") or 0),
            backend=str(world.get("backend") or ""), gradient_bytes=int(status.get("gradient_bytes") or 0),
            nodes=tuple(_node_report(machine) for machine in self.machines.values()),
            result=dict(status.get("result") or {}), run_dir=self.kept.directory,
            attempts=int(status.get("attempt") or 1), problems=tuple(problems), seconds=seconds,
            places=self._places(problems), launch=self.prepared.launch,
        )  # fmt: skip

    def _places(self, problems: list[Problem]) -> dict[int, str]:
        """Where the log shows each problem."""
        places = {}
        for index, problem in enumerate(problems):
            machine = self.machines.get(problem.node)
            if machine is None or not self.kept.log(machine.name).exists():
                continue
            line = keep.line_of(self.kept.log(machine.name), problem, machine.failure_line or machine.lines)
            places[index] = f"logs/{machine.name}.log:{max(1, line)}"
        return places


def _node_report(machine: Machine) -> NodeReport:
    last = machine.failure.get("stage") or machine.stopped_in or machine.stage
    return NodeReport(
        name=machine.name, rank=machine.rank, address=machine.address, state=machine.state,
        stages=dict(machine.stages), last_stage=last,
    )  # fmt: skip
