"""Node program -> the archive that the user data carries, and back. Pure: reads only the program's own files.

49,149 bytes are all that a machine's user data may take, so the program travels without what no machine reads
(bare.py), as one text of records, and that text as the digits of a range coder. templates/unpack.py has the
model and the decoder; here is the other direction.
"""

from __future__ import annotations

import base64
import bz2
import functools
import hashlib
import re
import runpy
from typing import TYPE_CHECKING, Any

from cloud import assets
from cloud.template.bare import bare

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COLUMNS = 1000  # of the archive's lines; shorter ones cost an indentation each in the template
_SPAN = 91**9  # below it the range coder takes the next digit, as in the decoder
_HELD = 11  # digits that the encoder still adds to; what is too much for the first of them is carried further
_FIRST: int = 91**10  # the value of the first of them
_CONTROL = (b"\0", b"\1")  # the end of the text and of a record
_packed_here: dict[
    str, bytes
] = {}  # archive -> text, of this process: to make one takes a second, as to read it


def node_files(directory: Path = assets.NODE_PROGRAM) -> dict[str, bytes]:
    """Return the node program as it is carried: path as stored (`node/…`) -> content, sorted by path."""
    found = {f"node/{path.relative_to(directory).as_posix()}": path for path in directory.rglob("*.py")}
    return {name: bare(found[name].read_text(encoding="utf-8")).encode() for name in sorted(found)}


def text(files: Mapping[str, bytes]) -> bytes:
    """Return the text that depends on nothing but names and contents: a record is name, newline, content."""
    records = {name: name.encode() + b"\n" + files[name] for name in sorted(files)}
    for name, record in records.items():
        if any(control in record for control in _CONTROL):
            raise ValueError(f"{name} has a control character that the archive needs for itself")
    return b"".join(record + b"\1" for record in records.values())


def packed(text: bytes) -> list[str]:
    """Return a text as lines of digits, 13 bits in two of them.

    The alphabet has no quote, backslash or blank; every reader (YAML's literal block, Heat's function, a
    quoted heredoc) takes it as it is.
    """
    archive = _encoded(text)
    _packed_here[archive] = text
    return [archive[start : start + COLUMNS] for start in range(0, len(archive), COLUMNS)]


def unpacked(archive: str, sha256: str) -> dict[str, bytes]:
    """Return the files of an archive; ValueError with one sentence when it is damaged or another one."""
    archive = "".join(archive.split())
    try:
        found = _packed_here.get(archive) or _decoded(archive)
    except ValueError as error:
        raise ValueError(f"it can't be unpacked ({error})") from error
    digest = hashlib.sha256(found).hexdigest()
    if digest != sha256:
        raise ValueError(f"its SHA-256 is {digest[:12]}…, the boot script expects {sha256[:12]}…")
    files: dict[str, bytes] = _decoder()["files"](found)
    return files


def decoder() -> str:
    """Return templates/unpack.py without what no machine reads, as base85 of bzip2."""
    source = re.sub(r"\n\n+", "\n", bare(assets.UNPACK.read_text(encoding="utf-8"))).strip("\n")
    return base64.b85encode(bz2.compress(source.encode())).decode("ascii")


@functools.cache
def _decoder() -> dict[str, Any]:
    return runpy.run_path(str(assets.UNPACK))


@functools.lru_cache(maxsize=16)
def _decoded(archive: str) -> bytes:
    found: bytes = _decoder()["decoded"](archive)
    return found


@functools.lru_cache(maxsize=16)
def _encoded(text: bytes) -> str:
    """Return the digits of a text: of all numbers the one that makes the decoder pick what is wanted."""
    symbols = iter(text.decode("latin-1") + "\0")
    wanted = next(symbols)
    low, span, counts = 0, 1, list[int]()

    def pick(shares: dict[str, int], escape: int) -> str:
        nonlocal wanted, low, span
        while span < _SPAN:
            low, span = _shifted(low, counts), span * 91
        unit = span // (sum(shares.values()) << 16)
        found = wanted if wanted in shares else ""
        for symbol, share in shares.items():
            if symbol == found:
                break
            low += unit * share * (65536 - escape)
        span = unit * (shares[found] * (65536 - escape) if found else sum(shares.values()) * escape)
        if found:
            wanted = next(symbols, "")
        return found

    _decoder()["text"](pick)
    for _ in range(_HELD):
        low = _shifted(low, counts)
    return _digits(counts)


def _shifted(low: int, counts: list[int]) -> int:
    """Move the first digit of what is held to the counts."""
    counts.append(low // _FIRST)
    return low % _FIRST * 91


def _digits(counts: list[int]) -> str:
    """Return counts as digits: 91 or more are carried to the place before. The first ones only made room."""
    for place in range(len(counts) - 1, 0, -1):
        counts[place - 1] += counts[place] // 91
        counts[place] %= 91
    return "".join(_decoder()["DIGITS"][count] for count in counts[_HELD:])
