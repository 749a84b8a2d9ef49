"""Short names for the whole node program: what gets one, and that nothing else could have asked for it."""

from __future__ import annotations

import ast
import builtins
import importlib
import keyword
import sys

import pytest

from cloud.template import names
from tests.unit.node_sources import BARE, CARRIED, PATHS, SOURCES


def test_names_of_the_program_can_be_given_back() -> None:
    """No two names became one, and none became one that the program or Python has."""
    new = names.short_names(BARE)
    back = {short: name for name, short in new.items()}
    assert len(back) == len(new) > 400
    for name in PATHS:
        carried = CARRIED[name].decode()
        assert BARE[name] == names._with(back, carried)
        assert not set(new.values()) & {*names._names(BARE[name]), *dir(builtins), *keyword.kwlist}


def test_no_method_that_is_renamed_is_one_of_the_standard_library() -> None:
    """What the program calls on objects that are not its own keeps its name."""
    new = names.short_names(BARE)
    roots = {each.split(".")[0] for each in _imports()}
    modules = [importlib.import_module(name) for name in sorted({*_imports(), *roots} - {"torch"})]
    things = [*modules, *(thing for module in modules for thing in vars(module).values())]
    theirs = {name for thing in things if not isinstance(thing, dict) for name in dir(thing)}
    ours = {name for source in SOURCES.values() for name in _functions_of_modules(source)}
    assert (set(new) - ours) & {name for name in theirs if not name.startswith("_")} & _attributes() == set()
    assert set(new.values()) & theirs == set()


def _imports() -> set[str]:
    nodes = [node for source in SOURCES.values() for node in ast.walk(ast.parse(source))]
    froms = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    found = froms | {each.name for node in nodes if isinstance(node, ast.Import) for each in node.names}
    return {name for name in found if name.partition(".")[0] in sys.stdlib_module_names}


def _functions_of_modules(source: str) -> set[str]:
    return {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}


def _attributes() -> set[str]:
    nodes = [node for source in SOURCES.values() for node in ast.walk(ast.parse(source))]
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("def long(): pass", ()),
        ("def _long(): pass", ()),
        ("def run(argument): return argument", ()),
        ("def run(argument): pass\nrun(argument=1)", ("argument",)),
        ("text = 'of a long story'\ndef long(): pass", ("long",)),
        ("name = 1\nprint(f'{name=} {name:>{width}}')\nwidth = 1", ("name", "width")),
        ("class Thing:\n def do_it(self): self._part = 1", ("Thing",)),
        ("class Thing(Base):\n def do_it(self): pass", ("Thing", "do_it")),
        ("class Thing:\n field: int = 1\n def wait_for(self): pass", ("Thing", "field", "wait_for")),
        ("import module\nmodule._private = 1", ("module", "_private")),
        ("from module import name as other\nother = 1", ("other",)),
        ("def __call__(self): pass", ("__call__",)),
        ("print = 1", ("print",)),
        ("import os\ndef long(): os.long()", ("long",)),
    ],
)
def test_only_the_programs_own_names_become_short(source: str, kept: tuple[str, ...]) -> None:
    """What a string, a keyword, a base class or an object of another's may ask for stays."""
    new = names.short_names({"node/a.py": source})
    made = {name for node in ast.walk(ast.parse(source)) for name in names._made(node)}
    assert not set(new) & set(kept)
    assert {name for name in made if len(name) > 2} - set(kept) - {"self"} <= set(new)


def test_a_name_is_one_thing_in_all_files() -> None:
    """Functions of a module by their module, in f-strings too; the path of an import stays."""
    files = {
        "node/one.py": "def work(): return 1\nTEXT = f'{work()} works'\n",
        "node/two.py": "from . import one\nfrom .one import work\nprint(one.work(), work)\n",
    }
    expected = {
        "node/one.py": "def aa(): return 1\nab = f'{aa()} works'\n",
        "node/two.py": "from . import one\nfrom .one import aa\nprint(one.aa(), aa)\n",
    }
    assert expected == names.renamed(files)
