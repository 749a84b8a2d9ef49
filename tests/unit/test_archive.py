"""The archive of the node program: that it comes back as it was, and that the kept one is of the sources."""

from __future__ import annotations

import base64
import hashlib
import itertools
import shutil
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING

import pytest

from cloud import assets
from cloud.template import archive, kept

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

TEXTS = {
    "empty": b"",
    "one record": b"node/a.py\nprint()\n\1",
    "every byte but the two that are taken": bytes(range(2, 256)) * 3,
    "UTF-8": "ü🙂…".encode() * 50,
    "one letter for long": b"a" * 5000,
    "no order": b"".join(hashlib.sha256(bytes([i])).hexdigest().encode() for i in range(60)),
}


def decoded(lines: Iterable[str]) -> bytes:
    """What the lines of an archive hold, by the decoder itself."""
    found: bytes = archive._decoder()["decoded"]("\n".join(lines))
    return found


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_is_packed_comes_back(text: bytes) -> None:
    """Every text without the two control characters."""
    assert decoded(archive.packed(text)) == text


def test_the_node_program_comes_back() -> None:
    """The decoder, not the memory of the packer, gives what was packed; the kept archive is today's, as is seen below."""
    assert decoded(kept.packed().lines) == archive.text(archive.node_files())


def test_archive_is_the_same_on_every_machine() -> None:
    """Integers alone: these digits are what every Python and every processor makes of this text."""
    expected = r"uL\@g*k*^uOc%0Gs<{;!}whNF*PF</UCx8/"
    assert archive.packed(b"node/a.py\nfor each in range(10):\n print(each)\n\1") == [expected]


def test_archive_stands_in_any_text() -> None:
    """No blank, nothing but ASCII, whatever is packed."""
    digits = set("".join(line for text in TEXTS.values() for line in archive.packed(text)))
    assert digits <= set(map(chr, range(33, 127)))


def test_no_two_characters_stand_together_that_horizon_changes() -> None:
    """It writes `{%` for `{$` and `%}` for `$}` into every page, and an uploaded template goes through one."""
    lines = kept.packed().lines
    assert not [line for line in lines if "{$" in line or "$}" in line]
    assert any(
        (one[-1], other[0]) in {("{", "$"), ("$", "}")} for one, other in itertools.pairwise(lines)
    )  # it would have them


def test_text_depends_on_names_and_contents_alone() -> None:
    """Neither order nor owner nor time changes the archive."""
    files = {"node/b.py": b"b", "node/a.py": b"a"}
    assert (
        archive.text(files) == archive.text(dict(reversed(files.items()))) == b"node/a.py\na\1node/b.py\nb\1"
    )


def test_text_refuses_what_it_needs_itself() -> None:
    """A control character in a file would end its record."""
    with pytest.raises(ValueError, match="control character"):
        archive.text({"node/a.py": b"x = '\1'"})


@pytest.mark.parametrize("name", ["../a.py", "/node/a.py", "node/../../a.py", "node/a", "a.py"])
def test_no_file_leads_out_of_the_program(name: str) -> None:
    """A text with another path is refused as a whole."""
    text = archive.text({"node/a.py": b"", name: b""})
    packed = "\n".join(archive.packed(text))
    with pytest.raises(ValueError, match="none of the program"):
        archive.unpacked(packed, hashlib.sha256(text).hexdigest())


def test_a_shortened_archive_ends() -> None:
    """It is a sentence, not a search without end."""
    packed = "".join(archive.packed(TEXTS["no order"]))
    for damaged in (packed[:100], packed[:-20], "~" * 50, packed[:50] + "ü" + packed[50:], ""):
        with pytest.raises(ValueError, match="can't be unpacked"):
            archive.unpacked(damaged, "0" * 64)


@pytest.mark.process
def test_every_python_here_reads_and_writes_the_same() -> None:
    """The carried sources and their archive depend on no version."""
    code = (
        "import hashlib, sys; from cloud.template import archive; files = archive.node_files();"
        "few = {name: files[name] for name in list(files)[:8]};"
        "print(hashlib.sha256(archive.text(files)).hexdigest(), *archive.packed(archive.text(few)))"
    )
    found = [sys.executable, *(path for minor in range(11, 16) if (path := shutil.which(f"python3.{minor}")))]
    runs = [
        subprocess.run(
            [path, "-c", code], cwd=assets.NODE_PROGRAM.parents[1], capture_output=True, check=False
        )
        for path in found
    ]
    assert runs[0].returncode == 0
    assert len({run.stdout for run in runs if run.returncode == 0}) == 1


@pytest.mark.parametrize("parts", kept.KEPT, ids=str)
def test_the_kept_archives_are_those_of_the_sources(parts: frozenset[str]) -> None:
    """After a change of cloud/node: `make node-archive`."""
    made = kept.of(archive.node_files(parts))
    sources, sha256, decoder, *lines = kept.file_of(parts).read_text(encoding="ascii").splitlines()
    assert (kept._sources(), made.sha256, made.lines) == (sources, sha256, tuple(lines))
    assert archive.own() == zlib.decompress(base64.b85decode(decoder)).decode()


def test_the_decoder_is_carried_with_one_zlibs_bytes() -> None:
    """Those of the kept archive: another zlib's are others, and a template would differ by who made it."""
    for parts in kept.KEPT:
        assert kept.packed(parts).decoder == kept.file_of(parts).read_text(encoding="ascii").splitlines()[2]


def test_an_engine_is_carried_only_where_it_is_asked_for() -> None:
    """Its files and no other's; what belongs to job scripts never."""
    usual = set(archive.node_files())
    for part, names in archive.OPTIONAL.items():
        assert not usual & set(names)
        assert set(archive.node_files(frozenset({part}))) - usual == set(names)
    assert not [name for name in usual if name.startswith("node/slurm/")]


def test_without_the_kept_archive_it_is_packed_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stale file is as good as none, and nobody notices but by the time it takes."""
    stale = tmp_path / "node.archive"
    stale.write_text("0\n1\n2\n3\n")
    few = {"node/a.py": b"print()\n"}  # all would take seconds
    monkeypatch.setattr(kept, "_own_files", lambda _: few)
    expected = kept.of(few)
    for path in (stale, tmp_path / "none"):
        monkeypatch.setattr(kept, "file_of", lambda _, path=path: path)
        kept.packed.cache_clear()
        assert kept.packed() == expected
    kept.packed.cache_clear()
