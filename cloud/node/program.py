"""The node program: walk through the stages, and end well whatever happens.

Exit codes: 0 trained and proven · 5 this run failed, whoever's fault · 130 ended by a signal.
"""

from __future__ import annotations

import os
import random
import signal
import time
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
    root = os.environ.get("HOTRUN_ROOT", "")
    the_job = job.read(Path(job_file).read_text(encoding="utf-8"))
    try:
        context = _context(the_job, root)
    except (TimeoutError, KeyError, ValueError) as error:
        Console("unknown").stage(
            stage="network", state="failed", code="no-metadata", what=f"metadata: {error}"
        )
        return 5
    except Ended:
        return 130
    process.sweep(context.tag)  # what an earlier start of this node left running
    try:
        return _run(context)
    except Ended:
        context.console.stage(stage=context.stage, state="stopped", what="ended by a signal")
        return 130
    finally:
        process.sweep(context.tag)
        if context.coordinator is not None:
            context.coordinator.stop()


def _context(the_job: Job, root: str) -> Context:
    layout, base_url = Layout(Path(root or "/")), os.environ.get("HOTRUN_METADATA_URL", machine.METADATA_URL)
    quiet = Console("unknown")
    identity = machine.identity(base_url, time.monotonic() + 120, quiet.say)
    os.umask(0o022)  # the boot text's is stricter, for the job's secret; all else may be read
    for directory in (layout.root / "opt/hotrun", layout.environments):
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)
    for directory in (layout.state, layout.logs, layout.data, layout.home, layout.tools):
        directory.mkdir(parents=True, exist_ok=True)
    return Context(
        job=the_job, layout=layout, host=Host(is_rehearsal=bool(root)), console=Console(identity.name),
        identity=identity, metadata_url=base_url,
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
    fields = (
        {key: problem[key] for key in ("code", "what", "where", "fix")} if problem else {"detail": detail}
    )
    context.console.stage(stage=name, state=state, s=seconds, **fields)
    if context.link is not None:
        context.link.send("stage", stage=name, state=state, s=seconds, problem=problem)


def _limit_s(context: Context, name: str) -> float:
    if name in ("network", "rendezvous"):
        return float(context.job.boot_timeout_s)
    if name == "train":
        return context.job.max_hours * 3600
    return stages.DEADLINES_S[name]


def _master_lost(context: Context, error: MasterLost) -> dict[str, Any]:
    name = context.identity.name
    found = problem(
        "master-lost",
        f"{name} lost the master in {context.stage}: {error}",
        fix="look at the master's console",
    )
    context.console.stage(
        stage=context.stage, state="failed", **{key: found[key] for key in ("code", "what", "fix")}
    )
    return found


def _alone(context: Context, found: dict[str, Any]) -> int:
    """No coordinator to report to: tell Heat itself, after a pause, lest 254 workers speak at once."""
    process.sweep(context.tag)
    identity = context.identity
    found = {**found, "node": identity.name, "stage": context.stage}
    if not identity.is_master:
        time.sleep(random.uniform(0, min(300, 2 * identity.nnodes)))
    if context.stage in (
        "train",
        "collect",
        "finish",
    ):  # the gate was passed: this can only be told beside it
        data = {"state": "failed", "server": identity.server, "run": context.run, "problems": [found]}
        signals.send(
            context.job, f"{identity.name}-lost-master", ok=False, reason=f"{identity.name}: {found['what']}",
            data=data, note=context.console.say,
        )  # fmt: skip
    else:
        signals.gate(context.job, found, server=identity.server, run=context.run, note=context.console.say)
    return 5


def _end(number: int, frame: FrameType | None) -> None:
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)  # once is enough: what follows is cleaning up
    raise Ended
