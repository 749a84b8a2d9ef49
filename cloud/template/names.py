"""Files of one program -> the same with short names for what nothing outside of it can ask for. Pure.

A name is one thing everywhere in the program: it is renamed in all files or in none, and no two become one.
It stays as it is where anything but the program's own code might look for it:

- it is a word of a string, a keyword of a call, a field, a class, an import, a builtin, or a dunder;
- it is public and an attribute, other than of a module of the program: the object may not be ours. A method
  `like_this` of a class without a base is ours (a test asks the standard library for others);
- it is private and an attribute of something else than `self` or a name of the program's own.
"""

from __future__ import annotations

import ast
import builtins
import itertools
import keyword
import re
import string
import tokenize
from collections import Counter
from typing import TYPE_CHECKING

from cloud.template.shorter import F_STRING, fields, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NOT_OURS = {"wait_for"}  # methods of the standard library that are called as ours are
_THEIRS = {"eq", "fp", "ge", "gt", "io", "le", "lt", "ne", "os", "re"}  # short ones of the standard library
_WORD = re.compile(r"[^\W\d]\w*")


def renamed(files: Mapping[str, str]) -> dict[str, str]:
    """Return the files of a program, path -> source, with short names."""
    new = short_names(files)
    return {path: _with(new, source) for path, source in files.items()}


def short_names(files: Mapping[str, str]) -> dict[str, str]:
    """Return what each name becomes; the most used first."""
    trees = [ast.parse(source) for source in files.values()]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    used = Counter(name for source in files.values() for name in _names(source))
    free = {name for node in nodes for name in _made(node)} - {
        name for node in nodes for name in _asked(node)
    }
    modules = {path.rpartition("/")[2].removesuffix(".py") for path in files}
    free -= _foreign(nodes, modules) | {*dir(builtins), *keyword.kwlist, *keyword.softkwlist}
    order = sorted((name for name in free if len(name) > 2), key=lambda name: (-used[name], name))
    return dict(zip(order, _short({*used, *dir(builtins), *_THEIRS}), strict=False))


def _made(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node makes."""
    if isinstance(node, ast.FunctionDef):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield node.attr


def _asked(node: ast.AST) -> Iterator[str]:
    """Yield the names that something beside the program's code may ask for."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
        text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        yield from _WORD.findall(text)
    elif isinstance(node, ast.keyword):
        yield from [node.arg] if node.arg else []
    elif isinstance(node, ast.ClassDef):
        yield node.name
        for part in node.body:
            if isinstance(part, ast.AnnAssign | ast.Assign):  # a field, or what a base class reads
                yield from (name.id for name in ast.walk(part) if isinstance(name, ast.Name))
            elif isinstance(part, ast.FunctionDef) and part.name not in {*_methods(node)}:
                yield part.name if not part.name.startswith("_") else ""
    elif isinstance(node, ast.Import):
        yield from (word for each in node.names for word in (each.asname or each.name).split("."))
    elif isinstance(node, ast.ImportFrom):
        yield from (each.asname or each.name for each in node.names if not node.level or each.asname)
    elif isinstance(node, ast.FormattedValue) and node.format_spec:
        yield from (name.id for name in ast.walk(node.format_spec) if isinstance(name, ast.Name))
    elif isinstance(node, ast.Global | ast.Nonlocal):
        yield from node.names


def _methods(node: ast.AST) -> Iterator[str]:
    """Yield the public methods of a class that only the program can know by these names."""
    if isinstance(node, ast.ClassDef) and not node.bases:
        names = (part.name for part in node.body if isinstance(part, ast.FunctionDef))
        yield from (
            name for name in names if re.fullmatch(r"[a-z]+(_[a-z]+)+", name) and name not in _NOT_OURS
        )


def _foreign(nodes: list[ast.AST], modules: set[str]) -> set[str]:
    """Return attributes of what may not be the program's own, modules of the program, and dunders."""
    own = modules & {
        each.name for node in nodes if isinstance(node, ast.ImportFrom) and node.level for each in node.names
    }
    found, methods = set(own), {name for node in nodes for name in _methods(node)}
    for node in nodes:
        if not isinstance(node, ast.Attribute):
            continue
        name, of = node.attr, node.value.id if isinstance(node.value, ast.Name) else ""
        is_private = name.startswith("_") and not name.startswith("__")
        if not (of in own or name in methods or (is_private and of == "self")):
            found.add(name)
    return found | {name for node in nodes for name in _made(node) if name.startswith("__")}


def _short(taken: set[str]) -> Iterator[str]:
    """Yield names of two letters."""
    for letters in itertools.product(string.ascii_lowercase, string.ascii_letters):
        name = "".join(letters)
        if name not in taken and not keyword.iskeyword(name):
            yield name


def _names(source: str) -> Iterator[str]:
    for kind, text, _, _ in tokens(source):
        if kind == tokenize.NAME:
            yield text
        elif kind == tokenize.STRING and F_STRING.match(text):
            for start, end in fields(text):
                yield from _WORD.findall(text[start:end])


def _with(new: Mapping[str, str], source: str) -> str:
    """Return a source with other names, in its f-strings too; the path of an import stays."""
    lines, edits, is_path = source.split("\n"), [], False
    for kind, text, start, end in tokens(source):
        opens = text == "from" and not lines[start[0] - 1][: start[1]].strip()
        is_path = opens or (is_path and text != "import")
        if kind == tokenize.NAME and text in new and not is_path:
            edits.append((start, end, new[text]))
        elif kind == tokenize.STRING and F_STRING.match(text):
            said = text
            for first, last in reversed(list(fields(text))):
                inside = _WORD.sub(lambda match: new.get(match[0], match[0]), said[first:last])
                said = said[:first] + inside + said[last:]
            edits.append((start, end, said))
    for (row, column), (last_row, last_column), said in reversed(edits):
        joined = lines[row - 1][:column] + said + lines[last_row - 1][last_column:]
        lines[row - 1 : last_row] = joined.split("\n")
    return "\n".join(lines)
