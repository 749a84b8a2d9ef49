"""Faults -> what really happens to a machine: signals, its environment, its links, its disk and memory.

Nothing is pretended: what is reported afterwards is what the machines noticed.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.errors import Problem, ProblemsFound
from cloud.rehearse import faults as faults_
from cloud.rehearse.lab import CantDo
from cloud.rehearse.processes import kill, programs, ranks, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cloud.rehearse.faults import Fault
    from cloud.rehearse.follow import Machine
    from cloud.rehearse.lab import Level
    from cloud.rehearse.prepare import Node

CLOCK_OFF_S = 600
_FAKETIME = ("*/faketime/libfaketimeMT.so.1", "faketime/libfaketimeMT.so.1")  # MT: for programs with threads
_LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
# NOTE: libfaketime 0.9.10 (Debian 12) refuses the clock_nanosleep of Python 3.11's sleep where the monotonic
# clock is left alone; where it is not, timed waits don't end. Can go with a libfaketime that does both.
_SLEEP = """import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""
_CLOCK = """# read by the machine's bash: its programs get the library, what leads into the machine does not
export LD_PRELOAD={library} FAKETIME=+{seconds}s FAKETIME_DONT_FAKE_MONOTONIC=1 PYTHONPATH={directory}
"""
_GIT = """#!/bin/sh
# This machine's git: before it tells which commit is checked out, it makes another one (fault bad-commit).
case "$*" in
  "-C "*" rev-parse HEAD") {git} -C "$2" -c user.name=fault -c user.email=fault@localhost \\
    commit --quiet --allow-empty --message "another commit" >/dev/null 2>&1 ;;
esac
exec {git} "$@"
"""


