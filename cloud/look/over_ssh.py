"""The master's TensorBoard, or any port of it, at a port here: over the ssh of `logs` and `fetch`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from cloud.errors import DeadlinePassed, HotrunError, NoAccess, Problem, ProblemsFound, RunFailed
from cloud.look import place, ports
from cloud.stack.inside.board import STARTED_S, USER

if TYPE_CHECKING:
    from cloud.look.staying import Stay
    from cloud.stack.shell import Shell
    from cloud.stack.shell.stream import Stream
    from cloud.ui import Ui

PORTS = {"ray": 8265, "tensorboard": 6006}  # what is known by name: Ray's dashboard, TensorBoard
_SILENCE_S = 60.0  # the program there says something every half second, or asks for some seconds
_ANSWER_S = 20.0  # for a page through a new tunnel; there it has answered already


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be reached."""

    stack: str
    port: int | None = None
    """At this computer; None: the same number, or a free one."""
    user: str = USER
    """Whom TensorBoard runs as on the master."""


def tensorboard(shell: Shell, wanted: Wanted, stay: Stay) -> NoReturn:
    """Show the newest run of a stack until Ctrl-C. Raises when the connection or TensorBoard ends before."""
    ports.choose(PORTS["tensorboard"], wanted.port)  # a port that is taken is told before anything starts
    stay.ui.say(f"starting TensorBoard on the master of {wanted.stack} …")
    stream = shell.python("board", wanted.user, str(PORTS["tensorboard"]))
    try:
        told = _next(shell, stream, wanted.stack)
        while told["state"] != "ready":
            told = _next(shell, stream, wanted.stack)
        if not told["files"] and told["phase"] != "running":
            raise ProblemsFound(place.nothing_written(f"{wanted.stack}, run {told['run']}"))
        here = _forwarded(shell, wanted, told["port"])
        if not ports.shows(here, _ANSWER_S):
            raise NoAccess(_not_carried(wanted.stack, told["port"]))
        url = f"http://{ports.HOST}:{here}/"
        facts = {key: told[key] for key in ("run", "version", "files")}
        stay.ready(url, {"stack": wanted.stack, "port": here, **facts}, _sentences(wanted, told, here))
        _follow(shell, stream, wanted, told, stay.ui)
    finally:
        stream.end()


def port(shell: Shell, there: int, wanted: Wanted, stay: Stay) -> NoReturn:
    """Let a port of this computer lead to one of the master's until Ctrl-C."""
    ports.choose(there, wanted.port)
    stream = shell.python("ports", str(there), *(["ray"] if there == PORTS["ray"] else []))
    try:
        told = _line(shell, stream)
        if not told["listens"]:
            raise ProblemsFound(_nothing_listens(wanted.stack, there, told))
        here = _forwarded(shell, wanted, there)
        if ports.closes_at_once(here):
            stay.ui.problems([_not_carried(wanted.stack, there, level="warning")])
        url = f"http://{ports.HOST}:{here}/"
        led = f"port {here} of this computer leads to port {there} of the master of {wanted.stack}"
        if told.get("token"):
            asks = "its page asks once for a token, which is this stack's"
            stay.ui.whisper(f"{asks}: {told['token']}", elsewhere=f"{asks}; at a terminal it is said here")
        facts = {"stack": wanted.stack, "port": here, "machine_port": there}
        stay.ready(url, facts, [f"{led}; Ctrl-C ends it"])
        listened = True
        while True:
            listens = _line(shell, stream)["listens"]
            if listens != listened:
                how = "is listened at again" if listens else "is not listened at any more"
                stay.ui.say(f"port {there} of the master {how}")
            listened = listens
    finally:
        stream.end()


def number(word: str) -> int | None:
    """The port that a word names; None for a word that names none."""
    if word in PORTS:
        return PORTS[word]
    return int(word) if word.isascii() and word.isdigit() and 0 < int(word) < 65536 else None


def _forwarded(shell: Shell, wanted: Wanted, there: int) -> int:
    """Forward a port, another one where it was taken since it was looked at; the port here."""
    refused = ""
    for _ in range(3):
        here = ports.choose(there, wanted.port)
        refused = shell.forward(here, there)
        if not refused:
            return here
    what = f"ssh opens no tunnel to port {there} of the master of {wanted.stack}"
    lines = tuple(refused.splitlines()[-3:])
    raise NoAccess(Problem(code="tunnel-refused", what=what, fix="its own lines say why", log=lines))


