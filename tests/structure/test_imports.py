"""Who imports whom. The table is that of docs/decisions/0001-the-spine.md, with every module in its place."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLOUD, NODE, PAYLOAD = ROOT / "cloud", ROOT / "cloud" / "node", ROOT / "payload"
LAYERS = [  # the lowest first: a module imports from its own line and from those above it here
    "errors assets node",
    "model paragraph request.profiles template.emit git.refs git.command git.tree",
    "request.sentences request.rules request.addresses request.slurm",
    "request.settings request.file config request.reference",
    "template.provenance template.shorter template.bare template.names template.archive template.kept userdata template.form template.outputs template.published hot git.entrypoint",
    "slurm.program slurm.render slurm.misplaced",
    "template.document template.parameters template.functions resolve template.placeholders",
    "checks.references checks.limits checks.structure checks.form checks.exposure check",
    "plan explain",
    "by_hand",
    "setup.command",
    "repository output ui manifest setup.environments setup.uv",
    "bootstrap setup.openstack setup.tensorboard setup.workshop",
    "rehearse prove",
    "stack",
    "look",
    "ask summary slurm.summary",
    "commands",
    "cli",
    "generator __main__",
]
PLACE = {name: number for number, line in enumerate(LAYERS) for name in line.split()}
PURE = PLACE["plan"]  # up to here: no socket, no process, no clock, no randomness, no current directory
WHOLE_PACKAGES = {
    "repository",
    "node",
    "rehearse",
    "prove",
    "stack",
    "look",
    "commands",
}  # one place in the table for all that is in them
EDGES_BELOW_PLAN = {"git.command"}  # runs git for repository/; stands low because it imports nothing
IMPURE_MODULES = {
    "asyncio", "datetime", "getpass", "http", "multiprocessing", "random", "requests", "secrets", "shutil",
    "signal",
    "socket", "subprocess", "tempfile", "threading", "time", "urllib.request", "uuid",
}  # fmt: skip
IMPURE_NAMES = {"os.environ", "os.getenv", "os.getcwd", "Path.cwd", "Path.home", "os.system"}
NODE_PURE = {
    "console",
    "recognise",
    "engines",
    "index",
    "layout",
    "page",
    "proof",
}  # what the generator may import of node/
IN_THE_USERS_PROGRAM = {"torch", "pytorch_lightning", "lightning", "ray", "tensorflow", "jsonargparse"}
UNIX_ONLY = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
HEAVY = (
    "torch",
    "numpy",
    "openstack",
    "heatclient",
    "pytorch_lightning",
    "matplotlib",
    "heat",
    "payload",
    "jinja2",
)


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    """Absolute names of what a file imports; `from a import b` gives a.b where that is a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = top_level(tree.body) if top_level_only else ast.walk(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).with_suffix("").parts[: -node.level] if node.level else ()
            module = ".".join((*package, *(node.module or "").split("."))).strip(".")
            names = {f"{module}.{alias.name}" for alias in node.names if is_module(f"{module}.{alias.name}")}
            found |= names or {module}
    return found


