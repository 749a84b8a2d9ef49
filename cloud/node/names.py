"""A program's own files -> what a name in them means: `Trainer` -> `pytorch_lightning.Trainer`. Pure.

Imports are followed into the repository's own modules, what these pass on included. Nothing is executed.
"""

from __future__ import annotations

import ast
import posixpath
from typing import Any, Callable, Iterator, Optional

MAX_FILES, MAX_DEPTH, MAX_CHARACTERS = 50, 5, 1_000_000  # of all files: two seconds
Read = Callable[[str], Optional[str]]
_LIBRARIES = ("torch", "pytorch_lightning", "lightning", "lightning_fabric", "ray", "tensorflow", "keras")


class Source:
    """One file: its tree, the modules that it imports, and what its names stand for."""

    def __init__(self, path: str, text: str, depth: int) -> None:
        self.path, self.depth = path, depth
        self.tree = ast.parse(text, path)
        if depth:  # what only runs when this file is the program
            self.tree.body = [node for node in self.tree.body if not _is_main_guard(node)]
        self.modules: list[str] = []
        self.stars: list[str] = []
        self.names: dict[str, str] = {}
        self.nodes = list(ast.walk(self.tree))
        for node in self.nodes:
            self._import(node)
        for node in self.nodes:  # `class T(pl.Trainer)` and `T = pl.Trainer` stand for it as well
            if isinstance(node, ast.ClassDef) and node.bases:
                self._alias(node.name, node.bases[0])
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self._alias(node.targets[0].id, node.value)

    def value(self, node: ast.expr) -> Any:
        """The constant that an expression is, or None; of an f-string what comes before its first name."""
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "str" and node.args:
            node = node.args[0]
        if isinstance(node, ast.JoinedStr) and node.values:
            node = node.values[0]
        if isinstance(node, ast.Name):  # one that the module assigns once, at its top
            assigned = (each for each in self.tree.body if isinstance(each, ast.Assign))
            found = [each.value for each in assigned if words(each.targets[0]) == [node.id]]
            node = found[0] if len(found) == 1 else node
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError):
            return None

    def _import(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.modules.append(alias.name)
                head = alias.name.partition(".")[0]
                self.names[alias.asname or head] = alias.name if alias.asname else head
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:  # a leading dot: from the top of the repository
                folders = posixpath.dirname(self.path).split("/")
                kept = folders[: len(folders) - node.level + 1]
                base = "." + ".".join(word for word in [*kept, base] if word)
            for alias in node.names:
                name = f"{base.rstrip('.')}.{alias.name}"
                self.modules.append(name)
                if alias.name == "*":
                    self.stars.append(base)
                else:
                    self.names[alias.asname or alias.name] = name

    def _alias(self, name: str, node: ast.expr) -> None:
        head, *rest = words(node) or [""]
        if head in self.names:
            self.names.setdefault(name, ".".join([self.names[head], *rest]))


class Program:
    """The entrypoint first, then what it imports of the repository, nearest first.

    `read(path)`: the text of a file of the repository, or None. Raises SyntaxError for the entrypoint alone.
    """

    def __init__(self, source: str, path: str, read: Read) -> None:
        self._read, self._path, self._left = read, path, MAX_CHARACTERS
        self.files = [Source(path, source, 0)]
        self._modules: dict[str, Optional[Source]] = {}
        for file in self.files:  # grows
            for module in file.modules if file.depth < MAX_DEPTH else ():
                parts = module.split(".")
                for cut in range(1, len(parts) + 1):
                    self._load(".".join(parts[:cut]), file.depth + 1)

    def origin(self, file: Source, node: ast.expr) -> str:
        """`pl.Trainer` -> `pytorch_lightning.Trainer`; empty for what no library made."""
        found = words(node)
        return self._resolved(file, found) if found else ""

    def _resolved(self, file: Source, found: list[str], hops: int = 9) -> str:
        if found[0] in file.names:
            return self._followed(".".join([file.names[found[0]], *found[1:]]), hops)
        seen = (self._followed(".".join([star, *found]), hops) for star in file.stars)
        return next(filter(None, seen), "")

    def _followed(self, dotted: str, hops: int) -> str:
        parts = dotted.split(".")
        for cut in range(len(parts) - 1, 0, -1):
            file = self._modules.get(".".join(parts[:cut]))
            if file:
                return self._resolved(file, parts[cut:], hops - 1) if hops else ""
        return "" if dotted.startswith(".") else dotted

    def _load(self, module: str, depth: int) -> None:
        stem = module.strip(".").replace(".", "/")
        if module in self._modules or not stem:
            return
        self._modules[module] = None
        for path in self._candidates(module, stem):
            known = [file for file in self.files if file.path == path]
            text = None if known or len(self.files) == MAX_FILES else self._read(path)
            if text is not None and len(text) <= self._left:
                self._left -= len(text)
                try:
                    known = [Source(path, text, depth)]
                except (SyntaxError, ValueError, RecursionError):
                    return  # the program itself will say so, if it gets there
                self.files += known
            if known:
                self._modules[module] = known[0]
                return

    def _candidates(self, module: str, stem: str) -> Iterator[str]:
        """Beside the entrypoint, above it, in src; a library's name only beside it."""
        folder = posixpath.dirname(self._path)
        roots = [folder]
        while folder:
            folder = posixpath.dirname(folder)
            roots.append(folder)
        if module[0] == ".":
            roots = [""]
        elif module.partition(".")[0] in _LIBRARIES:
            roots = roots[:1]
        else:
            roots.append("src")
        for root in roots:
            yield posixpath.join(root, stem, "__init__.py")
            yield posixpath.join(root, stem + ".py")


def words(node: ast.expr) -> list[str]:
    """`pl.Trainer` -> ["pl", "Trainer"]; empty for anything but names and dots."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else []


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)