def _sentences(wanted: Wanted, told: dict[str, Any], here: int) -> list[str]:
    """What a person should know of it."""
    found = []
    if here != PORTS["tensorboard"] and wanted.port is None:
        found.append(f"port {PORTS['tensorboard']} of this computer is taken, so it is {here}")
    if told["shared"]:
        found.append("it runs there already, for somebody else who looks")
    if not told["files"]:
        found.append("nothing is written yet; the page shows it as it comes")
    return [
        *found,
        f"TensorBoard {told['version']} shows run {told['run']} of {wanted.stack}; Ctrl-C ends it",
    ]


def _follow(shell: Shell, stream: Stream, wanted: Wanted, told: dict[str, Any], ui: Ui) -> NoReturn:
    """Listen until the connection ends, saying what changes there."""
    while True:
        now = _next(shell, stream, wanted.stack)
        if now["port"] != told["port"]:
            what = f"TensorBoard on the master of {wanted.stack} had to move to another port"
            raise RunFailed(Problem(code="tensorboard-failed", what=what, fix="type the command again"))
        if now["state"] == "ready" and told["phase"] == "running" and now["phase"] == "collected":
            ui.say(f"the run has ended; bring it home: {ui.program} fetch {wanted.stack}")
        if now["run"] != told["run"]:
            ui.say(f"run {now['run']} has begun")
        told = {**now, "phase": now["phase"] if now["state"] == "ready" else told["phase"]}


def _next(shell: Shell, stream: Stream, stack: str) -> dict[str, Any]:
    """The next line of `board`. Raises what it stopped for."""
    told = _line(shell, stream)
    if "stop" in told:
        raise _stopped(told, stack)
    return told


def _line(shell: Shell, stream: Stream) -> dict[str, Any]:
    try:
        found = json.loads(stream.line(_SILENCE_S))
    except (EOFError, TimeoutError, ValueError) as error:
        raise shell.lost(stream) from error
    return dict(found)


def _stopped(told: dict[str, Any], stack: str) -> HotrunError:
    """Why there is no TensorBoard on the master."""
    why, log = told["stop"], tuple(told.get("log", ()))
    if why in {"no-run", "no-environment"}:
        when = "has not begun a run" if why == "no-run" else "has not made the program's environment yet"
        fix = f"hotrun status {stack} says where it is; try again once it trains"
        return ProblemsFound(Problem(code="no-results-yet", what=f"{stack}: its master {when}", fix=fix))
    if why == "no-tensorboard":
        what = f"{stack}: there is no tensorboard in the environment of its program"
        fix = "add the line `tensorboard` to requirements.txt, push, and hotrun rerun; "
        fix += f"or look here: hotrun fetch {stack}, then hotrun tensorboard runs/{stack}"
        return ProblemsFound(Problem(code="no-tensorboard", what=what, fix=fix))
    if why == "late":
        what = f"TensorBoard on the master of {stack} does not answer after {STARTED_S:.0f} s"
        return DeadlinePassed(Problem(code="tensorboard-late", what=what, fix="try again", log=log))
    what = f"TensorBoard on the master of {stack} ended"
    return RunFailed(Problem(code="tensorboard-failed", what=what, fix="its own lines say why", log=log))


def _nothing_listens(stack: str, there: int, told: dict[str, Any]) -> Problem:
    fix = "name the port that your program listens at, on 127.0.0.1 of the master"
    if there == PORTS["tensorboard"]:
        fix = f"hotrun tensorboard {stack} starts TensorBoard there"
    what = f"nothing listens at port {there} of the master of {stack}"
    if there == PORTS["ray"]:
        lacks = told["lacks"]
        if lacks and lacks != "ray":
            what = f"{stack}: Ray's dashboard is not in the environment of its program, {lacks} is missing"
            fix = "write ray[default] in place of ray into its requirements-ray.txt or requirements.txt, "
            fix += f"as in ray[default,train], push, and hotrun rerun {stack}"
            return Problem(code="no-dashboard", what=what, fix=fix)
        fix = f"it is Ray's dashboard, which comes and goes with a run of Ray: hotrun status {stack}"
        if lacks:
            fix = f"Ray's dashboard would, but the program of {stack} has no Ray in its environment"
    return Problem(code="nothing-listens", what=what, fix=fix)


def _not_carried(stack: str, there: int, *, level: Any = "error") -> Problem:
    what = f"the tunnel to port {there} of the master of {stack} carries nothing"
    fix = "its sshd must allow it: AllowTcpForwarding yes in sshd_config, and no restriction before the key"
    return Problem(code="tunnel-refused", level=level, what=what, fix=fix)
