"""Logs of all machines as one stream of lines: over ssh, else Nova's consoles, else those fetched before."""

from __future__ import annotations

import json
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloud.errors import HotrunError, NoAccess, Problem
from cloud.model import MAX_WORKERS
from cloud.node.console import node_rank
from cloud.stack.shell import MASTER, NoShell, Shell
from cloud.stack.shell.config import is_machine
from cloud.stack.shell.run_end import ENDS, LOST_S, Lost, why_over
from cloud.stack.watch.console import news, whole_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from cloud.stack.api import Cloud, Stack
    from cloud.stack.shell.stream import Stream

MAX_MACHINES = 32  # each is an ssh process of its own
BACK_LINES = 200  # of each log
_SILENCE_S = 20.0  # a machine says something every half second
_PAUSE_S = 3.0
_GRACE_S = 2.0  # for the workers' last lines, when the master has judged
_CONSOLE_EVERY_S = 5.0
_CONSOLE_LINES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a machine's log."""

    node: str
    stage: str
    """Empty for a console."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines."""

    node: str = ""
    """Empty: all machines."""
    follow: bool = False
    back: int = BACK_LINES


class OverSsh:
    """Lines of the machines themselves; `say` hears what is not shown and why.

    `over` is asked now and then while the master can't be reached (`why_over`).
    """

    def __init__(
        self, shell: Shell, wanted: Wanted, say: Callable[[str], None],
        over: Callable[[], Problem | None] = lambda: None,
    ) -> None:  # fmt: skip
        self._shell, self._wanted, self._say = shell, wanted, say
        self._lost = Lost(over)
        self._lines: queue.Queue[Line | str] = queue.Queue(maxsize=10_000)
        self._over = threading.Event()

    def lines(self) -> Iterator[Line]:
        """All lines there are; with `follow` those that come, until the run is over.

        Raises NoShell when the master can't be reached at first; RunFailed or DeadlinePassed when the cloud
        says why it is lost, NoAccess when it stays lost.
        """
        names = self._names()
        threads = {name: self._start(name) for name in names}
        waiting = set(names)
        try:
            while waiting:
                if why := self._lost.why_over():
                    self._say(why)
                    break
                try:
                    found = self._lines.get(timeout=0.5)
                except queue.Empty:
                    waiting = {name for name in waiting if threads[name].is_alive()}
                    continue
                if isinstance(found, Line):
                    if self._wanted.node in ("", found.node):
                        yield found
                    continue
                waiting.discard(found)
                if found == MASTER and self._wanted.follow:
                    break
            if self._wanted.follow:
                yield from self._last()
        finally:
            self._over.set()

    def _names(self) -> list[str]:
        """Which machines to ask: the master alone when it has the logs of all."""
        stream = self._shell.python("status")
        try:
            phase = json.loads(stream.line(_SILENCE_S)).get("phase")
        except (EOFError, TimeoutError, ValueError) as error:
            raise self._shell.lost(stream) from error
        finally:
            stream.end()
        if phase != "running":
            return [MASTER]
        known = [each.name for each in self._shell.machines]
        if self._wanted.node:
            return list(dict.fromkeys((MASTER, self._wanted.node)))
        if len(known) > MAX_MACHINES:
            self._say(f"showing {MAX_MACHINES} of {len(known)} machines; another one with --node NAME")
        return known[:MAX_MACHINES]

    def _last(self) -> Iterator[Line]:
        until = time.monotonic() + _GRACE_S
        while (left := until - time.monotonic()) > 0:
            try:
                found = self._lines.get(timeout=left)
            except queue.Empty:
                break
            if isinstance(found, Line) and self._wanted.node in ("", found.node):
                yield found

    def _start(self, name: str) -> threading.Thread:
        thread = threading.Thread(target=self._read, args=(name,), daemon=True)
        thread.start()
        return thread

    def _read(self, name: str) -> None:
        """Put a machine's lines into the queue, connecting again when it must; its name at the end."""
        at: dict[str, Any] = {}
        stays = "no" if not self._wanted.follow else "run" if name == MASTER else "always"
        was_lost = False
        while not self._over.is_set():
            why = ""
            try:
                words = ("follow", str(self._wanted.back), stays, json.dumps(at))
                stream = self._shell.python(*words, machine=name)
                if was_lost:
                    self._say(f"{name} is there again")
                was_lost = False
                if self._take(name, stream, at):
                    break
                why = f"the connection to {name} broke off"
            except NoShell as error:
                why = error.problems[0].what
            except (OSError, ValueError):  # the shell was closed
                break
            if not was_lost:
                limit = f" for {LOST_S / 60:.0f} min" if name == MASTER else ""
                self._say(f"{why}; trying again{limit}" if self._wanted.follow else why)
            was_lost = True
            if not self._wanted.follow:
                break
            if name == MASTER:
                self._lost.begin()
            if self._over.wait(_PAUSE_S):
                break
        self._lines.put(name)

    def _take(self, name: str, stream: Stream, at: dict[str, Any]) -> bool:
        """Take lines until the program there ends; whether it ended by itself."""
        try:
            while not self._over.is_set():
                found = json.loads(stream.line(_SILENCE_S))
                if name == MASTER:
                    self._lost.end()
                if "text" in found:
                    node, stage = str(found["node"] or name), str(found["stage"])
                    at[f"{found['node']}/{stage}"] = found["at"]
                    self._lines.put(Line(node=node, stage=stage, text=str(found["text"])))
        except EOFError:
            return stream.end() == 0
        except (TimeoutError, ValueError, KeyError, TypeError, OSError):
            return False
        finally:
            stream.end()
        return True


