"""One fetch over ssh: the list, what of it is here already, the rest; again when the connection breaks."""

from __future__ import annotations

import errno
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cloud.errors import HotrunError, Problem
from cloud.manifest import MANIFEST, sha256
from cloud.stack.fetch.frames import PARTS, Receiver, requests_text
from cloud.stack.fetch.listing import BadAnswer, Listing, Remote, listing
from cloud.stack.fetch.progress import Shown, size_text
from cloud.stack.shell import NoShell
from cloud.stack.shell.stream import bad_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cloud.stack.shell import Shell
    from cloud.stack.shell.stream import Stream
    from cloud.ui import Ui

TRIES = 5  # without a new file or byte in between
PAUSE_S = 2.0
SPARE_BYTES = 64 << 20
_LIST_S = 60.0


@dataclass
class Came:
    """What a fetch brought."""

    listing: Listing
    done: dict[str, Remote] = field(default_factory=dict)
    damaged: list[Remote] = field(default_factory=list)
    failed: list[tuple[Remote, str]] = field(default_factory=list)


class Transfer:
    """Brings files of one machine into `folder`."""

    def __init__(self, shell: Shell, folder: Path, ui: Ui, sleep: Callable[[float], None]) -> None:
        self._shell, self._folder, self._ui, self._sleep = shell, folder, ui, sleep

    def look(self, run: str = "") -> Listing:
        """Ask the master what there is of its newest run, or of one that is named."""
        stream = self._shell.python("list", *([run] if run else []))
        with self._answering(stream):
            return listing(_lines(stream))

    def bring(self, found: Listing) -> Came:
        """Bring all files; a damaged one is loaded once more, a broken connection made again.

        Raises NoShell when the connection breaks TRIES times without anything new; what is here stays.
        """
        came, tries = Came(found), 0
        while True:
            arrived = Arrived()
            try:
                self._bring_once(came, arrived)
            except NoShell as error:
                tries = 1 if arrived.count else tries + 1
                if tries >= TRIES or error.problems[0].code not in ("ssh-lost", "ssh-unreachable"):
                    raise
                self._ui.say(f"{error.problems[0].what}; going on in {PAUSE_S * tries:.0f} s")
                self._sleep(PAUSE_S * tries)
                continue
            except OSError as error:
                raise self._not_kept(error) from error
            shutil.rmtree(self._folder / PARTS, ignore_errors=True)
            return came

    def _bring_once(self, came: Came, arrived: Arrived) -> None:
        wanted = [each for each in came.listing.files if each.path not in came.done]
        for is_last in (False, True):
            asked = list(self._asked(wanted, came))
            if not asked:
                return
            receiver = self._receive(came, asked, arrived, is_again=is_last)
            wanted, came.failed = receiver.damaged, [*came.failed, *receiver.failed]
            if not wanted:
                return
            if not is_last:
                self._ui.say(f"{len(wanted)} files arrived damaged and are loaded again")
        came.damaged = wanted

    def _asked(self, wanted: list[Remote], came: Came) -> Iterator[tuple[Remote, dict[str, Any]]]:
        """Requests for what is not here; what is here and right is done."""
        receiver = self._receiver(came.listing, None)
        known_bytes = sum(each.size for each in wanted if (self._folder / each.place).is_file())
        if known_bytes > 500 << 20:
            self._ui.say(f"looking at {size_text(known_bytes)} that are here already")
        for each in wanted:
            here = self._folder / each.place
            known = ""
            if each.path != MANIFEST and here.is_file() and here.stat().st_size == each.size:
                known = sha256(here)
            if known and known == each.sha256:
                came.done[each.path] = each
            else:
                yield each, receiver.request(each, "" if each.sha256 else known)

    def _receive(
        self, came: Came, asked: list[tuple[Remote, dict[str, Any]]], arrived: Arrived, *, is_again: bool
    ) -> Receiver:
        size = sum(remote.size - request["offset"] for remote, request in asked)
        self._require_room(size)
        found = came.listing
        if not is_again:
            before = f"; {len(came.done):,} are here" if came.done else ""
            kind = "" if found.is_whole else ", a snapshot of what there is so far"
            self._ui.say(f"fetching {len(asked):,} files, {size_text(size)}{kind}{before}")
        with Shown(self._ui, len(asked), size) as shown:
            receiver = self._receiver(found, shown)
            words = ("send", found.run, str(found.attempt), found.phase)
            stream = self._shell.python(*words, stdin=requests_text(asked))
            try:
                with self._answering(stream):
                    receiver.take(stream, asked)
            finally:
                arrived.count += shown.arrived + shown.whole
                came.done.update({each.path: each for each in receiver.done})
        return receiver

    @contextmanager
    def _answering(self, stream: Stream) -> Iterator[None]:
        """While the master answers: what goes wrong is said in words, and the stream ends with it."""
        try:
            yield
        except BadAnswer as error:
            raise bad_answer("master", error) from error
        except (EOFError, TimeoutError) as error:
            raise self._shell.lost(stream) from error
        finally:
            stream.end()

    def _not_kept(self, error: OSError) -> HotrunError:
        """What to raise when this computer's disk refuses."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            what = f"{self._folder}: the disk is full; what has arrived stays"
            return HotrunError(Problem(code="no-room-here", what=what, fix="free some space and fetch again"))
        what = f"not everything could be kept in {self._folder}: {error.strerror or error}"
        return HotrunError(Problem(code="results-not-kept", what=what, fix="mend that and fetch again"))

    def _receiver(self, found: Listing, shown: Shown | None) -> Receiver:
        return Receiver(self._folder, found.key, shown or Arrived())

    def _require_room(self, size: int) -> None:
        """Raise when the disk has less room than what is still to come."""
        free = shutil.disk_usage(self._folder).free
        if size + SPARE_BYTES > free:
            what = f"{self._folder}: {size_text(size)} are to come, {size_text(free)} are free"
            fix = "free some space, or name another place with --runs-dir"
            raise HotrunError(Problem(code="no-room-here", what=what, fix=fix))


class Arrived:
    """Counts what arrived, shown to nobody."""

    def __init__(self) -> None:
        self.count = 0

    def bytes(self, count: int) -> None:
        """So many more bytes arrived."""
        self.count += count

    def file(self) -> None:
        """One more file is whole."""
        self.count += 1


def _lines(stream: Stream) -> Iterator[bytes]:
    while True:
        yield stream.line(_LIST_S)
