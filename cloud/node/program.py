"""The node program: walk through the stages, and end well whatever happens.

Exit codes: 0 trained and proven · 5 this run failed, whoever's fault · 130 ended by a signal.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any, Callable

from . import job, machine, process, signals, stages
from .context import Console, Context
from .failure import Ended, MasterLost, StageFailed, Stopped, problem
from .host import SKIPPED, Host
from .job import Job
from .layout import Layout


def main(job_file: str) -> int:
    """Run this node's part of the job in `job_file`."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    context: Context | None = None
    try:
        the_job = job.read(Path(job_file).read_text(encoding="utf-8"))
        context = _context(the_job, os.environ.get("HOTRUN_ROOT", ""))
        if context is None:
            return 5
        process.sweep(context.tag)  # what an earlier start of this node left running
        return _run(context)
    except Ended:
        if context is not None:
            context.console.stage(stage=context.stage, state="stopped", what="ended by a signal")
        return 130
    except Exception as error:  # noqa: BLE001 - whatever it is, it ends with a line that names it
        traceback.print_exc()
        console = context.console if context else Console("unknown")
        console.stage(stage="boot", state="failed", **_shown(_unforeseen(error).problem))
        return 5
    finally:
        if context is not None:
            process.sweep(context.tag)
            if context.coordinator is not None:
                context.coordinator.stop()


def _context(the_job: Job, root: str) -> Context | None:
    """Who and where this node is; None, after telling Heat, when the metadata does not say."""
    base_url, console = os.environ.get("HOTRUN_METADATA_URL", machine.METADATA_URL), Console("unknown")
    try:
        limit_s = the_job.boot_timeout_s * _PATIENCE["worker"]
        identity = machine.identity(base_url, time.monotonic() + limit_s, console.say)
    except (TimeoutError, KeyError, ValueError) as error:
        why = f"the server's metadata has no {error}" if isinstance(error, KeyError) else str(error)
        found = problem("no-metadata", why, fix="start machines from a template of this program")
        console.stage(stage="network", state="failed", **_shown(found))
        time.sleep(random.uniform(0, min(60.0, limit_s / 10)))
        signals.gate(
            the_job, {**found, "node": "a machine", "stage": "network"}, server="", run="", note=console.say
        )
        return None
    layout = Layout(Path(root or "/"))
    os.umask(0o022)  # the boot text's is stricter, for the job's secret; all else may be read
    for directory in (layout.root / "opt/hotrun", layout.environments):
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)
    for directory in (layout.state, layout.logs, layout.data, layout.home, layout.tools):
        directory.mkdir(parents=True, exist_ok=True)
    for stale in layout.logs.glob("*.log"):  # an earlier start's, which would come home as this one's
        stale.unlink()
    return Context(
        job=the_job, layout=layout, host=Host(is_rehearsal=bool(root)), console=Console(identity.name),
        identity=identity,
    )  # fmt: skip


def _run(context: Context) -> int:
    failed = False
    try:
        for name, work in stages.WORK.items():
            _stage(context, name, work)
    except Stopped:
        failed = True
    except StageFailed as error:
        if context.link is None:
            return _alone(context, error.problem)
        failed = True
    except MasterLost as error:
        return _alone(context, _master_lost(context, error))
    try:
        for name, work in stages.ENDING.items():
            _stage(context, name, work)
    except (StageFailed, Stopped):
        failed = True
    except MasterLost as error:
        return _alone(context, _master_lost(context, error))
    return 5 if failed or context.found["final"]["state"] != "done" else 0


def _stage(context: Context, name: str, work: Callable[[Context, float], str]) -> None:
    """Run one stage with its deadline and log, and tell the console and the master how it went."""
    started, limit_s = time.monotonic(), _limit_s(context, name)
    context.console.stage(stage=name, state="begin")
    if context.link is not None:
        context.link.send("stage", stage=name, state="begin", s=0.0)
    with (context.layout.logs / f"{name}.log").open("w", encoding="utf-8") as log:
        context.begin(name, log)
        try:
            detail = work(context, started + limit_s)
        except StageFailed as error:
            _tell(context, name, "failed", started, problem=error.problem)
            raise
        except TimeoutError as error:
            failure = StageFailed("deadline", f"{name} did not end within {limit_s:.0f} s")
            _tell(context, name, "failed", started, problem=failure.problem)
            raise failure from error
        except (Stopped, MasterLost):
            _tell(context, name, "stopped", started)
            raise
        except Exception as error:
            failure = _unforeseen(error)
            with contextlib.suppress(OSError):  # the disk may be what failed
                traceback.print_exc(file=log)
            _tell(context, name, "failed", started, problem=failure.problem)
            raise failure from error
        state = "skipped" if detail == SKIPPED else "ok"
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
    fields = _shown(problem) if problem else {"detail": detail}
    context.console.stage(stage=name, state=state, s=seconds, **fields)
    if context.link is not None:
        context.link.send("stage", stage=name, state=state, s=seconds, problem=problem)


def _shown(found: dict[str, Any]) -> dict[str, Any]:
    return {key: found[key] for key in ("code", "what", "where", "fix")}


def _unforeseen(error: Exception) -> StageFailed:
    """What no stage expects: a full disk by its name, anything else as a bug, with its type."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return StageFailed(
            "disk-full", f"the disk is full: {error}", fix="choose a flavor with a larger disk"
        )
    lines = traceback.format_exc().splitlines()
    what = f"{type(error).__name__}: {error}"
    return StageFailed("node-bug", what, fix="report this with the lines of the log", log=lines)


def _limit_s(context: Context, name: str) -> float:
    if name in ("network", "rendezvous"):
        patience = _PATIENCE["master" if context.identity.is_master else "worker"]
        booted_s = 0.0 if context.host.is_rehearsal else machine.uptime_s()
        limit_s = context.job.boot_timeout_s * patience
        return (
            limit_s - booted_s if booted_s < limit_s / 2 else limit_s
        )  # up for long: not a stack's first boot
    if name == "train":
        return context.job.max_hours * 3600
    return stages.DEADLINES_S[name]


# Heat's clock starts when the servers are active, a boot before this program does; whoever gives up must say
# why before Heat's own time-out says nothing. A worker that found no master speaks before the master does.
_PATIENCE = {"master": 0.9, "worker": 0.8}


def _master_lost(context: Context, error: MasterLost) -> dict[str, Any]:
    name = context.identity.name
    found = problem(
        "master-lost",
        f"{name} lost the master in {context.stage}: {error}",
        fix="look at the master's console",
    )
    context.console.stage(stage=context.stage, state="failed", **_shown(found))
    return found


def _alone(context: Context, found: dict[str, Any]) -> int:
    """No coordinator to report to: tell Heat itself, after a pause, lest 254 workers speak at once."""
    process.sweep(context.tag)
    identity = context.identity
    found = {**found, "node": identity.name, "stage": context.stage}
    if not identity.is_master:
        time.sleep(random.uniform(0, min(300, 2 * identity.nnodes)))
    if context.stage in _PAST_THE_GATE:  # it was decided: this can only be told beside it
        data = {"state": "failed", "server": identity.server, "run": context.run, "problems": [found]}
        signals.send(
            context.job, f"{identity.name}-lost-master", ok=False, reason=f"{identity.name}: {found['what']}",
            data=data, note=context.console.say,
        )  # fmt: skip
    else:
        signals.gate(context.job, found, server=identity.server, run=context.run, note=context.console.say)
    return 5


_PAST_THE_GATE = ("train", "collect", "finish")


def _end(number: int, frame: FrameType | None) -> None:
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)  # once is enough: what follows is cleaning up
    raise Ended
