"""On a machine: the files that belong home, listed and sent. Part of inside.py: standard library, Python 3.9.

It reads, and nothing else. A symbolic link is never followed: as root it would lead anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import sys
from typing import Any, BinaryIO, Iterator

from cloud.stack.inside.run import chosen, runs, say

CHUNK = 1 << 20
_MANIFEST_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def list_files(root: str, asked: str = "") -> None:
    """Say the run, then each file with its size, and its SHA-256 where the master's manifest has it.

    `asked`: an earlier run's id; the newest run when empty.
    """
    run, attempt, phase = chosen(root, asked)
    if asked and not run:
        say({"run": "", "attempt": 0, "phase": phase})
        say({"end": 0})
        return
    say({"run": run, "attempt": attempt, "phase": phase})
    known = _manifest(os.path.join(runs(root), run, str(attempt))) if phase == "collected" else {}
    seen = set()
    for kind, top in _places(root, run, attempt, phase):
        for name, size in _walk(top, kind):
            if name not in seen:
                seen.add(name)
                say({"path": name, "size": size, "sha256": known.get(name, "")})
    say({"end": len(seen)})


def send(root: str, run: str, attempt: str, phase: str) -> None:
    """Answer each request {path, offset, size, sha256} of stdin.

    `size` bytes at most are sent, from `offset` on; the SHA-256 that ends them is of the whole. A file whose
    `sha256` and size are those that the other side has already is only said to be the same.
    """
    requests = [json.loads(line) for line in sys.stdin.buffer.read().splitlines()]
    places = _places(root, run, int(attempt), phase)
    for asked in requests:
        say({"file": asked["path"]})
        try:
            with _open(places, asked["path"]) as file:
                _send_one(file, asked)
        except (OSError, ValueError) as error:
            say({"failed": str(getattr(error, "strerror", "") or error)})
    say({"end": len(requests)})


def _send_one(file: BinaryIO, asked: dict[str, Any]) -> None:
    size, digest, told = min(asked["size"], os.fstat(file.fileno()).st_size), hashlib.sha256(), 0
    if asked.get("sha256") and _hash(file, digest, size) == size and digest.hexdigest() == asked["sha256"]:
        say({"same": True})
        return
    file.seek(0)
    digest = hashlib.sha256()
    begin = min(asked["offset"], size)
    told = _hash(file, digest, begin)
    while told < size:
        chunk = file.read(min(CHUNK, size - told))
        if not chunk:
            break
        digest.update(chunk)
        told += len(chunk)
        say({"bytes": len(chunk)})
        sys.stdout.buffer.write(chunk)
    say({"done": digest.hexdigest(), "size": told})


def _hash(file: BinaryIO, digest: Any, size: int) -> int:
    """Take the first `size` bytes into a digest, with a sign of life every 64 MiB; how many there were."""
    done = 0
    while done < size:
        chunk = file.read(min(CHUNK, size - done))
        if not chunk:
            break
        digest.update(chunk)
        done += len(chunk)
        if done % (64 * CHUNK) == 0:
            say({"hashed": done})
            sys.stdout.buffer.flush()
    return done


def _places(root: str, run: str, attempt: int, phase: str) -> list[tuple[str, str]]:
    """(KIND, directory) of all that belongs home; of two files with one name the first counts."""
    collected = os.path.join(runs(root), run, str(attempt))
    if phase == "collected":
        return [("", collected)]
    logs = [("logs/master", os.path.join(root, "var/log/hotrun"))]
    if not run:
        return logs
    here = os.path.join(runs(root), run, "%d-here" % attempt)
    own = [(kind, os.path.join(here, kind)) for kind in ("results", "proof")]
    kept = [("results/checkpoints", os.path.join(runs(root), run, "checkpoints"))]
    return [("", collected), *own, *kept, *([] if phase == "ended" else logs)]  # they are of the newest run


def _walk(top: str, kind: str) -> Iterator[tuple[str, int]]:
    """(name, size) of regular files below `top`, in order; nothing half-written of ours."""
    for directory, folders, names in os.walk(top):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(directory, name)
            relative = os.path.join(kind, os.path.relpath(path, top))
            try:
                facts = os.lstat(path)
            except OSError:  # gone since
                continue
            if stat.S_ISREG(facts.st_mode) and _is_wanted(relative):
                yield relative, facts.st_size


def _is_wanted(relative: str) -> bool:
    if relative in ("manifest.sha256", "status.json"):
        return True
    return relative.partition("/")[0] in ("results", "logs", "proof")


def _open(places: list[tuple[str, str]], path: str) -> BinaryIO:
    """Open a listed file for reading. Raises ValueError or OSError for anything else."""
    if os.path.isabs(path) or os.path.normpath(path) != path or path.startswith("..") or not _is_wanted(path):
        raise ValueError("no file that belongs home")
    for kind, top in places:
        prefix = kind + "/" if kind else ""
        candidate = os.path.join(top, path[len(prefix) :])
        if not path.startswith(prefix) or not os.path.lexists(candidate):
            continue
        if os.path.realpath(candidate) != os.path.join(os.path.realpath(top), path[len(prefix) :]):
            raise ValueError("behind a symbolic link")
        number = os.open(candidate, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        if stat.S_ISREG(os.fstat(number).st_mode):
            return os.fdopen(number, "rb")
        os.close(number)
        raise ValueError("no regular file")
    raise ValueError("it is gone")


def _manifest(directory: str) -> dict[str, str]:
    found = {}
    try:
        with open(
            os.path.join(directory, "manifest.sha256"), encoding="utf-8", errors="surrogateescape"
        ) as file:
            for line in file:
                matched = _MANIFEST_LINE.fullmatch(line.rstrip("\n"))
                if matched:
                    found[matched[2]] = matched[1]
    except OSError:
        pass
    return found
