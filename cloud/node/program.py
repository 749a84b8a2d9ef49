"""The node program: walk through the stages, and end well whatever happens.

Exit codes: 0 trained and proven · 5 this run failed, whoever's fault · 130 ended by a signal.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from . import job, machine, process, signals, stages, standing
from .context import Console, Context
from .failure import Anew, Ended, MasterLost, StageFailed, Stopped, problem
from .host import Host
from .job import Job
from .layout import Layout
from .member import RESIZED
from .stages import network
from .stages.collect import hand_in
from .walk import PATIENCE, VERDICT_S, shown, stage, unforeseen


def main(job_file: str) -> int:
    """Run this node's part of the job in `job_file`, and of later runs of it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    try:
        return _start(job_file)
    except Anew:
        sys.stdout.flush()
        os.execv(  # noqa: S606 - this very program
            sys.executable, [sys.executable, "-u", "-m", "node", job_file]
        )


def _start(job_file: str) -> int:
    context: Context | None = None
    try:
        the_job = job.read(Path(job_file).read_text(encoding="utf-8"))
        context = _context(the_job, os.environ.get("HOTRUN_ROOT", ""))
        if context is None:
            return 5
        process.sweep(context.tag)  # what an earlier start of this node left running
        is_judged = standing.begin(context)
        try:
            code = None if is_judged else _run(context)
        except Exception as error:  # noqa: BLE001 - the machine stays, until its hours are over
            code = _alone(context, _unforeseen(context, error))
        _clean(context)
        return standing.by(context, code)
    except Ended:
        if context is not None:
            context.console.stage(stage=context.stage, state="stopped", what="ended by a signal")
        return 130
    except Exception as error:  # noqa: BLE001 - whatever it is, it ends with a line that names it
        _unforeseen(context, error)
        return 5
    finally:
        if context is not None:
            _clean(context)


def _unforeseen(context: Context | None, error: Exception) -> dict[str, Any]:
    traceback.print_exc()
    found = unforeseen(error).problem
    (context.console if context else Console("unknown")).stage(stage="boot", state="failed", **shown(found))
    return found


def _clean(context: Context) -> None:
    process.sweep(context.tag)
    if context.link is not None:
        context.link.close()
    if context.coordinator is not None:
        context.coordinator.stop()
        context.coordinator = None


def _context(the_job: Job, root: str) -> Context | None:
    """Who and where this node is; None, after telling Heat, when the metadata does not say."""
    console = Console("unknown")
    try:
        limit_s = the_job.boot_timeout_s * PATIENCE["worker"]
        identity = machine.identity(machine.metadata_url(), time.monotonic() + limit_s, console.say)
    except machine.ODD as error:
        why = f"the server's metadata has no {error}" if isinstance(error, KeyError) else str(error)
        found = problem("no-metadata", why, fix="start machines from a template of this program")
        console.stage(stage="network", state="failed", **shown(found))
        time.sleep(random.uniform(0, min(60.0, limit_s / 10)))
        signals.gate(
            the_job, {**found, "node": "a machine", "stage": "network"}, server="", run="", note=console.say,
            signal_id="unknown-gate",
        )  # fmt: skip
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
    if identity.rerun:
        ref, args = identity.ref or the_job.ref, identity.args.strip() if identity.args else the_job.args
        the_job = replace(the_job, ref=ref, args=args)
    return Context(
        job=the_job, layout=layout, host=Host(is_rehearsal=bool(root)), console=Console(identity.name),
        identity=identity,
    )  # fmt: skip


def _run(context: Context) -> int:
    """Walk through the stages, as often as attempts follow each other, to the end of the run."""
    failed = False
    while True:
        try:
            for name, work in stages.WORK.items():
                if not failed and name not in context.passed:
                    stage(context, name, work)
            for name, work in stages.ENDING.items():
                stage(context, name, work)
            return 5 if failed or context.found["final"]["state"] != "done" else 0
        except (StageFailed, Stopped, MasterLost) as error:
            if context.link is None and isinstance(error, StageFailed):
                return _alone(context, error.problem)
            if isinstance(error, StageFailed) and context.stage in stages.ENDING:
                return _end_badly(context, error)
            try:
                failed = not _goes_on(context, error)
            except MasterLost as lost:
                return _alone(context, _master_lost(context, lost))


