"""A run on this computer, rehearsed or fetched -> a TensorBoard of this computer, until Ctrl-C."""

from __future__ import annotations

import tempfile
import time
from typing import TYPE_CHECKING, NoReturn

from cloud.errors import DeadlinePassed, NoAccess, Problem, RunFailed
from cloud.look import place, ports
from cloud.look.over_ssh import PORTS
from cloud.setup import tensorboard
from cloud.setup.command import CannotMake
from cloud.stack.inside import board, events, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloud.look.staying import Stay


def show(directory: Path, given: int | None, stay: Stay) -> NoReturn:
    """Show a run's events. Raises ProblemsFound where there are none, NoAccess without a TensorBoard."""
    root = place.live_root(directory)
    if root is None:
        found = place.results(directory)
        _look(str(found.resolve()), lambda: events.count(str(found)), directory.name, given, stay)
    with tempfile.TemporaryDirectory(prefix="hotrun-") as top:
        links, first = events.Links(top), run.current(str(root))[0]

        def renew() -> int:
            return links.renew(events.places(str(root), first))

        stay.ui.say("it still trains: its events are shown as they come")
        _look(top, renew, directory.name, given, stay)


def _look(logdir: str, renew: Callable[[], int], name: str, given: int | None, stay: Stay) -> NoReturn:
    """Keep a TensorBoard of `logdir`; `renew` is called before each look and counts the event files."""
    wanted = ports.choose(PORTS["tensorboard"], given)
    looked = board.Board(_python(), logdir, wanted, tempfile.gettempdir())
    try:
        count = renew()
        stay.ui.say("starting TensorBoard …")
        while (state := looked.tend()) == "starting":
            time.sleep(board.LOOK_S)
        _require(state, looked)
        here = looked.port
        if given not in (None, here):
            what = f"--port {given}: another program has taken it meanwhile"
            raise RunFailed(Problem(code="port-taken", what=what, fix="type the command again"))
        url = f"http://{ports.HOST}:{here}/"
        sentences = [f"TensorBoard {looked.version} shows {name}; Ctrl-C ends it"]
        if here != PORTS["tensorboard"] and given is None:
            sentences.insert(0, f"port {PORTS['tensorboard']} of this computer is taken, so it is {here}")
        if not count:
            sentences.insert(0, "nothing is written yet; the page shows it as it comes")
        stay.ready(url, {"run": name, "port": here, "version": looked.version, "files": count}, sentences)
        while True:
            renew()
            _require(looked.tend(), looked)
            time.sleep(board.LOOK_S)
    finally:
        looked.end()


def _require(state: str, looked: board.Board) -> None:
    log = tuple(looked.words())
    if state == "late":
        what = f"TensorBoard does not answer after {board.STARTED_S:.0f} s"
        raise DeadlinePassed(Problem(code="tensorboard-late", what=what, fix="try again", log=log))
    if state != "ready":
        what = "TensorBoard on this computer ended"
        raise RunFailed(Problem(code="tensorboard-failed", what=what, fix="its own lines say why", log=log))


def _python() -> str:
    try:
        return tensorboard.python()
    except CannotMake as error:
        said, _, rest = str(error).partition("\n")
        fix = rest.strip() or f"type: {tensorboard.PIP_LINE}"
        raise NoAccess(Problem(code="no-tensorboard", what=said, fix=fix)) from error
