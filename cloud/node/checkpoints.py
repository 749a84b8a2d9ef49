"""Checkpoints of rank 0, kept whole on every node: found, handed on, verified.

    kept/NUMBER/NAME  kept/NUMBER/NAME's manifest, if the program wrote one  kept/NUMBER/.whole

NUMBER is the time in ns at which rank 0 finished the file, so the highest is the newest.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import threading
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator

from .failure import MasterLost, StageFailed

if TYPE_CHECKING:
    from .context import Context

CHECKPOINT = "checkpoint"  # the published name of the newest one
KEEP = 2
_LOOK_S = 1.0
_STILL_S = 2.0
_WHOLE = ".whole"
_one_at_a_time = threading.Lock()  # an old attempt's copy may still be under way


class Keeper:
    """The newest `KEEP` checkpoints of a run on this node."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def held(self) -> list[list[Any]]:
        """[name, number, SHA-256] of each that is still what it was."""
        found = []
        for number, told in self._told():
            with contextlib.suppress(OSError):
                if sha256(self.path(number, told["name"])) == told["sha256"]:
                    found.append([told["name"], number, told["sha256"]])
        return found

    def path(self, number: int, name: str) -> Path:
        """Where that checkpoint lies or would lie."""
        return self._directory / str(number) / name

    def facts(self, number: int) -> dict[str, Any]:
        """What another node needs beside the file: name, number, sha256, manifest."""
        return {**dict(self._told())[number], "number": number}

    def has(self, number: int) -> bool:
        """Whether it is here."""
        return number in dict(self._told())

    def keep(self, facts: dict[str, Any], fill: Callable[[Path], None]) -> bool:
        """Take a checkpoint that `fill` writes to a path, whole or not at all; False when it is another file.

        facts: name, number, manifest (text, may be empty), sha256 (computed when empty).
        """
        with _one_at_a_time:
            return self.has(facts["number"]) or self._keep(facts, fill)

    def _keep(self, facts: dict[str, Any], fill: Callable[[Path], None]) -> bool:
        number, part = facts["number"], self._directory / f"{facts['number']}.part"
        for stale in self._directory.glob("*.part"):  # of a copy that failed
            shutil.rmtree(stale, ignore_errors=True)
        part.mkdir()
        fill(part / facts["name"])
        digest = sha256(part / facts["name"])
        if facts["sha256"] not in ("", digest):
            shutil.rmtree(part)
            return False
        if facts["manifest"]:
            (part / facts["name"]).with_suffix(".json").write_text(facts["manifest"])
        told = {"name": facts["name"], "sha256": digest, "manifest": facts["manifest"]}
        (part / _WHOLE).write_text(json.dumps(told))
        shutil.rmtree(self._directory / str(number), ignore_errors=True)
        part.replace(self._directory / str(number))
        for old, _ in sorted(self._told(), reverse=True)[KEEP:]:
            shutil.rmtree(self._directory / str(old), ignore_errors=True)
        return True

    def _told(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for path in self._directory.glob(f"*/{_WHOLE}"):
            if path.parent.name.isdigit():
                with contextlib.suppress(OSError, ValueError):
                    yield int(path.parent.name), json.loads(path.read_text())


def newest(files: Iterable[Path], since_ns: int, now: float) -> tuple[Path, int, str] | None:
    """(path, number, manifest) of the newest whole file that was written after `since_ns`.

    Whole is what a manifest beside it names; a zip, as torch.save writes it, that has its end; another file
    that was renamed into place (its inode changed after its content), or not written to for two seconds.
    """
    found = []
    for path in files:
        with contextlib.suppress(OSError, ValueError):
            status = path.lstat()
            if path.suffix in _NOT or path.name.startswith(".") or path.is_symlink() or not path.is_file():
                continue
            manifest = path.with_suffix(".json")
            text = manifest.read_text() if manifest.is_file() else ""
            text = text if f'"{path.name}"' in text else ""  # else it is about something else
            found.append((status.st_mtime_ns, path, text))
    for number, path, text in sorted(found, reverse=True):
        if number > since_ns and _is_whole(path, text, now):
            return path, number, text
    return None


_NOT = (".json", ".part", ".tmp", ".txt", ".csv", ".log", ".yaml", ".yml", ".jsonl")


def _is_whole(path: Path, manifest: str, now: float) -> bool:
    if manifest:
        return True
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            return zipfile.is_zipfile(path)
    if not path.suffix:  # a note of which one is the latest
        return False
    status = path.stat()
    return status.st_ctime_ns > status.st_mtime_ns or now - status.st_mtime > _STILL_S


class Replication:
    """While the program trains: the master hands on what rank 0 writes, every other node takes the newest."""

    def __init__(self, context: Context, directories: list[Path]) -> None:
        self._context, self._directories = context, directories
        self._keeper = Keeper(context.layout.kept(context.run))
        self._since_ns, self._ended = time.time_ns(), threading.Event()
        work = self._hand_on if context.coordinator is not None else self._take
        self._thread = threading.Thread(target=self._repeat, args=(work,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Finish what is under way, and look once more."""
        self._ended.set()
        self._thread.join(_LOOK_S + 60)

    def _repeat(self, work: Callable[[], None]) -> None:
        is_last = False
        while not is_last:
            is_last = self._ended.wait(_LOOK_S)
            with contextlib.suppress(OSError, MasterLost):
                work()  # where it vanished, or the disk is full, the next one counts

    def _hand_on(self) -> None:
        found = newest(_files(self._directories), self._since_ns, time.time())
        if found is None:
            return
        path, number, manifest = found
        facts = {"name": path.name, "number": number, "manifest": manifest, "sha256": ""}

        def copy(target: Path) -> None:
            shutil.copyfile(path, target)
            if path.lstat().st_mtime_ns != number:
                raise OSError("written to meanwhile")

        self._keeper.keep(facts, copy)
        self._since_ns = number
        coordinator = self._context.coordinator
        assert coordinator is not None, "only the master hands on"
        coordinator.store.link_shared(CHECKPOINT, self._keeper.path(number, path.name))
        coordinator.publish(CHECKPOINT, self._keeper.facts(number))

    def _take(self) -> None:
        link = self._context.connected()
        facts = link.offered(CHECKPOINT)
        if facts:
            self._keeper.keep(facts, lambda path: link.fetch(CHECKPOINT, path))


def resume(context: Context, wanted: dict[str, Any] | None, deadline: float) -> tuple[str, bool]:
    """(path of the checkpoint that all go on from, whether it has a manifest); the path is empty for none.

    A node that lacks it gets it from the first that holds it, through the master.
    """
    if not wanted:
        return "", False
    keeper, link = Keeper(context.layout.kept(context.run)), context.connected()
    name = f"resume-{context.attempt}"
    number, rank, holders = wanted["number"], context.identity.rank, wanted["holders"]
    path = keeper.path(number, wanted["name"])
    if rank == holders[0] and len(holders) < context.identity.nnodes:
        link.publish(name, path, **keeper.facts(number))
    if rank not in holders:
        facts = link.published(name, deadline)
        if not keeper.keep(facts, lambda target: link.fetch(name, target)):
            raise StageFailed("checkpoint-damaged", f"{wanted['name']} arrived damaged", fix="start again")
        context.console.say(f"{context.identity.name}: fetched {wanted['name']}")
    return str(path), bool(keeper.facts(number)["manifest"])


def sha256(path: Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def _files(directories: list[Path]) -> Iterator[Path]:
    """Everything in the first directory; where nothing is, Lightning's *.ckpt below the others."""
    for index, top in enumerate(directories):
        for folder, folders, names in os.walk(top):
            folders[:] = [each for each in folders if not each.startswith(".")]
            yield from (Path(folder, name) for name in names if index == 0 or name.endswith(".ckpt"))
        if index == 0 and any(top.iterdir()):  # the weights among the results are no checkpoint
            return