def _end_badly(context: Context, error: StageFailed) -> int:
    """The end itself failed: what was judged is reported, else that nothing could be."""
    if context.stage == "collect" and "final" in context.found:
        with contextlib.suppress(StageFailed, Stopped, MasterLost):
            stage(context, "finish", stages.ENDING["finish"])
    elif context.identity.is_master:
        return _alone(context, error.problem)
    return 5


def _goes_on(context: Context, error: Exception) -> bool:
    """Whether another attempt follows; this node is ready for it then. MasterLost when nobody can say."""
    try:
        if isinstance(error, StageFailed):  # it was told: what follows is the coordinator's decision
            with contextlib.suppress(TimeoutError):
                context.connected().wait("stop", time.monotonic() + VERDICT_S)
            context.connected().raise_if_over()
            return False
        raise error
    except Stopped as stopped:
        if stopped.again:
            with contextlib.suppress(MasterLost, OSError, ValueError):
                hand_in(
                    context, context.layout.logs / "train.log", f"logs/attempt-{context.attempt}/train.log"
                )
            if stopped.verdict["code"] == RESIZED:
                _part(context)
            _begin(context, context.attempt + 1)
        return stopped.again
    except MasterLost as lost:
        _rejoin(context, lost)
        return True


def _part(context: Context) -> NoReturn:
    """The cluster changes its size: every node closes its link, the master last, and starts anew."""
    context.console.say(f"{context.identity.name}: the number of workers was changed, gathering anew")
    if context.coordinator is not None:
        context.coordinator.wait_for_leaving(_LEAVE_S)
    raise Anew


_LEAVE_S = 30.0  # for logs of the attempt to come


def _begin(context: Context, attempt: int) -> None:
    context.begin_attempt(attempt)
    context.passed -= {"rendezvous", "train"}


def _rejoin(context: Context, error: MasterLost) -> None:
    """The master went away: wait for it, as it may come back with the same run; else raise `error`."""
    process.sweep(context.tag)
    limit_s, run = network.rejoin_limit_s(context), context.run
    if not limit_s:
        raise error
    context.console.say(f"{context.identity.name}: lost the master ({error}), waiting for it to come back")
    context.connected().close()
    try:
        network.join(context, context.found["address"], time.monotonic() + limit_s)
    except StageFailed:
        raise error from None
    context.run = context.connected().welcome["run"]
    if context.run != run:  # it has lost everything
        context.passed = {"network"}
    _begin(context, context.connected().attempt)


def _master_lost(context: Context, error: MasterLost) -> dict[str, Any]:
    what = f"{context.identity.name} lost the master in {context.stage}: {error}"
    found = problem("master-lost", what, fix="look at the master's console")
    context.console.stage(stage=context.stage, state="failed", **shown(found))
    return found


def _alone(context: Context, found: dict[str, Any]) -> int:
    """No coordinator to report to: tell Heat itself, after a pause, lest 254 workers speak at once."""
    process.sweep(context.tag)
    identity = context.identity
    if identity.rank >= identity.nnodes:  # the cluster became smaller: nobody waits for this machine
        return 5
    found = {**found, "node": identity.name, "stage": context.stage or "boot"}
    if not identity.is_master:
        time.sleep(random.uniform(0, min(300, 2 * identity.nnodes)))
    signal_id = "gate"  # the master's; what others say, and what comes after it, is told beside it
    if context.stage in _PAST_THE_GATE:
        signal_id = f"{identity.name}-lost-master"
    elif not identity.is_master:
        signal_id = f"{identity.name}-gate"
    signals.gate(
        context.job, found, server=identity.server, run=context.run, note=context.console.say,
        rerun=identity.rerun, signal_id=signal_id, off_at=context.off_at,
    )  # fmt: skip
    return 5


_PAST_THE_GATE = ("train", "collect", "finish")


def _end(number: int, frame: FrameType | None) -> None:
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)  # once is enough: what follows is cleaning up
    raise Ended