def top_level(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements that run at import, without what only type checkers read."""
    found: list[ast.stmt] = []
    for node in body:
        found.append(node)
        if isinstance(node, ast.If) and ast.unparse(node.test) not in {
            "TYPE_CHECKING",
            "__name__ == '__main__'",
        }:
            found += top_level(node.body + node.orelse)
        elif isinstance(node, ast.Try):
            found += top_level(node.body + node.orelse + node.finalbody)
    return found


def is_module(name: str) -> bool:
    """Whether a dotted name is a file or a package of this project."""
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def module(path: Path) -> str:
    """The dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def unit(name: str) -> str:
    """`cloud.rehearse.verdict` -> `rehearse`, `cloud.git.refs` -> `git.refs`: the place in the table."""
    parts = name.split(".")[1:] if name.startswith("cloud.") else []
    return ".".join(parts[:1] if parts and parts[0] in WHOLE_PACKAGES else parts[:2])


def files(directory: Path) -> list[Path]:
    """All Python files below a directory."""
    return sorted(directory.rglob("*.py"))


GENERATOR_FILES = [path for path in files(CLOUD) if NODE not in path.parents]


def ids(path: Path) -> str:
    """The path as one writes it."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", GENERATOR_FILES, ids=ids)
def test_no_arrow_points_up(path: Path) -> None:
    """A module imports only from its own layer and from lower ones; every module has a place in the table."""
    own = unit(module(path))
    if path.name == "__init__.py" and own not in WHOLE_PACKAGES:
        assert not imports(path), "such a package is a folder with a sentence"
        return
    assert own in PLACE, f"give cloud/{own} its place in LAYERS"
    for name in imports(path):
        target = unit(name)
        if target and target != own:
            assert PLACE[target] <= PLACE[own], f"{ids(path)} imports {name}"


def test_modules_import_each_other_in_no_circle() -> None:
    """What is imported at the top of a file makes no circle."""
    graph: dict[str, set[str]] = {}
    for path in files(CLOUD):
        name = module(path)
        targets = {target for target in imports(path, top_level_only=True) if is_module(target)}
        graph[name] = targets - {name, name.rpartition(".")[0]}  # its package is being imported already
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("path", GENERATOR_FILES, ids=ids)
def test_what_is_left_of_the_plan_is_pure(path: Path) -> None:
    """Nothing there opens a socket, starts a process, or reads clock, environment or current directory."""
    own = unit(module(path))
    if path.name == "__init__.py" or own in EDGES_BELOW_PLAN or PLACE[own] > PURE:
        return
    assert not imports(path) & IMPURE_MODULES
    used = {
        ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
    }
    assert not used & IMPURE_NAMES


@pytest.mark.parametrize("path", GENERATOR_FILES, ids=ids)
def test_the_generator_takes_only_pure_modules_of_the_node(path: Path) -> None:
    """It shows what the node will do, and does nothing of it."""
    taken = {name.split(".")[2] for name in imports(path) if name.startswith("cloud.node.")}
    assert taken <= NODE_PURE


@pytest.mark.parametrize("path", files(NODE), ids=ids)
def test_the_node_program_stands_alone(path: Path) -> None:
    """The standard library and itself, nothing of the rest; engines' packages only in the user's program."""
    at_import = {name.split(".")[0] for name in imports(path, top_level_only=True)}
    anywhere = imports(path)
    assert at_import <= {*sys.stdlib_module_names, "cloud"}
    assert {name.split(".")[0] for name in anywhere} <= {
        *sys.stdlib_module_names,
        "cloud",
        *IN_THE_USERS_PROGRAM,
    }
    assert all(name.startswith("cloud.node") for name in anywhere if name.split(".")[0] == "cloud")


def test_cloud_and_payload_do_not_know_each_other() -> None:
    """What they share is the table of environment variables, and nothing else."""
    for path in files(CLOUD):
        assert "payload" not in {name.split(".")[0] for name in imports(path)}, ids(path)
    for path in files(PAYLOAD):
        assert "cloud" not in {name.split(".")[0] for name in imports(path)}, ids(path)


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh Python of this environment, at the checkout's root."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.process
def test_the_generator_needs_no_unix() -> None:
    """Generating, explaining and checking import nothing that other systems lack."""
    block = f"import sys; sys.modules.update(dict.fromkeys({UNIX_ONLY!r}))\n"
    modules = [
        name
        for name in ("generator", "cli", "hot", "check", "explain", "repository", "summary")
        if name in PLACE
    ]
    found = python(block + "".join(f"import cloud.{name}\n" for name in modules))
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.process
def test_help_imports_nothing_heavy() -> None:
    """`hotrun --help` answers at once: no torch, no OpenStack client, no template engine."""
    code = (
        "import sys\nfrom cloud import cli\nsys.argv = ['hotrun', '--help']\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    found = python(code)
    assert found.stdout.splitlines()[-1:] == ["heavy: []"], found.stderr
