"""Node program -> the archive that the user data carries, and back. Pure: reads only the program's own files.

49,149 bytes are all that a machine's user data may take, so the program travels without what no machine reads
(bare.py), as one text of records, and that text as the digits of an arithmetic coder. templates/unpack.py has
the model and the decoder; here is the other direction.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import runpy
import zlib
from typing import TYPE_CHECKING, Any

from cloud import assets
from cloud.template import names
from cloud.template.bare import bare

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CHANGED_BY_HORIZON = (
    r"(?<={)(?=\$)|(?<=\$)(?=})"  # `{$` and `$}`: horizon/utils/escape.py writes `{%` and `%}`
)
COLUMNS = 1000  # of the archive's lines; shorter ones cost an indentation each in the template
_SPAN = 94**9  # below it the coder takes the next digit, as in the decoder
_HELD = 11  # digits that the encoder still adds to; what is too much for the first of them is carried further
_FIRST: int = 94**10  # the value of the first of them
_CONTROL = (b"\0", b"\1")  # the end of the text and of a record


OPTIONAL = {  # part -> the files that are carried for it alone
    "swap": ("node/swap.py",),
    "share": ("node/share.py",),
    "ray": ("node/engines/ray.py",),
    "tensorflow": ("node/engines/tensorflow.py", "node/engines/tensorflow_probe.py"),
}
_ELSEWHERE = "node/slurm/"  # what only a job script carries


def node_files(
    parts: frozenset[str] = frozenset(), directory: Path = assets.NODE_PROGRAM
) -> dict[str, bytes]:
    """Return the node program as it is carried: path as stored (`node/…`) -> content, sorted by path.

    `parts`: those of OPTIONAL that the job needs.
    """
    left_out = {name for part, names in OPTIONAL.items() if part not in parts for name in names}
    found = {f"node/{path.relative_to(directory).as_posix()}": path for path in directory.rglob("*.py")}
    found = {
        name: path for name, path in found.items() if name not in left_out and not name.startswith(_ELSEWHERE)
    }
    sources = {name: bare(found[name].read_text(encoding="utf-8")) for name in sorted(found)}
    return {name: source.encode() for name, source in names.renamed(sources).items()}


def text(files: Mapping[str, bytes]) -> bytes:
    """Return the text that depends on nothing but names and contents: a record is name, newline, content."""
    records = {name: name.encode() + b"\n" + files[name] for name in sorted(files)}
    for name, record in records.items():
        if any(control in record for control in _CONTROL):
            raise ValueError(f"{name} has a control character that the archive needs for itself")
    return b"".join(record + b"\1" for record in records.values())


def packed(text: bytes) -> list[str]:
    """Return a text as lines of digits, all of ASCII that can be seen.

    Every reader (YAML's literal block, Heat's function, a quoted heredoc) takes them as they are; a line ends
    between two that Horizon would change.
    """
    archive = _encoded(text)
    lines = (archive[start : start + COLUMNS] for start in range(0, len(archive), COLUMNS))
    return [part for line in lines for part in re.split(CHANGED_BY_HORIZON, line)]


def unpacked(archive: str, sha256: str) -> dict[str, bytes]:
    """Return the files of an archive; ValueError with one sentence when it is damaged or another one."""
    archive = "".join(archive.split())
    try:
        found = _decoded(archive)
    except ValueError as error:
        raise ValueError(f"it can't be unpacked ({error})") from error
    digest = hashlib.sha256(found).hexdigest()
    if digest != sha256:
        raise ValueError(f"its SHA-256 is {digest[:12]}…, the boot script expects {sha256[:12]}…")
    files: dict[str, bytes] = _decoder()["files"](found)
    return files


@functools.cache
def own() -> str:
    """Return templates/unpack.py without what no machine reads: carried, and what the model learns from."""
    path = assets.UNPACK
    source = names.renamed({path.name: bare(path.read_text(encoding="utf-8"))})[path.name]
    return re.sub(r"\n\n+", "\n", source).strip("\n")


def decoder() -> str:
    """Return that text as base85 of zlib, whose bytes may differ from one zlib to another."""
    return base64.b85encode(zlib.compress(own().encode(), 9)).decode("ascii")


@functools.cache
def _decoder() -> dict[str, Any]:
    return runpy.run_path(str(assets.UNPACK), init_globals={"OWN": own()})


@functools.lru_cache(maxsize=16)
def _decoded(archive: str) -> bytes:
    found: bytes = _decoder()["decoded"](archive)
    return found


def _encoded(text: bytes) -> str:
    """Return the digits of a text: of all numbers the one that makes the decoder pick what is wanted."""
    symbols = iter(text.decode("latin-1") + "\0")
    wanted = next(symbols)
    low, span, counts = 0, 1, list[int]()

    def pick(symbol: str, chance: int) -> bool:
        nonlocal wanted, low, span
        while span < _SPAN:
            low, span = _shifted(low, counts), span * 94
        part = (span >> 16) * chance
        found = symbol == wanted
        if found:
            span, wanted = part, next(symbols, "")
        else:
            low, span = low + part, span - part
        return found

    _decoder()["text"](pick)
    for _ in range(_HELD):
        low = _shifted(low, counts)
    return _digits(counts)


def _shifted(low: int, counts: list[int]) -> int:
    """Move the first digit of what is held to the counts."""
    counts.append(low // _FIRST)
    return low % _FIRST * 94


def _digits(counts: list[int]) -> str:
    """Return counts as digits: 94 or more are carried to the place before. The first ones only made room."""
    for place in range(len(counts) - 1, 0, -1):
        counts[place - 1] += counts[place] // 94
        counts[place] %= 94
    return "".join(_decoder()["DIGITS"][count] for count in counts[_HELD:])
