"""collect: bring logs, proof and results to the master; there, judge the proof and write it all down."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Iterator

from .. import proof
from ..console import STAGES
from ..context import Context, write_json
from ..failure import TAIL_LINES, StageFailed, problem
from ..gang import Gang
from ..store import MAX_NODE_BYTES
from .train import snapshot


def run(context: Context, deadline: float) -> str:
    """Bring everything; the master also judges. Returns how much came, for the console."""
    link = context.connected()
    count = size = 0
    left: list[str] = []
    for path, name in _files(context):
        try:
            if size + path.stat().st_size > MAX_NODE_BYTES:
                raise ValueError(f"more than {MAX_NODE_BYTES >> 30} GiB")  # noqa: TRY301
            hand_in(context, path, name)
            count, size = count + 1, size + path.stat().st_size
        except (OSError, ValueError) as error:  # or no room at the master
            left.append(f"{name} stays on {context.identity.name}: {error}")
            context.console.say(left[-1])
    link.send("collected", left=f"{left[0]} ({len(left)} files in all)" if left else "")
    if context.coordinator is not None:
        while not context.coordinator.over.wait(0.2):  # the gang has deadlines of its own for every node
            link.raise_if_again()
        _judge(context)
    final = link.wait("final", math.inf)  # other ranks may train on; a lost master ends this
    context.found["final"] = final
    if final["state"] == "failed" and final["problem"]["stage"] == "collect" and context.identity.is_master:
        raise StageFailed.of(final["problem"])
    return f"{count} files, {size / 1e6:.1f} MB"


def hand_in(context: Context, path: Path, name: str) -> None:
    """Bring one file to the master's store, as KIND/name."""
    if context.coordinator is not None:
        context.coordinator.store.keep_local("master", name, path)
    else:
        kind, _, relative = name.partition("/")
        context.connected().upload(path, kind, relative)


def _files(context: Context) -> Iterator[tuple[Path, str]]:
    """(path, KIND/name) of all that goes to the master."""
    own = context.own_directory
    for stage in STAGES:
        path = context.layout.logs / f"{stage}.log"
        if path.is_file() and stage not in ("collect", "finish"):
            yield path, f"logs/{stage}.log"
    places = {"proof": own / "proof", "results": own / "results"}
    places["results/checkpoints"] = context.found.get("checkpoints", context.layout.checkpoints(context.run))
    for attempt in range(1, context.attempt):  # what earlier ones wrote is not lost
        places[f"results/attempt-{attempt}"] = context.layout.here(context.run, attempt) / "results"
    for kind, top in places.items():
        for path in sorted(top.rglob("*")):
            if path.is_file() and not path.is_symlink() and not (kind == "proof" and path.suffix == ".part"):
                yield path, f"{kind}/{path.relative_to(top).as_posix()}"
    known: dict[str, Any] = context.found.get("files_before", {})
    for name, status in snapshot(context).items() if "files_before" in context.found else ():
        if known.get(name) != status:
            yield context.program_directory / name, f"results/files/{name}"


def _judge(context: Context) -> None:
    """On the master, when all is here: proof, status document, manifest, and the word to all nodes."""
    coordinator = context.coordinator
    assert coordinator is not None, "only the master judges"
    directory, gang = coordinator.store.directory, coordinator.gang
    files = _proofs(directory / "proof", context)
    expected = sum(member.facts.get("ranks", 1) for member in gang.members)
    found, allowed = gang.verdict, context.job.allow_single == "yes"
    judgement = proof.judge(
        files, expected, ended_well=found is None, hint=_hint(context), allow_single=allowed
    )
    if found is None and judgement.problem is not None:
        found = {**judgement.problem, "node": "master", "stage": "collect"}
    document = status(context, gang, judgement, found)
    context.found["document"] = document
    write_json(directory / "status.json", document)
    coordinator.store.write_manifest()
    latest = directory.parent.parent / "latest"
    latest.write_text(f"{context.run}/{context.attempt}\n")
    coordinator.tell("final", state=document["state"], problem=found, world_size=document["world_size"])


def status(
    context: Context, gang: Gang, judgement: proof.Judgement, found: dict[str, Any] | None
) -> dict[str, Any]:
    """The status document (docs/decisions/0001-the-spine.md)."""
    return {
        "schema": 1,
        "run": context.run,
        "attempt": context.attempt,
        "recoveries": gang.memory.recoveries,
        "state": "failed" if found else "done",
        "server": context.identity.server,
        "rerun": context.identity.rerun,
        "commit": context.found.get("commit", ""),
        "engine": context.found.get("engine", ""),
        "world_size": judgement.world_size(),
        "gradient_bytes": judgement.gradient_bytes,
        "nodes": [
            {
                "name": member.name,
                "rank": member.rank,
                "address": member.address,
                "state": _state(member, found),
                "stages": {name: round(s, 2) for name, s in member.stages.items()},
            }
            for member in gang.members
        ],
        "result": _result(context),
        "problems": [
            _shown(each) for each in (*((found,) if found else ()), *judgement.warnings, *_left(gang))
        ],
    }


def _left(gang: Gang) -> Iterator[dict[str, Any]]:
    """A warning for each node that did not bring all its files."""
    for each in gang.members:
        late = f"{each.name} did not bring its files in time" if each.is_here else ""
        what = each.left if each.collected else late
        if what:
            fix = "copy them from /var/lib/hotrun there"
            yield problem(
                "results-left-behind", what, fix=fix, level="warning", node=each.name, stage="collect"
            )


def _state(member: Any, found: dict[str, Any] | None) -> str:
    if member.lost:
        return "lost"
    if found is None:
        return "done"
    return "failed" if found["node"] == member.name else "stopped"


def _shown(found: dict[str, Any]) -> dict[str, Any]:
    public = ("code", "level", "node", "stage", "what", "where", "fix", "log")
    return {**{key: found[key] for key in public}, "log": found["log"][-TAIL_LINES:]}


def _result(context: Context) -> dict[str, Any]:
    """The program's own result.json, if it wrote one."""
    assert context.coordinator is not None, "only the master has it"
    try:
        found = json.loads((context.coordinator.store.directory / "results/result.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _proofs(directory: Path, context: Context) -> list[dict[str, Any]]:
    """Proof files of this very run and attempt; anything else is not counted."""
    found = [json.loads(path.read_text()) for path in sorted(directory.glob("rank*.json"))]
    return [each for each in found if each["run"] == context.run and each["attempt"] == context.attempt]


def _hint(context: Context) -> str:
    """`file:line` of a launch setting that the script hard-codes, or of what was recognised."""
    recognition = context.found.get("recognition")
    if recognition is None:
        return ""
    if not recognition.hard_coded and recognition.engine == "python":
        return str(context.job.program_path)  # there is no line to point at
    return str(recognition.where)
