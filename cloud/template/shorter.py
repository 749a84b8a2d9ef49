"""Python source -> the same lines, short names for variables, no blanks that Python does not need. Pure.

The same on every Python from 3.11 on: since 3.12 tokens look inside f-strings, and until then the tree has
wrong places for what is in them. So an f-string is one token here, and its braces are parsed on their own.
"""

from __future__ import annotations

import ast
import builtins
import io
import itertools
import keyword
import re
import string
import tokenize
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef
# kind, text, where it begins and ends (line, character)
Token = tuple[int, str, tuple[int, int], tuple[int, int]]
_OPENS, _CLOSES = (getattr(tokenize, f"FSTRING_{end}", -1) for end in ("START", "END"))
_UNSEEN = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
_WATCHERS = {"locals", "vars", "exec", "eval", "dir"}  # a function that calls one keeps its names
F_STRING = re.compile(r"[rR]?[fF][rR]?('''|\"\"\"|'|\")")


def shorter(source: str) -> str:
    """Return source with short variables, one blank per indentation, and no others where none are needed."""
    lines, rows = source.split("\n"), defaultdict[int, str](str)
    before, ended, depth, is_new = "", (1, 0), 0, True
    for kind, text, start, end in _renamed(source, lines):
        depth += (kind == tokenize.INDENT) - (kind == tokenize.DEDENT)
        is_new = is_new or kind == tokenize.NEWLINE
        if kind in _UNSEEN:
            continue
        if is_new:
            rows[start[0]] = " " * depth
        elif start[0] > ended[0]:
            rows[ended[0]] += "\\" * lines[ended[0] - 1].endswith("\\")
        elif start > ended and _would_join(before, text):
            rows[start[0]] += " "
        for row, part in enumerate(text.split("\n"), start[0]):
            rows[row] += part
        before, ended, is_new = text, end, False
    return "".join(f"{rows[row]}\n" for row in range(1, max(rows, default=0) + 1))


def _renamed(source: str, lines: list[str]) -> Iterator[Token]:
    """Yield the tokens of a source, its variables with their short names; places are those of the source."""
    tree = ast.parse(source)
    functions = [(node.lineno, node.end_lineno or 0, variables) for node, variables in _variables(tree)]
    mentions = {(name.lineno, name.col_offset) for name in _names(tree)}
    for kind, text, start, end in tokens(source):
        new = next((found for first, last, found in functions if first <= start[0] <= last), {})
        if kind == tokenize.STRING and F_STRING.match(text):
            yield kind, _in_string(text, new), start, end
        elif (
            text in new
            and kind == tokenize.NAME
            and (start[0], len(lines[start[0] - 1][: start[1]].encode())) in mentions
        ):
            yield kind, new[text], start, end
        else:
            yield kind, text, start, end


def tokens(source: str) -> Iterator[Token]:
    """Yield tokens, an f-string as one of them as Python 3.11 has it."""
    lines, depth, opened = source.split("\n"), 0, (0, 0)
    for kind, text, start, end, _ in tokenize.generate_tokens(io.StringIO(source).readline):
        if kind == _OPENS:
            opened, depth = opened if depth else start, depth + 1
        depth -= kind == _CLOSES
        if kind == _CLOSES and not depth:
            rows = lines[opened[0] - 1 : end[0]]
            rows[-1] = rows[-1][: end[1]]
            yield tokenize.STRING, "\n".join([rows[0][opened[1] :], *rows[1:]]), opened, end
        elif not depth:
            yield kind, text, start, end


