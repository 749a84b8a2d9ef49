"""What is left out of the node program's sources, and that the rest means what it meant."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from cloud.template.bare import bare
from tests.unit.node_sources import BARE, CARRIED, PATHS, SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ("id", "arg", "name", "asname")


@pytest.mark.parametrize("name", PATHS)
def test_bare_source_means_what_the_original_means(name: str) -> None:
    """Only words and types are left out, only variables have other names, and every line keeps its number."""
    expected, actual = _WithoutWords().of(SOURCES[name]), ast.parse(BARE[name])
    ast.parse(CARRIED[name], feature_version=(3, 9))
    lines = [
        [node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt)] for tree in (expected, actual)
    ]
    assert lines[0] == lines[1]
    for before, after in zip(_outermost(expected), _outermost(actual), strict=True):
        _give_back_names(before, after)
    assert ast.dump(expected) == ast.dump(actual)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""Doc."""\nx = "#no"  # yes\n', '\nx="#no"\n'),
        ('def f(a: int, *b: "x") -> None:\n    """ü: only this."""\n', "def f(a,*b):\n pass\n"),
        ('class A:\n    x: int = 1\n    """Sentence."""\n', "class A:\n x:int=1\n"),
        ("def f(\n    a: dict[\n        str, int],\n) -> (\n    int\n): return a\n", None),
        ("x: Final = 1\ndef f(s):\n    y: int\n    s.z: int = x\n", "x=1\ndef f(s):\n a:int\n s.z=x\n"),
        ("from typing import Any, NamedTuple\nclass A(NamedTuple): pass\ndef f(a: Any): pass\n",
         "from typing import NamedTuple\nclass A(NamedTuple):pass\ndef f(a):pass\n"),
        ("if TYPE_CHECKING:\n    import os\nx = 1\n", "\n\nx=1\n"),
        ("x = 1 if y else 2\nz = not - x  ** 2 or'a'in b\n", "x=1 if y else 2\nz=not-x**2 or'a'in b\n"),
        ("x = 1 .real + \\\n    2\n", "x=1 .real+\\\n2\n"),
        ('x = """a\n   b"""  # c\n', 'x="""a\n   b"""\n'),
        ("", ""),
    ],
)  # fmt: skip
def test_bare_source(source: str, expected: str | None) -> None:
    """Strings that are values, types of fields and numbers of lines stay; blanks only where they are needed."""
    actual = bare(source)
    ast.parse(actual)
    if expected is not None:
        assert expected == actual


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("one = two = 1; return one + one", "a=b=1;return a+a"),
        ("one = arg; return one.one, call(one=one), {'one': one}", "a=arg;return a.one,call(one=a),{'one':a}"),
        ("return [one for one in arg if one]", "return[a for a in arg if a]"),
        ("one = 1; return lambda: one", "a=1;return lambda:a"),
        ("one = 1; return lambda one: one", "one=1;return lambda one:one"),
        ("global one; one = 1", "global one;one=1"),
        ("one = 1; return locals()", "one=1;return locals()"),
        ("glob = 1; return glob", "glob=1;return glob"),
        ("len = 1; return len", "len=1;return len"),
        ("import os as one; two = a; return two, one", "import os as one;b=a;return b,one"),
        ("try: pass\n    except E as one: two = one", "try:pass\n except E as one:a=one"),
        ('one = 1; return f"one {one} {one:>9} {{one}} {arg[one]!r} ü{ one + 1 :.0f}"',
         'a=1;return f"one {a} {a:>9} {{one}} {arg[a]!r} ü{ a + 1 :.0f}"'),
        ('one = 1; return f"{one=} {arg:{one}}"', 'one=1;return f"{one=} {arg:{one}}"'),
        ("""one = 1; return f"{one != 2}{arg['one']}{'ü', one}" "{one}" """,
         """a=1;return f"{a != 2}{arg['one']}{'ü', a}""{one}\""""),
        ('one = 1; return f"""{one}\n{one}"""', 'a=1;return f"""{a}\n{a}"""'),
    ],
)  # fmt: skip
def test_variables_get_short_names(body: str, expected: str) -> None:
    """Those of one function alone; what the module, an argument, a keyword or a text calls so stays."""
    actual = bare(f"glob = 1\ndef f(arg):\n    {body}\n")
    ast.parse(actual)
    assert f"glob=1\ndef f(arg):\n {expected}\n" == actual


class _WithoutWords(ast.NodeTransformer):
    """Take out of a tree what `bare` takes out of a text."""

    def __init__(self) -> None:
        self.fields: set[int] = set()

    def of(self, source: str) -> ast.Module:
        tree: ast.Module = self.visit(ast.parse(source))
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module in {"typing", "collections.abc"}:
                node.names = [alias for alias in node.names if alias.name in used]
        tree.body = [node for node in tree.body if not isinstance(node, ast.ImportFrom) or node.names]
        return tree

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [part for part in body if not _is_word_alone(part)]
            first = body[0] if body else node
            node.body = kept or (
                [] if isinstance(node, ast.Module) else [ast.copy_location(ast.Pass(), first)]
            )  # type: ignore[attr-defined]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.fields |= {id(part) for part in node.body}
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if node.value is None or id(node) in self.fields:
            return node
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)


def _is_word_alone(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _outermost(node: ast.AST) -> Iterator[ast.AST]:
    """The functions that stand in no other one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            yield child
        else:
            yield from _outermost(child)


def _give_back_names(before: ast.AST, after: ast.AST) -> None:
    """Undo the renaming of a function's variables; no two names of it, whatever they name, became one."""
    new: dict[str, str] = {}
    for old, now in zip(ast.walk(before), ast.walk(after), strict=True):
        for key in NAMES if not isinstance(old, ast.keyword) else ():
            if isinstance(name := getattr(old, key, None), str):
                assert new.setdefault(name, getattr(now, key)) == getattr(now, key)
                assert key == "id" or name == getattr(now, key)
        if isinstance(now, ast.Name) and isinstance(old, ast.Name):
            now.id = old.id
    assert len(set(new.values())) == len(new)
