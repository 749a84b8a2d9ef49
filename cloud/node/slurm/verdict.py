"""verdict: what the nodes of an attempt left -> what follows: done, another attempt, or failed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Mapping, Sequence

from .. import proof
from ..console import node_name
from ..failure import problem
from ..member import Memory
from ..recognise import recognise
from . import places, plan, record
from .places import AGAIN, FAILED, say
from .run import checkpoints

_MAY_PASS = ("node-lost", "program-failed", "time-limit")


def begin(words: Sequence[str]) -> int:
    """`begin`: an attempt that nobody ended (a node or the time limit did) counts as lost; else nothing."""
    memory, job = record.remembered(), places.the_job()
    if not memory.has_begun:
        return 0
    count = os.environ.get("SLURM_RESTART_COUNT") or "0"
    found = problem(
        "node-lost", f"Slurm ended the job and started it again (restart {count})", node="master",
        stage="train", fix="look at sinfo -R: a node went away, or the job had to give way to another",
    )  # fmt: skip
    return _goes_on(found, record.Standing(memory), job.restarts)


def main(words: Sequence[str]) -> int:
    """`verdict CODE LINES`: its exit code says what follows; CODE is srun's, LINES what the nodes told."""
    code, memory, root = int(words[0]), record.remembered(), places.run_directory()
    go = json.loads((root / "go.json").read_text(encoding="utf-8"))
    told = plan.read(Path(words[1]).read_text(encoding="utf-8"))
    record.gather(go)
    reports = record.reports(memory.attempt)
    found = blamed(reports, [node_name(each["rank"]) for each in told], code)
    standing = record.Standing(memory, told, reports)
    if found is not None:
        code = _goes_on(found, standing, places.the_job().restarts)
        record.bring(go, is_last=code != AGAIN)
        return code
    record.bring(go, is_last=True)
    return _judged(standing, go)


def lost(words: Sequence[str]) -> int:
    """`lost SENTENCE`: nodes did not answer before an attempt could begin."""
    found = problem("node-lost", words[0], node="master", stage="rendezvous", fix="look at sinfo -R")
    return _goes_on(found, record.Standing(record.remembered()), places.the_job().restarts)


def late(words: Sequence[str]) -> int:
    """`late`: the time limit came near before the ranks were started."""
    what = "the time limit is near, before the ranks were started"
    found = problem("time-limit", what, node="master", stage="rendezvous")
    return _goes_on(found, record.Standing(record.remembered()), places.the_job().restarts)


def failed(words: Sequence[str]) -> int:
    """`failed CODE WHAT FIX [LOG]`: the script itself can't go on."""
    code, what, fix, *files = words
    log = [line for path in files for line in Path(path).read_text("utf-8", "replace").splitlines()]
    found = problem(code, what, fix=fix, log=log, node="master", stage="rendezvous")
    record.end(record.Standing(record.remembered()), found)
    return FAILED


def _goes_on(found: dict[str, Any], standing: record.Standing, restarts: int) -> int:
    numbers = [report["newest"] for report in standing.reports.values()]
    numbers += checkpoints(places.run_directory() / "kept")
    if follows(found, standing.memory, restarts, max(numbers, default=0)) == "failed":
        record.end(standing, found)
        return FAILED
    record.remember(standing.memory)
    record.write(standing, "running", [])
    say(f"hotrun: {found['what']}", f"hotrun: attempt {standing.memory.attempt} follows")
    return AGAIN


def blamed(reports: Mapping[str, dict[str, Any]], names: Sequence[str], code: int) -> dict[str, Any] | None:
    """The problem that ended the attempt; None when every node is through.

    A failure of a node's own comes before one that only says that a peer went away, and before silence.
    """
    failures = sorted(
        (report for report in reports.values() if report["state"] == "failed"), key=lambda each: each["time"]
    )
    own = [each["problem"] for each in failures if not each["problem"].get("of_peer")]
    if own:
        return dict(own[0])
    if any(report["state"] == "limit" for report in reports.values()):
        return problem("time-limit", "the time limit is near", node=names[0], stage="train")
    silent = [name for name in names if name not in reports]
    if silent:
        what = f"{silent[0]} was lost: its part of the job ended without a word"
        return problem(
            "node-lost", what, node=silent[0], stage="train", fix="look at sinfo -R and the job's log"
        )
    if failures:
        return dict(failures[0]["problem"])
    if code == 0:
        return None
    what = f"the step ended with exit code {code}"
    return problem("node-lost", what, node=names[0], stage="train", fix="look at the job's log")