def _would_join(before: str, text: str) -> bool:
    """Whether two tokens would be read as one, or as others; `1 .real` is such a pair too."""
    return _is_word(before[-1]) and (_is_word(text[0]) or (before[-1].isdigit() and text[0] == "."))


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _variables(tree: ast.Module) -> Iterator[tuple[Function, dict[str, str]]]:
    """Yield each outermost function with its variables and their short names, the most used first.

    Only what assignments, loops and `with` bind inside that one function, is no argument of it or of a
    function in it, and is neither a name of the module nor a builtin: then every mention means this variable.
    """
    functions = list(_functions(tree))
    inside = {id(part) for function in functions for part in ast.walk(function)}
    outside = {name for part in ast.walk(tree) if id(part) not in inside for name in _said(part)}
    for function in functions:
        parts = list(ast.walk(function))
        used = Counter(part.id for part in parts if isinstance(part, ast.Name))
        if any(isinstance(part, ast.ClassDef) for part in parts) or used.keys() & _WATCHERS:
            continue
        bound = {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
        fixed = {name for part in parts if not isinstance(part, ast.Name) for name in _said(part)}
        free = bound - fixed - outside - {*dir(builtins)} - set(_hard_to_reach(parts))
        order = sorted(free, key=lambda name: (-used[name], name))
        yield function, dict(zip(order, _letters((used.keys() | fixed) - free), strict=False))


def _functions(node: ast.AST) -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield child
        else:
            yield from _functions(child)


def _said(node: ast.AST) -> Iterator[str]:
    """Yield the names that one node binds or mentions; attributes and keywords of calls are none."""
    if isinstance(node, ast.alias):
        yield (node.asname or node.name).partition(".")[0]
    elif isinstance(node, ast.Global | ast.Nonlocal):
        yield from node.names
    elif not isinstance(node, ast.keyword):
        yield from (
            name for key in ("id", "arg", "name", "rest") if isinstance(name := getattr(node, key, None), str)
        )


def _hard_to_reach(parts: list[ast.AST]) -> Iterator[str]:
    """Yield names in an f-string's format, in one inside another, and before a `=` that shows them."""
    for part in parts:
        if not isinstance(part, ast.JoinedStr):
            continue
        for before, value in itertools.pairwise([ast.Constant(""), *part.values]):
            said = str(before.value).rstrip() if isinstance(before, ast.Constant) else ""
            for node in ast.walk(value):
                if isinstance(node, ast.JoinedStr) or (node is value and said.endswith("=")):
                    yield from (name.id for name in ast.walk(node) if isinstance(name, ast.Name))


def _letters(taken: set[str]) -> Iterator[str]:
    """Yield names of one letter, then of two."""
    for length in (1, 2):
        for letters in itertools.product(string.ascii_letters, repeat=length):
            name = "".join(letters)
            if name not in taken and not keyword.iskeyword(name):
                yield name


def _names(node: ast.AST) -> Iterator[ast.Name]:
    """Yield the names of a tree that stand in no f-string."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Name):
            yield child
        elif not isinstance(child, ast.JoinedStr):
            yield from _names(child)


def _in_string(text: str, new: dict[str, str]) -> str:
    """Return an f-string with short names in its braces."""
    for start, end in reversed(list(fields(text))):
        expression = re.sub(r"(?<![=!<>])=\s*$", "", text[start:end])
        found = expression.encode()
        names = _names(ast.parse(f"({expression})", mode="eval"))
        for name in sorted(names, key=lambda name: -name.col_offset):
            at = name.col_offset - 1
            found = found[:at] + new.get(name.id, name.id).encode() + found[at + len(name.id.encode()) :]
        text = text[:start] + found.decode() + text[start + len(expression) :]
    return text


def fields(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the expressions of an f-string begin and end."""
    opening = F_STRING.match(text)
    at = opening.end() if opening else len(text)
    while at < len(text):
        if text.startswith(("{{", "}}"), at):
            at += 2
        elif text[at] == "{":
            end = _end(text, at + 1, "}:!")
            yield at + 1, end
            at = _end(text, end, "}") + 1
        else:
            at += 1


def _end(text: str, at: int, ends: str) -> int:
    """Return where one of the characters stands that no bracket and no quote hides."""
    depth, quote = 0, ""
    while depth or quote or text[at] not in ends or text.startswith("!=", at):
        character = text[at]
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character in "([{") - (character in ")]}")
        at += 1 + text.startswith("!=", at)
    return at
