"""Python source -> the same program in fewer bytes, for the user data. Pure.

Left out: comments, docstrings, types that nothing reads at run time, blanks that Python does not need.
Variables of functions get names of a letter or two. Lines keep their numbers, and functions, arguments and
attributes their names, so a traceback from a machine fits cloud/node. The types of a class's fields stay:
dataclasses read them.
"""

from __future__ import annotations

import ast
import functools
import re
from typing import TYPE_CHECKING

from cloud.template.shorter import shorter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Span = tuple[int, int, int, int, str]  # first line, byte, last line, byte, what takes its place
_TYPING = ("typing", "collections.abc")


@functools.cache
def bare(source: str) -> str:
    """Return source that does the same in the same lines."""
    nodes = list(ast.walk(ast.parse(source)))
    text = _without(source, [*_strings_alone(nodes), *_types(nodes, source.encode().split(b"\n"))])
    text = _without(text, _unused_imports(ast.parse(text)))
    return shorter(text)


def _without(source: str, spans: Iterable[Span]) -> str:
    lines = source.encode().split(b"\n")
    for first, start, last, end, instead in sorted(spans, reverse=True):
        joined = lines[first - 1][:start] + instead.encode() + lines[last - 1][end:]
        lines[first - 1 : last] = [joined, *[b""] * (last - first)]
    return b"\n".join(lines).decode()


def _strings_alone(nodes: list[ast.AST]) -> Iterator[Span]:
    """Yield docstrings and the sentences under fields; a body that would be empty keeps a `pass`."""
    for parent in nodes:
        body = getattr(parent, "body", None)
        if not isinstance(body, list):
            continue
        alone = [node for node in body if _is_text(node)]
        for node in alone:
            is_needed = len(alone) == len(body) and node is body[0] and not isinstance(parent, ast.Module)
            yield _span(node.lineno, node.col_offset, node, "pass" if is_needed else "")


def _types(nodes: list[ast.AST], lines: list[bytes]) -> Iterator[Span]:
    """Yield types in signatures and of variables, and blocks that only type checkers read.

    A type in brackets of its own stays: the tree does not say where they end.
    """
    fields = {id(part) for node in nodes if isinstance(node, ast.ClassDef) for part in node.body}
    for node in nodes:
        found: ast.expr | None = None
        if isinstance(node, ast.arg):
            found, before = node.annotation, rb":\s*$"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found, before = node.returns, rb"\s*->\s*$"
        elif isinstance(node, ast.AnnAssign) and node.value and id(node) not in fields:
            found, before = node.annotation, rb":\s*$"
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not node.orelse:
            yield _span(node.lineno, node.col_offset, node, "pass" if node.col_offset else "")
        mark = re.search(before, lines[found.lineno - 1][: found.col_offset]) if found else None
        if found and mark:
            yield _span(found.lineno, mark.start(), found)


def _unused_imports(tree: ast.Module) -> Iterator[Span]:
    """Yield what was imported for types alone."""
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module in _TYPING:
            kept = [each.name for each in node.names if each.asname or each.name in used]
            if all(each.asname is None for each in node.names):
                text = f"from {node.module} import {', '.join(kept)}" if kept else ""
                yield _span(node.lineno, node.col_offset, node, text)


def _span(line: int, byte: int, until: ast.expr | ast.stmt, instead: str = "") -> Span:
    return line, byte, until.end_lineno or line, until.end_col_offset or 0, instead


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
