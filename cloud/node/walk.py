"""One stage of a node: its deadline, its log, and what the console and the master hear of it."""

from __future__ import annotations

import contextlib
import errno
import time
import traceback
from typing import Any, Callable

from . import machine, stages
from .context import Context
from .failure import MasterLost, StageFailed, Stopped
from .host import SKIPPED
from .stages import network

VERDICT_S = 60.0  # for the coordinator to decide what follows a failure: more than its wait for a culprit


def stage(context: Context, name: str, work: Callable[[Context, float], str]) -> None:
    """Run one stage with its deadline and log, and tell the console and the master how it went."""
    started, limit_s = time.monotonic(), _limit_s(context, name)
    context.console.stage(stage=name, state="begin")
    if context.link is not None:
        context.link.send("stage", stage=name, state="begin", s=0.0)
    path = context.layout.logs / f"{name}.log"
    path.unlink(missing_ok=True)  # an earlier attempt's may be kept as a link to it
    with path.open("w", encoding="utf-8") as log:
        context.begin(name, log)
        try:
            detail = work(context, started + limit_s)
        except StageFailed as error:
            _tell(context, name, "failed", started, problem=error.problem)
            raise
        except TimeoutError as error:
            what = f"{name} did not end within {limit_s:.0f} s"
            what += f": {context.waited_for}" if context.waited_for else ""
            failure = StageFailed("deadline", what)
            _tell(context, name, "failed", started, problem=failure.problem)
            raise failure from error
        except (Stopped, MasterLost):
            _tell(context, name, "stopped", started)
            raise
        except Exception as error:
            failure = unforeseen(error)
            with contextlib.suppress(OSError):  # the disk may be what failed
                traceback.print_exc(file=log)
            _tell(context, name, "failed", started, problem=failure.problem)
            raise failure from error
        state = "skipped" if detail == SKIPPED else "ok"
        context.passed.add(name)
        _tell(context, name, state, started, detail=detail)


def _tell(
    context: Context,
    name: str,
    state: str,
    started: float,
    *,
    problem: dict[str, Any] | None = None,
    detail: str = "",
) -> None:
    seconds = time.monotonic() - started
    fields = shown(problem) if problem else {"detail": detail}
    context.console.stage(stage=name, state=state, s=seconds, **fields)
    if context.link is not None:
        context.link.send("stage", stage=name, state=state, s=seconds, problem=problem)


def shown(found: dict[str, Any]) -> dict[str, Any]:
    """What the console tells of a problem."""
    return {key: found[key] for key in ("code", "what", "where", "fix")}


def unforeseen(error: Exception) -> StageFailed:
    """What no stage expects: a full disk by its name, anything else as a bug, with its type."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return StageFailed(
            "disk-full", f"the disk is full: {error}", fix="choose a flavor with a larger disk"
        )
    lines = traceback.format_exc().splitlines()
    what = f"{type(error).__name__}: {error}"
    return StageFailed("node-bug", what, fix="report this with the lines of the log", log=lines)


def _limit_s(context: Context, name: str) -> float:
    if name == "rendezvous" and context.attempt > 1 and not context.connected().welcome.get("anew"):
        return network.rejoin_limit_s(context) + 2 * VERDICT_S
    if name in ("network", "rendezvous"):
        patience = PATIENCE["master" if context.identity.is_master else "worker"]
        booted_s = 0.0 if context.host.is_rehearsal else machine.uptime_s()
        limit_s = context.job.boot_timeout_s * patience
        return (
            limit_s - booted_s if booted_s < limit_s / 2 else limit_s
        )  # up for long: not a stack's first boot
    if name == "train":
        return float(context.found["go"]["left_s"])
    return stages.DEADLINES_S[name]


# Heat's clock starts when the servers are active, a boot before this program does; whoever gives up must say
# why before Heat's own time-out says nothing. A worker that found no master speaks before the master does.
PATIENCE = {"master": 0.9, "worker": 0.8}
