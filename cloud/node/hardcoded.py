"""A program's files -> the launch settings that they fix, each with its line. Pure.

What only runs where no launcher set the variables (`if "RANK" not in os.environ:`, `except KeyError:`) fixes
nothing; neither does `setdefault`.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Any, Iterator

from .adapt import VARIABLES
from .names import Program, Source

_LIGHTNING = ("pytorch_lightning", "lightning", "lightning_fabric")
_ARGUMENTS = ("num_nodes", "devices", "strategy", "accelerator")
_ASKS = re.compile("environ|getenv|launched")


@dataclass(frozen=True)
class HardCoded:
    """A launch setting that the program fixes itself."""

    name: str
    """`num_nodes`, `devices`, `strategy`, `accelerator`, `rank`, `init_method`, `MASTER_ADDR` …"""
    value: Any
    """The constant."""
    line: int
    file: str = ""
    """Path in the repository."""
    owner: str = "Trainer"
    """Trainer, Fabric, trainer_defaults, environ or init_process_group."""

    @property
    def where(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.line}"

    @property
    def text(self) -> str:
        """`num_nodes=1`, as in the source."""
        return f"{self.name}={self.value!r}"[:80]

    @property
    def edit(self) -> str:
        """What makes the program run on any number of machines."""
        return f"leave {self.name}{'' if self.owner == 'environ' else '='} out: the launcher sets it"


def found(program: Program, file: Source) -> list[HardCoded]:
    """All of one file, by line."""
    each = [
        HardCoded(name, file.value(node), node.lineno, file.path, owner)
        for owner, name, node in _settings(program, file)
    ]
    known = (one for one in each if one.value not in (None, "tcp://", "file://"))
    return sorted(known, key=lambda one: one.line)


def _settings(program: Program, file: Source) -> Iterator[tuple[str, str, ast.expr]]:
    """(owner, name, expression), whatever the expression is."""
    for node in _live(file.tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and program.origin(file, target.value) == "os.environ":
                    yield from _variables([(target.slice, node.value)])
        elif isinstance(node, ast.Call):
            origin = program.origin(file, node.func)
            yield from _of_call(origin, node) if origin else ()


def _of_call(origin: str, call: ast.Call) -> Iterator[tuple[str, str, ast.expr]]:
    library, name = origin.partition(".")[0], origin.rpartition(".")[2]
    keywords = [(each.arg, each.value) for each in call.keywords if each.arg]
    if library in _LIGHTNING and name in ("Trainer", "Fabric"):
        yield from ((name, key, value) for key, value in keywords if key in _ARGUMENTS)
    elif library in _LIGHTNING and name == "LightningCLI":
        for value in (value for key, value in keywords if key == "trainer_defaults"):
            yield from (("trainer_defaults", k, v) for k, v in _pairs(value) if k in _ARGUMENTS)
    elif library == "torch" and name == "init_process_group":
        keywords += [("init_method", value) for value in call.args[1:2]]
        for key, value in keywords:
            is_address = key == "init_method" and "env://" not in ast.unparse(value)
            if key in ("rank", "world_size") or is_address:
                yield name, key, value
    elif origin == "os.putenv" and len(call.args) == 2:
        yield from _variables([(call.args[0], call.args[1])])
    elif origin == "os.environ.update":
        pairs = [pair for value in call.args for pair in _pairs(value)] + keywords
        yield from (("environ", key, value) for key, value in pairs if key in VARIABLES)


def _variables(pairs: list[tuple[ast.expr, ast.expr]]) -> Iterator[tuple[str, str, ast.expr]]:
    for key, value in pairs:
        if isinstance(key, ast.Constant) and key.value in VARIABLES:
            yield "environ", key.value, value


def _pairs(node: ast.expr) -> list[tuple[Any, ast.expr]]:
    """Keys and values of `{…}` or `dict(…)`."""
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values)  # noqa: B905 - strict= came with 3.10
        return [(key.value, value) for key, value in pairs if isinstance(key, ast.Constant)]
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "dict":
        return [(each.arg, each.value) for each in node.keywords]
    return []


def _live(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but what only runs where a variable is not set."""
    queue = [tree]
    for node in queue:  # grows
        yield node
        for child in ast.iter_child_nodes(node):
            is_asked = isinstance(child, ast.If) and _ASKS.search(ast.unparse(child.test))
            if not is_asked and not isinstance(child, ast.ExceptHandler):
                queue.append(child)