def of_consoles(cloud: Cloud, stack: Stack, wanted: Wanted, sleep: Callable[[float], None]) -> Iterator[Line]:
    """Lines of Nova's consoles; with `follow` new ones every few seconds, to the end of the run."""
    before: dict[str, list[str]] = {}
    while True:
        resources = cloud.resources(stack.id)
        servers = [each for each in resources if is_machine(each.machine) and each.id]
        for each in sorted(servers, key=lambda server: node_rank(server.machine)):
            if wanted.node not in ("", each.machine):
                continue
            shown = whole_lines(_console(cloud, each.id))
            for text in news(before.get(each.machine, []), shown):
                yield Line(node=each.machine, stage="", text=text)
            before[each.machine] = shown
        if not wanted.follow:
            return
        if ended := why_over(cloud, stack, resources):
            if ended.code in ENDS and any(before.values()):  # else those that were fetched are shown
                raise ENDS[ended.code](ended)
            return
        sleep(_CONSOLE_EVERY_S)


def _console(cloud: Cloud, server_id: str) -> str:
    try:
        return cloud.console(server_id, _CONSOLE_LINES)
    except HotrunError:  # a machine that is being made or deleted has none
        return ""


def of_folder(folder: Path, wanted: Wanted) -> Iterator[Line]:
    """Lines of the logs that were fetched, or kept while a stack was followed."""
    found = sorted((folder / "logs").glob("*.log")) + sorted((folder / "logs").glob("*/*.log"))
    for path in sorted(found, key=lambda one: _order(one, folder)):
        is_console = path.parent.name == "logs"
        node = path.stem if is_console else path.parent.name
        if wanted.node not in ("", node) or (is_console and (folder / "logs" / node).is_dir()):
            continue
        with path.open(encoding="utf-8", errors="replace") as file:
            lines: Sequence[str] = file.readlines()[-wanted.back :]
        for text in lines:
            yield Line(node=node, stage="" if is_console else path.stem, text=text.rstrip("\n"))


def _order(path: Path, folder: Path) -> tuple[int, float]:
    """Master first, workers by number, the logs of each as they were written."""
    name = path.relative_to(folder / "logs").parts[0].removesuffix(".log")
    return node_rank(name) if is_machine(name) else MAX_WORKERS + 1, path.stat().st_mtime


def no_logs(name: str) -> NoAccess:
    """There is nothing to show."""
    what = f"{name}: no ssh, no console and no fetched logs"
    fix = "log in with --identity FILE once its master has reported, or look at the stack in Horizon"
    return NoAccess(Problem(code="no-logs", what=what, fix=fix))
