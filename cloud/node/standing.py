"""What a machine does between its runs: it stands by for another one, until its hours are over."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from pathlib import Path

from . import machine, signals
from .context import Context
from .failure import Anew

_LOOK_S, _LOOK_IN_REHEARSAL_S = 10.0, 1.0
_TELL_S = 300.0
_END_S = 600.0  # for results to come home before the machines power off; a tenth of short hours


def begin(context: Context) -> bool:
    """Start this machine's clock. Returns whether an earlier start has seen its newest run to the end."""
    if not context.host.stays:
        return False
    layout, server = context.layout, context.identity.server
    text = layout.born.read_text() if layout.born.is_file() else ""
    if text.partition(" ")[2] != server or not text:  # a disk image of another machine brought its own
        text = f"{time.time()} {server}"
        keep(layout.born, text)
        for stale in (layout.judged, layout.untold):
            stale.unlink(missing_ok=True)
    hours_s = context.job.max_hours * 3600
    context.off_at = float(text.partition(" ")[0]) + hours_s
    context.ends_at = context.off_at - min(_END_S, hours_s / 10)
    threading.Thread(target=_end, args=(context, context.off_at - time.time()), daemon=True).start()
    try:
        return int(layout.judged.read_text()) >= context.identity.rerun
    except FileNotFoundError:
        return False
    except (OSError, ValueError):  # something was judged
        return True


def keep(path: Path, text: str) -> None:
    """Write a small file, whole or, where the disk is full, not at all."""
    partial = path.with_name(path.name + ".part")
    with contextlib.suppress(OSError):
        partial.write_text(text)
        partial.replace(path)


def by(context: Context, code: int | None) -> int:
    """After a run that ended with `code`, None for one of an earlier start: wait for another one.

    Raises Anew when one is asked for. In a rehearsal the program ends instead, and so does a worker whose
    run was good: nobody needs its log.
    """
    if code is not None:
        keep(context.layout.judged, str(context.identity.rerun))
        if not context.host.stays:
            return code
        if code == 0 and not context.identity.is_master:
            _look(context)
            context.host.power_off()
            return code
    context.console.say(f"{context.identity.name}: standing by for another run")
    told = time.monotonic()
    while True:
        time.sleep(look_s(context))
        _look(context)
        if time.monotonic() - told > _TELL_S:
            told = time.monotonic()
            _tell(context)


def _tell(context: Context) -> None:
    """Tell Heat the result that it has not taken yet, if there is one; once, as another run may wait."""
    path = context.layout.untold
    with contextlib.suppress(OSError, ValueError):
        if signals.send(context.job, **json.loads(path.read_text()), note=context.console.say, tries=1):
            path.unlink()


def _look(context: Context) -> None:
    now = machine.glance()
    if now and now.rerun > context.identity.rerun:
        raise Anew


def look_s(context: Context) -> float:
    """How often the metadata are read again."""
    return _LOOK_IN_REHEARSAL_S if context.host.is_rehearsal else _LOOK_S


def _end(context: Context, left_s: float) -> None:
    time.sleep(max(0.0, left_s))
    context.console.say(f"{context.identity.name}: {context.job.max_hours:g} hours have passed: powering off")
    context.host.power_off()
    os.kill(os.getpid(), signal.SIGTERM)
