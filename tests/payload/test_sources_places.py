from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sources import files
from sources.files import DataError, obtain

from tests.payload.small import COLLECTION, FILES, never, way_to, write


def test_a_lock_that_is_never_free_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a process that hangs is told so at the deadline."""
    monkeypatch.setattr(files, "LOCK_WAIT_S", 0.0)
    monkeypatch.setattr(files, "_try_lock", lambda _: False)

    with pytest.raises(DataError, match=r"\.lock is held for 0 s by a process that fetches SMALL"):
        obtain(COLLECTION, [("never", never)], tmp_path, print)


def test_what_a_killed_fetch_left_is_removed(tmp_path: Path) -> None:
    """Directories of an old fetch go with the next one; young ones may belong to somebody."""
    raw = tmp_path / "Small" / "raw"
    for name in ("fetching-old", "fetching-young"):
        write(raw / name)
    old = time.time() - files.STALE_S - 60
    os.utime(raw / "fetching-old", (old, old))

    obtain(COLLECTION, [("a way", way_to())], tmp_path, print)

    assert [path.name for path in raw.glob("fetching-*")] == ["fetching-young"]


def test_a_place_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    """What the file system refuses is told with the file's name and the flag that helps."""
    (tmp_path / "Small").write_text("")

    with pytest.raises(
        DataError, match=r"Small/raw/train-images: Not a directory; --data.root DIR names another place"
    ):
        obtain(COLLECTION, [("never", never)], tmp_path, print)


@pytest.fixture
def belonging_to_others() -> Iterator[Callable[[dict[str, bytes]], Path]]:
    """Makes a root with the given files that this process may only read."""
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:

        def make(content: dict[str, bytes]) -> Path:
            root = Path(directory)
            for path in (write(root / "Small" / "raw", content), root):
                path.chmod(0o555)
                stack.callback(path.chmod, 0o755)
            if os.geteuid() == 0:  # root may write everywhere
                os.seteuid(65534)
                stack.callback(os.seteuid, 0)
            return root

        yield make


def test_a_root_of_others_is_used(belonging_to_others: Callable[[dict[str, bytes]], Path]) -> None:
    """Right files in a directory that can't be written are taken, without a marker."""
    root = belonging_to_others(FILES)

    assert obtain(COLLECTION, [("never", never)], root, print) == root / "Small" / "raw"
    assert not (root / "Small" / "raw" / files.MARKER).exists()


def test_a_wrong_file_of_others_is_a_sentence(
    belonging_to_others: Callable[[dict[str, bytes]], Path],
) -> None:
    """A wrong file in a directory that can't be written is named with the reason why it stays."""
    root = belonging_to_others({**FILES, "t10k-labels": b"wrong"})

    with pytest.raises(
        DataError, match=r"t10k-labels is not SMALL's.*Permission denied; --data.root"
    ) as caught:
        obtain(COLLECTION, [("never", never)], root, print)

    assert "\n" not in str(caught.value)
