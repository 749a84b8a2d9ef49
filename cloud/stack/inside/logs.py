"""On a machine: its log lines, old ones and new ones. Part of inside.py: standard library, Python 3.9."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, BinaryIO

from cloud.stack.inside.run import MAX_LINE_BYTES, STAGES, current, runs, say

_BLOCK = 65536
_LOOK_S = 0.5


def follow(root: str, back: str, stays: str, after: str) -> None:
    """Say log lines; `after`: NODE/STAGE -> [inode, offset] that the other side has.

    STAYS: `no` (what is there now), `run`, `always`. After a run the master has the logs of every machine.
    """
    at = json.loads(after)
    is_first, is_live = not at, any(key.startswith("/") for key in at) or current(root)[2] != "collected"
    while True:
        _, _, phase = current(root)
        for node, stage, path in _logs(root, is_live):
            _follow_one(node, stage, path, at, int(back) if is_first else 0)
        say({"phase": phase})
        sys.stdout.buffer.flush()
        if stays == "no" or (stays == "run" and phase != "running"):
            break
        is_first = False
        time.sleep(_LOOK_S)


def _follow_one(node: str, stage: str, path: str, at: dict[str, Any], back: int) -> None:
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return
    with os.fdopen(number, "rb") as file:
        facts = os.fstat(number)
        key = node + "/" + stage
        inode, offset = at.get(key, (0, 0))
        if inode != facts.st_ino or offset > facts.st_size:
            offset = 0
        elif offset == facts.st_size:
            return
        if back and not offset:
            offset = _last_lines(file, facts.st_size, back)
        file.seek(offset)
        while True:
            line = file.readline(MAX_LINE_BYTES)
            if not line or (not line.endswith(b"\n") and len(line) < MAX_LINE_BYTES):
                break  # the rest of it is still to come
            offset += len(line)
            at[key] = [facts.st_ino, offset]
            text = line.decode("utf-8", "replace").rstrip("\n")
            say({"node": node, "stage": stage, "text": text, "at": at[key]})


def _last_lines(file: BinaryIO, size: int, count: int) -> int:
    """Where the last `count` lines begin."""
    end, found = size, 0
    while end:
        begin = max(0, end - _BLOCK)
        file.seek(begin)
        block = file.read(end - begin)
        position = len(block)
        while True:
            position = block.rfind(b"\n", 0, position)
            if position < 0:
                break
            found += 1
            if found > count:
                return begin + position + 1
        end = begin
    return 0


def _logs(root: str, is_live: bool) -> list[tuple[str, str, str]]:
    """(node, stage, path): this machine's own, else those that the master collected of all machines."""
    run, attempt, _ = current(root)
    top = os.path.join(runs(root), run, str(attempt), "logs")
    if not is_live and os.path.isdir(top):
        nodes = sorted(os.listdir(top), key=lambda name: (name != "master", len(name), name))
        places = [(node, os.path.join(top, node)) for node in nodes]
    else:
        places = [("", os.path.join(root, "var/log/hotrun"))]
    return [(node, stage, path) for node, place in places for stage, path in _stages(place)]


def _stages(place: str) -> list[tuple[str, str]]:
    """(stage, path) of the logs in a directory, in the order of the stages; unknown ones last."""
    try:
        names = [name[:-4] for name in os.listdir(place) if name.endswith(".log")]
    except OSError:
        return []
    order = {stage: number for number, stage in enumerate(STAGES)}
    names.sort(key=lambda name: (order.get(name, len(order)), name))
    return [(name, os.path.join(place, name + ".log")) for name in names]
