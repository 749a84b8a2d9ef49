"""An entrypoint's syntax tree -> which engine it is written for, and what it hard-codes. Pure.

Nothing is executed or imported. Names are followed through `import … as …` in the file itself.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Iterator

LAUNCH_SETTINGS = ("num_nodes", "devices", "strategy", "accelerator")

# The module a name comes from decides; the first match in this order wins.
_ENGINES = (
    ("ray", (), ("ray",)),
    ("lightning-cli", ("LightningCLI",), ("pytorch_lightning", "lightning")),
    ("lightning", ("Trainer", "Fabric"), ("pytorch_lightning", "lightning")),
    ("tensorflow", (), ("tensorflow", "tf_keras", "keras")),
    ("torch", ("init_process_group", "DistributedDataParallel", "DDP"), ("torch",)),
)


@dataclass(frozen=True)
class HardCoded:
    """A launch setting that the script fixes itself."""

    name: str
    """`num_nodes`, `devices`, `strategy`, `accelerator`, `MASTER_ADDR` …"""
    value: str
    """The value as it stands in the source."""
    line: int


@dataclass(frozen=True)
class Recognition:
    """What an entrypoint is written for."""

    engine: str
    """lightning-cli, lightning, torch, ray, tensorflow or python."""
    line: int
    """Line of the evidence, 1 where there is none."""
    evidence: str
    """What was found there, for a person: `Trainer`, `init_process_group`."""
    hard_coded: tuple[HardCoded, ...] = ()


def recognise(source: str, filename: str) -> Recognition:
    """Read `source` and say what it is written for.

    Raises SyntaxError, with file and line, when it is not Python.
    """
    tree = ast.parse(source, filename)
    names = _imported_names(tree)
    uses = list(_uses(tree, names))
    for engine, wanted, modules in _ENGINES:
        for line, origin in uses:
            if origin.split(".")[0] in modules and (not wanted or origin.rpartition(".")[2] in wanted):
                evidence = origin.rpartition(".")[2]
                return Recognition(engine, line, evidence, tuple(_hard_coded(tree, names)))
    return Recognition("python", 1, "no training library found", tuple(_hard_coded(tree, names)))


def _imported_names(tree: ast.AST) -> dict[str, str]:
    """Local name -> dotted origin, for every import of the file."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                local = alias.asname or alias.name.split(".")[0]
                names[local] = alias.name if alias.asname else local
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _uses(tree: ast.Module, names: dict[str, str]) -> Iterator[tuple[int, str]]:
    """(line, dotted origin) of everything called or subclassed, then of everything imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            targets = [node.func]
        elif isinstance(node, ast.ClassDef):
            targets = node.bases
        else:
            continue
        yield from ((node.lineno, _origin(target, names)) for target in targets if _origin(target, names))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = getattr(node, "module", None)
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}" if module else alias.name


def _origin(node: ast.expr, names: dict[str, str]) -> str:
    """`pl.Trainer` -> `pytorch_lightning.Trainer`; empty for anything that was not imported."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return ""
    return ".".join([names[node.id], *reversed(parts)])


def _hard_coded(tree: ast.AST, names: dict[str, str]) -> Iterator[HardCoded]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _origin(node.func, names).rpartition(".")[2] in (
            "Trainer",
            "Fabric",
        ):
            for keyword in node.keywords:
                if keyword.arg in LAUNCH_SETTINGS and isinstance(keyword.value, ast.Constant):
                    yield HardCoded(keyword.arg, repr(keyword.value.value), keyword.value.lineno)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            for target in node.targets:
                name = _environ_key(target, names)
                if name in ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK", "NODE_RANK"):
                    yield HardCoded(name, repr(node.value.value), node.lineno)


def _environ_key(target: ast.expr, names: dict[str, str]) -> str:
    """The key of `os.environ["KEY"] = …`, else empty."""
    if isinstance(target, ast.Subscript) and _origin(target.value, names) == "os.environ":
        key = target.slice
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            return key.value
    return ""
