"""Files that older Pythons read: the node program from 3.9, the door from any."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NODE_FILES = sorted((ROOT / "cloud" / "node").rglob("*.py"))
NEWER_MODULES = {"tomllib", "wsgiref.types"}  # 3.11
NEWER_NAMES = {  # what a standard library of 3.9 lacks, by the last two words of its name
    "itertools.pairwise", "itertools.batched", "contextlib.chdir", "contextlib.aclosing", "datetime.UTC",
    "enum.StrEnum", "typing.Self", "typing.TypeAlias", "typing.ParamSpec", "typing.assert_never",
    "typing.override",
    "asyncio.TaskGroup", "asyncio.timeout", "hashlib.file_digest", "inspect.get_annotations",
    "os.process_cpu_count",
    "sys.orig_argv", "sys.stdlib_module_names", "types.NoneType", "types.UnionType", "bisect.key",
}  # fmt: skip
NEWER_ARGUMENTS = {("zip", "strict"), ("dataclass", "slots"), ("dataclass", "kw_only"), ("walk", "walk_up")}


def tree_of(path: Path, version: tuple[int, int]) -> ast.Module:
    """Parse as that Python would."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path), feature_version=version)


@pytest.mark.parametrize("path", NODE_FILES, ids=lambda path: path.name)
def test_the_node_program_is_read_by_python_3_9(path: Path) -> None:
    """Neither syntax nor library of a later Python."""
    tree = tree_of(path, (3, 9))
    lazy_annotations = any(
        isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body
    )
    assert lazy_annotations or not any(
        isinstance(node, (ast.FunctionDef, ast.AnnAssign)) for node in ast.walk(tree)
    )
    for node in ast.walk(tree):
        names = names_of(node)
        assert not names & (NEWER_NAMES | NEWER_MODULES), f"line {node.lineno}: {names}"  # type: ignore[attr-defined]
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            assert not {(called, keyword.arg) for keyword in node.keywords} & NEWER_ARGUMENTS, (
                f"line {node.lineno}"
            )
        assert not isinstance(node, getattr(ast, "Match", ())), "match came with 3.10"


@pytest.mark.parametrize("name", ["bootstrap", "setup/command", "setup/environments"])
def test_the_door_is_read_by_python_3_7(name: str) -> None:
    """It must be able to say that the Python is too old."""
    assert tree_of(ROOT / "cloud" / f"{name}.py", (3, 7)).body


def test_the_first_file_of_the_door_is_read_by_any_python() -> None:
    """No f-string, no annotation, no assignment in an expression: even Python 2 gets to the sentence."""
    newer = (
        ast.JoinedStr,
        ast.AnnAssign,
        ast.NamedExpr,
        ast.AsyncFunctionDef,
        ast.arg,
        ast.Starred,
        ast.Nonlocal,
    )
    tree = tree_of(ROOT / "cloud" / "generator.py", (3, 7))
    assert not [node for node in ast.walk(tree) if isinstance(node, newer)]
    assert (ROOT / "cloud" / "generator.py").read_bytes().isascii()


def names_of(node: ast.AST) -> set[str]:
    """`module.name` of an attribute or of a from-import, and names of imported modules."""
    if isinstance(node, ast.Attribute):
        return {".".join(ast.unparse(node).split(".")[-2:])}
    if isinstance(node, ast.ImportFrom):
        return {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    return set()
