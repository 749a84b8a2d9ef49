"""The node program's archives as they were packed last, so that generating and reading need not pack them.

cloud/template/node.archive, node-ray.archive and node-tensorflow.archive each hold the SHA-256 of the sources
and of the text, the decoder, and the archive's lines. `python -m cloud.template.kept` writes them anew, and a
test compares; when cloud/node was changed since, or for other parts of it, the archive is packed where it is
needed, which takes some seconds. Pure: reads only the program's own files.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloud import assets
from cloud.template import archive

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT = (frozenset[str](), frozenset({"ray"}), frozenset({"tensorflow"}))
"""The parts of the archives that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """The node program as the user data carries it."""

    sha256: str
    """Of the text that the archive unpacks to."""
    decoder: str
    """What unpacks it, as it stands in the boot script."""
    lines: tuple[str, ...]


def file_of(parts: frozenset[str]) -> Path:
    """Where the archive with these parts is kept."""
    return Path(__file__).with_name("-".join(["node", *sorted(parts)]) + ".archive")


@functools.cache
def packed(parts: frozenset[str] = frozenset()) -> Packed:
    """Return the archive with these parts of the sources as they are now, kept or packed anew."""
    try:
        sources, sha256, decoder, *lines = file_of(parts).read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return of(_own_files(parts))
    if sources != _sources():
        return of(_own_files(parts))
    return Packed(sha256=sha256, decoder=decoder, lines=tuple(lines))


def require(text: str, sha256: str) -> None:
    """Raise ValueError as `files` does; at once where the archive is this program's own."""
    if _own(text, sha256) is None:
        archive.unpacked(text, sha256)


def files(text: str, sha256: str) -> dict[str, bytes]:
    """Return the files of an archive as `archive.unpacked` does, at once where it is this program's own."""
    parts = _own(text, sha256)
    return archive.unpacked(text, sha256) if parts is None else dict(_own_files(parts))


def _own(text: str, sha256: str) -> frozenset[str] | None:
    """The parts of a kept archive that this is; None for another one."""
    for parts in KEPT:
        own = packed(parts)
        if sha256 == own.sha256 and text.split() == list(own.lines):
            return parts
    return None


@functools.cache
def _own_files(parts: frozenset[str]) -> dict[str, bytes]:
    return archive.node_files(parts)


def of(files: Mapping[str, bytes]) -> Packed:
    """Return the archive of these files, packed now."""
    text = archive.text(files)
    sha256, lines = hashlib.sha256(text).hexdigest(), tuple(archive.packed(text))
    return Packed(sha256=sha256, decoder=archive.decoder(), lines=lines)


@functools.cache
def _sources() -> str:
    """SHA-256 of everything that the archives depend on: cloud/node, the packer and the unpacker."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    makers = [here / f"{name}.py" for name in ("archive", "bare", "names", "shorter")]
    program = [path for path in sorted(assets.NODE_PROGRAM.rglob("*.py")) if path.parent.name != "slurm"]
    for path in [*program, assets.UNPACK, *makers]:
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def main() -> None:
    """Write the files."""
    for parts in KEPT:
        made = of(_own_files(parts))
        text = "\n".join([_sources(), made.sha256, made.decoder, *made.lines]) + "\n"
        file_of(parts).write_text(text, encoding="ascii")


if __name__ == "__main__":
    main()