def follows(found: dict[str, Any], memory: Memory, restarts: int, newest: int) -> str:
    """`again` (memory is then that of the next attempt) or `failed`; `newest`: of the checkpoints held."""
    error = found.get("error", "")
    if error and error == memory.error:
        found["what"] += " (twice the same: it is not tried again)"
        return "failed"
    if newest > memory.newest:
        memory.used, memory.newest = 0, newest
    if found["code"] not in _MAY_PASS or memory.used >= restarts:
        if found["code"] == "time-limit":
            found["fix"] = "ask for more --time, or let the program write checkpoints more often"
            found["what"] += ", and there is no newer checkpoint than when this attempt began"
        return "failed"
    memory.fail(found)
    return "again"


def _judged(standing: record.Standing, go: dict[str, Any]) -> int:
    job, root = places.the_job(), places.run_directory()
    files = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted((root / "proof").glob("rank*.json"))
    ]
    files = [each for each in files if (each["run"], each["attempt"]) == (go["run"], go["attempt"])]
    expected = len(go["addresses"]) * go["nproc"]
    judgement = proof.judge(files, expected, hint=_hint(), allow_single=job.allow_single == "yes")
    standing.judgement, standing.result = judgement, _result(root / "results" / "result.json")
    if judgement.problem is not None:
        found = {**judgement.problem, "node": "master", "stage": "collect"}
        record.end(standing, found)
        return FAILED
    record.write(standing, "done", judgement.warnings)
    say("", *as_one(judgement, len(go["addresses"])), *figures(standing.result), *_warnings(judgement))
    say("", f"{root}/    {'  '.join(sorted(path.name for path in root.iterdir() if path.name in _SHOWN))}")
    return 0


_SHOWN = ("results", "logs", "proof", "checkpoints", "status.json")


def as_one(judgement: proof.Judgement, nnodes: int) -> list[str]:
    """`2 machines trained as one (world size 2 of 2, gloo, 310 MB of gradients)`."""
    if nnodes == 1 and judgement.proven == 1:
        return ["1 machine trained (world size 1 of 1)"]
    size = f"world size {judgement.proven} of {judgement.expected}, {judgement.backend}"
    size += f", {judgement.gradient_bytes / 1e6:,.0f} MB of gradients" if judgement.gradient_bytes else ""
    if judgement.proven != judgement.expected:
        return [f"{nnodes} machines trained, not as one ({size}), which was allowed"]
    return [f"{nnodes} machine{'s' if nnodes > 1 else ''} trained as one ({size})"]


def figures(result: Mapping[str, Any]) -> list[str]:
    """The numbers of result.json that a person looks for first."""
    parts = []
    if isinstance(result.get("test_accuracy"), float):
        parts.append(f"test accuracy {result['test_accuracy']:.2%}")
    if result.get("epochs") and isinstance(result.get("train_seconds"), (int, float)):
        parts.append(f"{result['epochs']} epochs in {result['train_seconds']:.1f} s")
    if isinstance(result.get("images_per_second"), (int, float)):
        parts.append(f"{result['images_per_second']:,.0f} images/s")
    return ["   ".join(parts)] if parts else []


def _warnings(judgement: proof.Judgement) -> list[str]:
    return [f"warning: {each['what']}; {each['fix']}" for each in judgement.warnings]


def _result(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _hint() -> str:
    """`file:line` of what to change, as the nodes recognised the program."""
    top, path = Path(places.prepared()["checkout"]), places.the_job().program_path

    def read(name: str) -> str | None:
        file = top / name
        return file.read_text("utf-8-sig", "replace") if file.is_file() else None

    recognition = recognise((top / path).read_text("utf-8-sig"), path, read)
    is_plain = recognition.engine == "python" and not recognition.hard_coded
    return path if is_plain else recognition.where
