"""The program that ssh runs on a machine: what it knows, and its files. Standard library, Python 3.9.

    [--root DIR] status                     one JSON document: the run, its machines, newest lines
    [--root DIR] list [RUN]                 JSON lines: the run, then every file that belongs home
    [--root DIR] send RUN ATTEMPT PHASE     requests on stdin, frames on stdout (fetch/frames.py reads them)
    [--root DIR] follow BACK STAYS AFTER    log lines as JSON lines: the last BACK of each, and new ones
    [--root DIR] board USER PORT            a TensorBoard of the newest run, and how it is as JSON lines
    [--root DIR] ports PORT [PACKAGE]       whether something listens there, as JSON lines

Its files travel as one text (`program()`), and nothing of them stays there. No secret is said but the
token of Ray's dashboard to `tunnel`.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Callable

from cloud.stack.inside.board import ports, show
from cloud.stack.inside.files import list_files, send
from cloud.stack.inside.logs import follow
from cloud.stack.inside.run import MAX_LINE_BYTES, STAGES, current, document, runs, say

MAGIC = b"hotrun-inside 1\n"  # what a login shell prints before it is no part of the answer
PORT = 5170  # cloud/node/job.py
HEADERS = ("X-Hotrun-Secret", "X-Hotrun-Rank")  # cloud/node/link.py
PARTS = {
    ".run": "run.py",
    ".files": "files.py",
    ".logs": "logs.py",
    ".events": "events.py",
    ".board": "board.py",
    "": "__init__.py",
}  # this module is the last
LOADER = """\
import json, sys, types
for name, text in json.loads(sys.stdin.buffer.read(int(sys.argv[1]))):
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
sys.exit(module.main(sys.argv[2:]))"""


def program() -> bytes:
    """What LOADER reads: the names and texts of all parts."""
    here = Path(__file__).parent
    texts = [[__name__ + part, (here / name).read_text(encoding="utf-8")] for part, name in PARTS.items()]
    return json.dumps(texts).encode()


def main(arguments: list[str]) -> int:
    """Run one of the commands of this page."""
    root = "/"
    if arguments[:1] == ["--root"]:
        root, arguments = arguments[1], arguments[2:]
    sys.stdout.buffer.write(MAGIC)
    command, words = arguments[0], arguments[1:]
    try:
        COMMANDS[command](root, *words)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # whoever asked is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0


def status(root: str) -> None:
    """What the master's coordinator and its files tell."""
    run, attempt, phase = current(root)
    missing: list[str] = []
    nodes = _nodes(root, missing) if phase == "running" else []
    judged = os.path.join(runs(root), run, str(attempt), "status.json")
    found = {
        "schema": 1, "run": run, "attempt": attempt, "phase": phase, "nodes": nodes,
        "lines": _newest_lines(root), "result": document(judged) if phase == "collected" else None,
        "missing": missing,
    }  # fmt: skip
    say(found)


COMMANDS: dict[str, Callable[..., None]] = {
    "status": status, "list": list_files, "send": send, "follow": follow, "board": show, "ports": ports,
}  # fmt: skip


def _nodes(root: str, missing: list[str]) -> list[dict[str, Any]]:
    """Every machine as the master's coordinator knows it."""
    try:
        with open(os.path.join(root, "etc/hotrun/job.json"), encoding="utf-8") as file:
            job = json.load(file)
        connection = http.client.HTTPConnection(job["master"], PORT, timeout=3)
        connection.request("GET", "/status", headers=dict(zip(HEADERS, (job["secret"], "0"))))
        answer = connection.getresponse()
        members = json.loads(answer.read())["members"] if answer.status == 200 else []
        if answer.status != 200:
            missing.append("the coordinator answered %d" % answer.status)
        connection.close()
    except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
        missing.append("the coordinator: %s" % (getattr(error, "strerror", "") or type(error).__name__))
        return []
    return [_node(member, time.monotonic()) for member in members]


def _node(member: dict[str, Any], now: float) -> dict[str, Any]:
    rank, heard = member["rank"], member.get("heard") or 0
    state = (
        "waiting"
        if not heard
        else "lost"
        if member.get("lost")
        else "ended"
        if member.get("said_bye")
        else "here"
    )
    return {
        "name": "worker-%d" % rank if rank else "master", "rank": rank, "address": member.get("address", ""),
        "state": state, "stage": member.get("stage", ""), "stages": member.get("stages", {}),
        "heard_s": round(max(0.0, now - heard), 1) if heard else None, "lost": member.get("lost_how", ""),
    }  # fmt: skip


def _newest_lines(root: str) -> list[dict[str, Any]]:
    """The last line of each of this machine's logs, the one that was written last at the end."""
    found = []
    top = os.path.join(root, "var/log/hotrun")
    for stage in STAGES:
        try:
            with open(os.path.join(top, stage + ".log"), "rb") as file:
                facts = os.fstat(file.fileno())
                file.seek(max(0, facts.st_size - MAX_LINE_BYTES))
                lines = file.read(MAX_LINE_BYTES).decode("utf-8", "replace").split("\n")
        except OSError:
            continue
        text = next((line.strip() for line in reversed(lines) if line.strip()), "")
        if text:
            found.append(
                {"stage": stage, "text": text[-500:], "age_s": round(time.time() - facts.st_mtime, 1)}
            )
    return sorted(found, key=lambda line: -line["age_s"])
