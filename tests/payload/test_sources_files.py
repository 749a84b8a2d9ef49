from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sources import files
from sources.files import DataError, Say, obtain

from tests.payload.small import COLLECTION, FILES, NAMES, content_of, never, refuse, way_to, write


def test_files_that_are_there_are_taken(tmp_path: Path) -> None:
    """A root that has the right files is used as it is; nothing is fetched."""
    raw = write(tmp_path / "Small" / "raw")

    assert obtain(COLLECTION, [("never", never)], tmp_path, print) == raw


@pytest.mark.parametrize("wrong", [b"something else", b"", FILES["t10k-labels"][:-3]])
def test_a_wrong_file_is_named_and_fetched_again(tmp_path: Path, wrong: bytes) -> None:
    """A corrupted, empty or truncated file is named and replaced, also after it had been right; others stay."""
    raw = write(tmp_path / "Small" / "raw")
    obtain(COLLECTION, [], tmp_path, print)
    (raw / "t10k-labels").write_bytes(wrong)
    kept = {name: (raw / name).stat().st_ino for name in NAMES if name != "t10k-labels"}
    said: list[str] = []

    obtain(COLLECTION, [("a way", way_to())], tmp_path, said.append)

    assert content_of(raw) == FILES
    assert {name: (raw / name).stat().st_ino for name in kept} == kept
    assert len(said) == 1
    assert f"{raw / 't10k-labels'} is not SMALL's" in said[0]
    assert said[0].endswith("it is fetched again")


def test_a_wrong_file_is_kept_while_there_is_no_other(tmp_path: Path) -> None:
    """Nobody's file is destroyed unless the right one has arrived; the error names it and what was tried."""
    raw = write(tmp_path / "Small" / "raw")
    (raw / "t10k-labels").write_bytes(b"something else")
    bad = way_to({**FILES, "t10k-labels": b"from a bad mirror"})

    with pytest.raises(
        DataError, match=r"t10k-labels is not SMALL's.*\(2\) bad.*not SMALL's.*\(3\) none"
    ) as caught:
        obtain(COLLECTION, [("bad", bad), ("none", refuse)], tmp_path, print)

    assert "\n" not in str(caught.value)
    assert (raw / "t10k-labels").read_bytes() == b"something else"


def test_a_wrong_file_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is still wrong when it has been fetched again is an error, not another attempt."""
    raw = write(tmp_path / "Small" / "raw", {**FILES, "t10k-labels": b"wrong"})
    fetched = []
    renamed = Path.replace

    def way(directory: Path, say: Say) -> None:
        fetched.append(directory)
        write(directory)

    def failing(self: Path, target: Path) -> Path:
        result = renamed(self, target)
        if target.name == "t10k-labels":
            target.write_bytes(b"lost by the disk")
        return result

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(DataError, match=r"t10k-labels is not SMALL's.*right after it was fetched"):
        obtain(COLLECTION, [("a way", way)], tmp_path, print)

    assert len(fetched) == 1
    assert not (raw / files.MARKER).exists()


def test_a_checked_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The marker spares the hashes as long as size and time are the same."""
    write(tmp_path / "Small" / "raw")
    obtain(COLLECTION, [], tmp_path, print)
    monkeypatch.setattr(files, "check", lambda *_: pytest.fail("read again"))

    obtain(COLLECTION, [], tmp_path, print)


@pytest.mark.parametrize("marker", ["", "{", "[]", "null", '{"t10k-labels": 5}'])
def test_a_broken_marker_costs_a_check(tmp_path: Path, marker: str) -> None:
    """A marker that says nothing useful is written anew."""
    raw = write(tmp_path / "Small" / "raw")
    (raw / files.MARKER).write_text(marker)

    obtain(COLLECTION, [], tmp_path, print)

    assert set(json.loads((raw / files.MARKER).read_text())) == set(NAMES)


def test_all_ways_failing_is_one_sentence(tmp_path: Path) -> None:
    """The ways are named with what became of them, and nothing is left behind."""

    def lost(directory: Path, say: Say) -> None:
        raise OSError("host\nis unreachable")

    with pytest.raises(DataError) as caught:
        obtain(replace(COLLECTION, fix="buy it"), [("one", refuse), ("two", lost)], tmp_path, print)

    assert str(caught.value) == (
        f"SMALL can't be had: (1) {tmp_path}/Small/raw does not hold the four files; (2) one: no way to raw; "
        "(3) two: host is unreachable. buy it"
    )
    assert [path.name for path in (tmp_path / "Small" / "raw").iterdir()] == [".lock"]


def test_a_wrong_download_is_not_taken(tmp_path: Path) -> None:
    """What a way delivers is checked before it appears, and the next way is tried."""
    wrong = {**FILES, "train-labels": b"from a bad mirror"}
    partial = {name: FILES[name] for name in NAMES[:2]}
    said: list[str] = []

    ways = [("bad", way_to(wrong)), ("half", way_to(partial)), ("good", way_to())]
    raw = obtain(COLLECTION, ways, tmp_path, said.append)

    assert content_of(raw) == FILES
    assert "train-labels is not SMALL's" in said[0]
    assert "No such file" in said[1]


def test_many_that_need_it_fetch_once(tmp_path: Path) -> None:
    """Of several that share a root one fetches while the others wait, and say so."""
    fetched: list[Path] = []
    said: list[str] = []
    waiting = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        waiting.set()

    def way(directory: Path, _: Say) -> None:
        fetched.append(directory)
        assert waiting.wait(30)
        time.sleep(0.1)
        write(directory)

    threads = [
        threading.Thread(target=obtain, args=(COLLECTION, [("a way", way)], tmp_path, say)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(fetched) == 1
    assert len([text for text in said if "another process" in text]) == 2


def test_files_without_a_table_bring_one(tmp_path: Path) -> None:
    """A collection without SHA-256s keeps those of its first files beside them, and goes by these."""
    sums = "".join(f"{sha256}  {name}\n" for name, sha256 in COLLECTION.sha256.items()).encode()
    made = replace(COLLECTION, sha256={})
    raw = obtain(made, [("a way", way_to({**FILES, files.SUMS: sums}))], tmp_path, print)
    obtain(made, [("never", never)], tmp_path, print)
    (raw / "train-images").write_bytes(b"cut")
    said: list[str] = []

    obtain(made, [("a way", way_to({**FILES, files.SUMS: sums}))], tmp_path, said.append)

    assert content_of(raw) == FILES
    assert "train-images is not SMALL's" in said[0]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """replace() leaves the new content and nothing beside it, and the old one if it fails."""
    path = tmp_path / "file"
    files.replace(path, b"old")
    with pytest.raises(TypeError):
        files.replace(path, "text")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"

    files.replace(path, b"new")

    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