class Injector:
    """The faults of one rehearsal: those from the start, those to come, and what they took away."""

    def __init__(self, faults: Sequence[Fault], level: Level, nodes: Iterable[Node]) -> None:
        self.level, self.nodes = level, {node.name: node for node in nodes}
        self.begun = [fault for fault in faults if fault.when is None]
        """Those that are there before the first machine starts."""
        self.pending = [fault for fault in faults if fault.when is not None]
        """Those whose moment has not come."""
        self.impossible: list[tuple[Fault, str]] = []
        """Those that could not be done when their moment came, with the reason."""
        self.out: set[str] = set()
        """Machines that a fault took away: nobody waits for their end."""
        self.gone: set[str] = set()
        """Machines that don't come back, or never come."""
        self._struck: set[str] = set()
        self._plugs: dict[str, float] = {}

    def begin(self) -> None:
        """Do what is there before the first machine starts.

        Raises ProblemsFound, with all of it, for what can't be done at this level or on this computer.
        """
        why = getattr(self.level, "reason", "")
        problems = faults_.refused([*self.begun, *self.pending], self.level.name, why)
        for fault in [*self.begun, *self.pending] if not problems else ():
            try:
                if fault.when is None:
                    _DOES[fault.kind](self, fault)
                elif fault.kind == "low-memory":
                    self.level.count_memory(fault.machine)
            except CantDo as error:
                what = f"{fault.text}: {error}"
                problems.append(Problem(code="fault-not-possible", what=what, where="flag --fault"))
        if problems:
            raise ProblemsFound(*problems)

    def limit_cpus(self, shares: Mapping[str, float]) -> None:
        """Hold machines to percent of one core. Raises ProblemsFound where that can't be done."""
        try:
            for name, percent in shares.items():
                self.level.limit_cpu(name, percent)
        except CantDo as error:
            what = f"a machine's share of a core can't be held: {error}"
            found = Problem(code="cpu-share-not-possible", what=what, where="flag --cpu-share")
            raise ProblemsFound(found) from error

    def tick(self, machines: Mapping[str, Machine], began_at: float, now: float) -> list[str]:
        """Do what is due; return a sentence for each thing that happened."""
        said = []
        for fault in list(self.pending):
            if not _is_due(fault, machines, began_at, now):
                continue
            try:
                if _DOES[fault.kind](self, fault) is False:
                    continue  # nothing there to hit yet: tried again
                said.append(f"fault: {fault}")
                if fault.kind == "unplug" and fault.amount:
                    self._plugs[fault.machine] = now + fault.amount
            except CantDo as error:
                self.impossible.append((fault, str(error)))
                said.append(f"fault not possible: {fault}: {error}")
            self.pending.remove(fault)
        for name in [name for name, at in self._plugs.items() if now >= at]:
            del self._plugs[name]
            self.level.link(name, up=True)
            said.append(f"fault over: {name} is plugged in again")
        return said

    def problems(self) -> list[Problem]:
        """The faults that did not happen: the run shows nothing about them."""
        never = [(fault, "its moment did not come while the machine ran") for fault in self.pending]
        return [
            Problem(code="fault-not-injected", what=f"{fault.text}: {why}", where="flag --fault")
            for fault, why in [*self.impossible, *never]
        ]

    def exit_code(self, name: str, told: int) -> int:
        """How a machine ended: one that was killed whole may be told by a shell around it as anything."""
        return -signal.SIGKILL if name in self._struck else told

    def bring_back(self, name: str) -> None:
        """Clear the way for a machine that starts again: no old process, its cable in."""
        self._struck.discard(name)
        kill(self.level.processes(name))
        if name not in self._plugs:
            with contextlib.suppress(CantDo):
                self.level.link(name, up=True)

    def kill_rank(self, fault: Fault) -> bool:
        """One rank, the first one; the others and the node program live on."""
        return kill(ranks(self.level.processes(fault.machine))[:1])

    def kill_program(self, fault: Fault) -> bool:
        """The node program; its ranks are orphans."""
        return kill(programs(self.level.processes(fault.machine)))

    def kill_machine(self, fault: Fault) -> bool:
        """All at once, as a loss of power: where the level has cables, nobody hears a last word."""
        pids = self.level.processes(fault.machine)
        if not pids:
            return False
        self._struck.add(fault.machine)
        with contextlib.suppress(CantDo):
            self.level.link(fault.machine, up=False)
        kill(programs(pids))  # first: else it still tells that its ranks were killed
        while pids := self.level.processes(fault.machine):
            kill(pids)
        return True

    def lose(self, fault: Fault) -> bool:
        """The same for good."""
        self.out.add(fault.machine)
        self.gone.add(fault.machine)
        return self.kill_machine(fault)

    def stop(self, fault: Fault) -> bool:
        """Frozen: its kernel still answers TCP, nothing in it runs."""
        pids = self.level.processes(fault.machine)
        for pid in pids:
            send(pid, signal.SIGSTOP)
        self.out.add(fault.machine)
        return bool(pids)

    def miss(self, fault: Fault) -> bool:
        """Never started."""
        self.out.add(fault.machine)
        self.gone.add(fault.machine)
        return True

    def unplug(self, fault: Fault) -> bool:
        """Its cable is out, for good or for a while."""
        self.level.link(fault.machine, up=False)
        if not fault.amount:
            self.out.add(fault.machine)
            self.gone.add(fault.machine)
        return True

    def give_another_commit(self, fault: Fault) -> bool:
        """Its own git makes a commit on top before it says which is there; the machine trains that one."""
        environment, root = self.nodes[fault.machine].environment, self.nodes[fault.machine].root
        git = shutil.which("git", path=environment["PATH"]) or "git"
        directory = root / "tmp" / "other-git"  # emptied before each rehearsal
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "git").write_text(_GIT.format(git=shlex.quote(git)), encoding="utf-8")
        (directory / "git").chmod(0o755)
        environment["PATH"] = f"{directory}:{environment['PATH']}"
        return True

    def put_clock_off(self, fault: Fault) -> bool:
        """The real libfaketime in front of the node program; its programs and ranks don't inherit it."""
        found = next(
            (path for top in _LIBRARIES for form in _FAKETIME for path in Path(top).glob(form)), None
        )
        if found is None:
            raise CantDo("libfaketime is not installed (sudo apt install faketime)")
        node = self.nodes[fault.machine]
        directory = node.root / "tmp" / "other-clock"  # emptied before each rehearsal
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "sitecustomize.py").write_text(_SLEEP, encoding="utf-8")
        quoted = {"library": shlex.quote(str(found)), "directory": shlex.quote(str(directory))}
        (directory / "clock.sh").write_text(_CLOCK.format(seconds=CLOCK_OFF_S, **quoted), encoding="utf-8")
        node.environment["BASH_ENV"] = str(directory / "clock.sh")
        return True


_DOES: dict[str, Callable[[Injector, Fault], bool | None]] = {  # False: there was nothing to do it to
    "kill-rank": Injector.kill_rank,
    "kill-program": Injector.kill_program,
    "kill": Injector.kill_machine,
    "stop": Injector.stop,
    "lose": Injector.lose,
    "missing": Injector.miss,
    "unplug": Injector.unplug,
    "block-port": lambda here, fault: here.level.block_ports(fault.machine or None),
    "no-dns": lambda here, fault: here.level.block_names(fault.machine or None),
    "bad-commit": Injector.give_another_commit,
    "bad-clock": Injector.put_clock_off,
    "full-disk": lambda here, fault: here.level.fill_disk(fault.machine),
    "low-memory": lambda here, fault: here.level.limit_memory(fault.machine, int(fault.amount)),
    "slow": lambda here, fault: here.level.shape(fault.value),
    "loss": lambda here, fault: here.level.loss(fault.amount),
}


def _is_due(fault: Fault, machines: Mapping[str, Machine], began_at: float, now: float) -> bool:
    """Whether its moment has come and the machine that it hits is up."""
    when, machine = fault.when, machines[fault.machine or "master"]
    if when is None or (fault.machine and (machine.has_ended or not machine.has_begun)):
        return False
    if when.epoch is not None:
        return max(each.epoch for each in machines.values()) >= when.epoch
    since = machine.begun.get(when.stage) if when.stage else began_at
    return since is not None and now >= since + when.seconds
