"""Node program -> the archive that the user data carries, and back. Pure: reads only the program's own files.

Comments, docstrings and the types of arguments stay at home: they are a quarter of the archive, and 49,149
bytes is all that a machine's user data may take. Lines keep their numbers, so a traceback from a machine
fits cloud/node.
"""

from __future__ import annotations

import ast
import base64
import bz2
import hashlib
import io
import re
import tarfile
import tokenize
from typing import TYPE_CHECKING

from cloud import assets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

COLUMNS = 500  # of the archive's lines; shorter ones cost an indentation each in the template
Span = tuple[int, int, int, int, str]  # first line, column, last line, column, what takes its place


def node_files(directory: Path = assets.NODE_PROGRAM) -> dict[str, bytes]:
    """Return the node program as it is carried: path as stored (`node/…`) -> content, sorted by path."""
    found = {f"node/{path.relative_to(directory).as_posix()}": path for path in directory.rglob("*.py")}
    return {name: bare(found[name].read_text(encoding="utf-8")).encode() for name in sorted(found)}


def bare(source: str) -> str:
    """Return Python source without comments, docstrings and argument types; lines keep their numbers."""
    lines = source.splitlines()
    tree = ast.parse(source)
    spans = [*_strings_alone(tree, lines), *_annotations(tree, lines), *_comments(source)]
    for first, start, last, end, replacement in sorted(spans, reverse=True):
        kept = lines[first - 1][:start] + replacement + lines[last - 1][end:]
        lines[first - 1 : last] = [kept.rstrip(), *[""] * (last - first)]
    return "\n".join(lines).rstrip("\n") + "\n" if any(lines) else ""


def tar_bytes(files: Mapping[str, bytes]) -> bytes:
    """Return a tar that depends on nothing but names and contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(files[name]), 0o644, 0
            tar.addfile(member, io.BytesIO(files[name]))
    return buffer.getvalue()


def packed(tar: bytes) -> list[str]:
    """Return the tar as lines of base85 of bzip2.

    bzip2 takes 6 % less than xz for this much Python, base85 6 % less than base64. Its alphabet has no
    quote, backslash or blank; every reader (YAML's literal block, Heat's function, a quoted heredoc) takes
    it as it is.
    """
    text = base64.b85encode(bz2.compress(tar)).decode("ascii")
    return [text[start : start + COLUMNS] for start in range(0, len(text), COLUMNS)]


def unpacked(text: str, sha256: str) -> dict[str, bytes]:
    """Return the files of a packed tar; ValueError with one sentence when it is damaged or another one."""
    try:
        tar = bz2.decompress(base64.b85decode("".join(text.split())))
    except (ValueError, OSError) as error:
        raise ValueError(f"it can't be unpacked ({error})") from error
    found = hashlib.sha256(tar).hexdigest()
    if found != sha256:
        raise ValueError(f"its SHA-256 is {found[:12]}…, the boot script expects {sha256[:12]}…")
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(tar)) as members:
        for member in members:
            content = members.extractfile(member)
            if content is not None:
                files[member.name] = content.read()
    return files


def _strings_alone(tree: ast.Module, lines: list[str]) -> Iterator[Span]:
    """Yield docstrings and the sentences under fields; a body that would be empty keeps a `pass`."""
    for parent in ast.walk(tree):
        body = getattr(parent, "body", None)
        if not isinstance(body, list):
            continue
        alone = [node for node in body if _is_text(node)]
        for node in alone:
            is_needed = len(alone) == len(body) and node is body[0] and not isinstance(parent, ast.Module)
            yield _span(lines, node.lineno, node.col_offset, node, "pass" if is_needed else "")


def _annotations(tree: ast.Module, lines: list[str]) -> Iterator[Span]:
    """Yield the types in signatures; those of fields stay, as dataclasses read them.

    A type in brackets of its own stays too: the tree does not say where they end.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            found, before = node.annotation, rb":\s*$"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found, before = node.returns, rb"\s*->\s*$"
        else:
            continue
        mark = re.search(before, lines[found.lineno - 1].encode()[: found.col_offset]) if found else None
        if found and mark:
            yield _span(lines, found.lineno, mark.start(), found)


def _span(
    lines: list[str], first: int, start_byte: int, until: ast.expr | ast.stmt, instead: str = ""
) -> Span:
    last, end_byte = until.end_lineno or first, until.end_col_offset or 0
    return first, _column(lines[first - 1], start_byte), last, _column(lines[last - 1], end_byte), instead


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _column(line: str, offset_bytes: int) -> int:
    return len(line.encode()[:offset_bytes].decode())


def _comments(source: str) -> Iterator[Span]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            (first, start), (last, end) = token.start, token.end
            yield first, start, last, end, ""
