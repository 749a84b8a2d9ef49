"""The node program's archive as it was packed last, so that generating and reading need not pack it again.

cloud/template/node.archive holds the SHA-256 of the sources and of the text, then the archive's lines.
`python -m cloud.template.kept` writes it anew, and a test compares; when cloud/node was changed since, the
archive is packed where it is needed, which takes two seconds. Pure: reads only the program's own files.
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

FILE = Path(__file__).with_name("node.archive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """The node program as the user data carries it."""

    sha256: str
    """Of the text that the archive unpacks to."""
    lines: tuple[str, ...]


@functools.cache
def packed() -> Packed:
    """Return the archive of the sources as they are now, kept or packed anew."""
    try:
        sources, sha256, *lines = FILE.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return of(_own_files())
    return Packed(sha256=sha256, lines=tuple(lines)) if sources == _sources() else of(_own_files())


def files(text: str, sha256: str) -> dict[str, bytes]:
    """Return the files of an archive as `archive.unpacked` does, at once where it is this program's own."""
    own = packed()
    if sha256 == own.sha256 and text.split() == list(own.lines):
        return dict(_own_files())
    return archive.unpacked(text, sha256)


@functools.cache
def _own_files() -> dict[str, bytes]:
    return archive.node_files()


def of(files: Mapping[str, bytes]) -> Packed:
    """Return the archive of these files, packed now."""
    text = archive.text(files)
    return Packed(sha256=hashlib.sha256(text).hexdigest(), lines=tuple(archive.packed(text)))


def _sources() -> str:
    """SHA-256 of everything that the archive depends on: cloud/node, the packer and the unpacker."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    makers = [here / f"{name}.py" for name in ("archive", "bare", "shorter")]
    for path in [*sorted(assets.NODE_PROGRAM.rglob("*.py")), assets.UNPACK, *makers]:
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def main() -> None:
    """Write the file."""
    made = of(_own_files())
    FILE.write_text("\n".join([_sources(), made.sha256, *made.lines]) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
