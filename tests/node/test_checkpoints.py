"""Checkpoints are taken whole, verified, and go to every node."""

from __future__ import annotations

import os
import shutil
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from cloud.node import checkpoints
from cloud.node.checkpoints import KEEP, Keeper, newest, sha256

if TYPE_CHECKING:
    from pathlib import Path


def written(path: Path, content: bytes = b"weights") -> Path:
    """A file that was renamed into place, as careful programs do."""
    part = path.with_name(path.name + ".tmp")
    part.write_bytes(content)
    time.sleep(0.02)  # clocks of file systems tick
    return part.replace(path)


def facts(number: int, name: str = "a.pt", sha: str = "", manifest: str = "") -> dict[str, Any]:
    """As the master publishes them."""
    return {"name": name, "number": number, "sha256": sha, "manifest": manifest}


def test_a_kept_checkpoint_is_told_with_its_sum(tmp_path: Path) -> None:
    """Name, number and SHA-256, and the file lies beside its manifest."""
    keeper = Keeper(tmp_path)
    assert keeper.keep(facts(7, "a.ckpt", manifest="{}"), lambda path: path.write_bytes(b"x"))

    assert [["a.ckpt", 7, sha256(keeper.path(7, "a.ckpt"))]] == keeper.held()
    assert "{}" == keeper.path(7, "a.json").read_text()


def test_a_damaged_one_is_passed_over(tmp_path: Path) -> None:
    """What does not verify is not offered to anybody."""
    keeper = Keeper(tmp_path)
    keeper.keep(facts(7), lambda path: path.write_bytes(b"x"))
    keeper.keep(facts(8), lambda path: path.write_bytes(b"y"))
    keeper.path(8, "a.pt").write_bytes(b"z")

    assert [7] == [number for _, number, _ in keeper.held()]


def test_another_file_than_announced_is_refused(tmp_path: Path) -> None:
    """A wrong sum leaves nothing behind."""
    keeper = Keeper(tmp_path)

    assert not keeper.keep(facts(7, sha="0" * 64), lambda path: path.write_bytes(b"x"))
    assert [] == list(tmp_path.iterdir())


def test_a_copy_that_fails_in_its_middle_is_no_checkpoint(tmp_path: Path) -> None:
    """Only a whole one appears under its number."""

    def fails(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        Keeper(tmp_path).keep(facts(7), fails)
    assert [] == Keeper(tmp_path).held()


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    """Disks of small instances are small."""
    keeper = Keeper(tmp_path)
    for number in range(5):
        keeper.keep(facts(number), lambda path: path.write_bytes(b"x"))

    assert KEEP == len(keeper.held())
    assert not keeper.has(2)
    assert keeper.has(4)


def test_a_renamed_file_is_whole_at_once_and_one_being_written_is_not(tmp_path: Path) -> None:
    """A file written in place counts after two seconds of silence."""
    (tmp_path / "b.pt").write_bytes(b"half")
    assert newest([tmp_path / "b.pt"], 0, time.time()) is None

    path = written(tmp_path / "a.pt")
    found = newest([tmp_path / "b.pt", path], 0, time.time())

    assert found == (path, path.stat().st_mtime_ns, "")
    assert newest([tmp_path / "b.pt"], 0, time.time() + 3) is not None


def test_the_programs_own_manifest_decides(tmp_path: Path) -> None:
    """With one, the file counts as soon as the manifest is there, and the manifest goes along."""
    (tmp_path / "step-1.ckpt").write_bytes(b"x")
    (tmp_path / "step-1.json").write_text('{"file": "step-1.ckpt"}')

    found = newest(sorted(tmp_path.iterdir()), 0, time.time() + 9)

    assert found is not None
    assert ("step-1.ckpt", '{"file": "step-1.ckpt"}') == (found[0].name, found[2])


def test_a_json_about_something_else_is_no_manifest(tmp_path: Path) -> None:
    """Hyperparameters beside a checkpoint don't keep it from counting, and stay where they are."""
    (tmp_path / "step.json").write_text('{"lr": 0.1}')
    path = written(tmp_path / "step.pt")

    assert newest(sorted(tmp_path.iterdir()), 0, time.time()) == (path, path.stat().st_mtime_ns, "")


def test_a_note_of_the_latest_is_no_checkpoint(tmp_path: Path) -> None:
    """What it names is one."""
    path = written(tmp_path / "step.pt")
    written(tmp_path / "latest", b"step.pt")

    found = newest(sorted(tmp_path.iterdir()), 0, time.time() + 9)

    assert found is not None
    assert path == found[0]


def test_a_copy_that_failed_takes_no_room(tmp_path: Path) -> None:
    """The next one removes what it left, whatever its number was."""

    def fails(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("written to meanwhile")

    keeper = Keeper(tmp_path)
    for number in (1, 2):
        with pytest.raises(OSError, match="meanwhile"):
            keeper.keep(facts(number), fails)
    keeper.keep(facts(3), lambda path: path.write_bytes(b"x"))

    assert ["3"] == [path.name for path in tmp_path.iterdir()]


def test_a_torn_archive_is_no_checkpoint(tmp_path: Path) -> None:
    """What torch.save was killed in has no directory of its parts at its end."""
    with zipfile.ZipFile(tmp_path / "whole.pt", "w") as archive:
        archive.writestr("data", b"x" * 1000)
    content = (tmp_path / "whole.pt").read_bytes()
    torn = written(tmp_path / "torn.pt", content[:500])
    whole = written(tmp_path / "good.pt", content)
    os.utime(torn, ns=(2**62, 2**62))
    os.utime(whole, ns=(2**61, 2**61))

    found = newest([torn, whole], 0, 2.0**62)

    assert found is not None
    assert whole == found[0]


@pytest.mark.parametrize("name", ["x.tmp", "x.part", ".hidden", "x.json"])
def test_what_is_no_checkpoint_is_passed_over(tmp_path: Path, name: str) -> None:
    """Halves, manifests and hidden files never count; nor do links, and what was there before."""
    path = tmp_path / name
    path.write_text('{"file": "no"}')
    (tmp_path / "last.pt").symlink_to(path)
    old = written(tmp_path / "old.pt")

    assert newest([path, tmp_path / "last.pt", old], old.stat().st_mtime_ns, time.time() + 9) is None


def test_only_lightnings_files_count_outside_the_checkpoint_directory(tmp_path: Path) -> None:
    """A Trainer writes below the program's directory, beside everything else; none where that one is used."""
    for name in ("one", "two"):
        (tmp_path / name / ".git").mkdir(parents=True)
        shutil.copy(__file__, tmp_path / name / "a.pt")
        shutil.copy(__file__, tmp_path / name / "b.ckpt")
        shutil.copy(__file__, tmp_path / name / ".git" / "c.ckpt")

    def found() -> set[str]:
        places = [tmp_path / "one", tmp_path / "two"]
        return {str(path.relative_to(tmp_path)) for path in checkpoints._files(places)}

    assert {"one/a.pt", "one/b.ckpt"} == found()
    shutil.rmtree(tmp_path / "one")
    (tmp_path / "one").mkdir()
    assert {"two/b.ckpt"} == found()
