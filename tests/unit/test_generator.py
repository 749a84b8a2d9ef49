"""The door, opened from everywhere, with a stand-in behind it that says where it is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BARE_PYTHON = getattr(sys, "_base_executable", sys.executable)
PROGRAM = """
import sys
import click, rich, yaml, jinja2
import cloud

def main():
    import heat_is_not_hidden
    print(sys.argv[1:], sys.stdin.read().splitlines(), cloud.__file__)
"""

pytestmark = pytest.mark.process


@pytest.fixture
def door(tmp_path: Path) -> Path:
    """A checkout with the real door, a stand-in program, and an environment made by hand: this test's own."""
    cloud = tmp_path / "check out" / "cloud"
    (cloud / "setup").mkdir(parents=True)
    files = (
        "__init__.py",
        "__main__.py",
        "generator.py",
        "bootstrap.py",
        "setup/__init__.py",
        "setup/command.py",
        "setup/environments.py",
    )
    for name in files:
        shutil.copy(ROOT / "cloud" / name, cloud / name)
    (cloud / "cli.py").write_text(PROGRAM)
    (cloud / "heat_is_not_hidden.py").write_text("raise ImportError('cloud/ is on the path')")
    (cloud.parent / "heat_is_not_hidden.py").write_text("")
    (cloud.parent / "requirements").mkdir()
    (cloud.parent / "requirements" / "base.txt").write_text("click==8.1.0\n")
    by_hand(cloud.parent / ".venv")
    return cloud / "generator.py"


def by_hand(environment: Path) -> None:
    """Make an environment without our stamp, with the packages of the one that runs this test."""
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(BARE_PYTHON)
    (environment / "lib").symlink_to(Path(sys.prefix) / "lib")
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", environment)


def start(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command with four answers on its standard input."""
    return subprocess.run(
        [str(part) for part in command],
        input="1\n2\n3\n4\n",
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


def expected(door: Path) -> str:
    """What the stand-in prints when it got the arguments, the answers and the right package."""
    return f"['generate', '--x'] ['1', '2', '3', '4'] {door.parent / '__init__.py'}\n"


@pytest.mark.parametrize("flags", [(), ("-I",), ("-S",), ("-I", "-S"), ("-E", "-s"), ("-B",)], ids=" ".join)
def test_it_opens_with_any_flags_of_python(door: Path, flags: tuple[str, ...]) -> None:
    """A bare Python ends up in the environment, with arguments and standard input untouched."""
    found = start(BARE_PYTHON, *flags, door, "generate", "--x")
    assert (found.stdout, found.stderr, found.returncode) == (expected(door), "", 0)


def test_it_opens_through_a_symlink_and_from_another_folder(door: Path, tmp_path: Path) -> None:
    """The checkout is where the file really is."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "hotrun.py").symlink_to(door)
    found = start(BARE_PYTHON, "hotrun.py", "generate", "--x", cwd=tmp_path / "elsewhere")
    assert (found.stdout, found.returncode) == (expected(door), 0)


def test_it_opens_from_inside_cloud(door: Path) -> None:
    """The current directory must not hide the heat package either."""
    found = start(BARE_PYTHON, "generator.py", "generate", "--x", cwd=door.parent)
    assert (found.stdout, found.returncode) == (expected(door), 0)


def test_it_opens_as_a_module(door: Path) -> None:
    """`python3 -m cloud` from the checkout's root is the same program."""
    found = start(BARE_PYTHON, "-m", "cloud", "generate", "--x", cwd=door.parents[1])
    assert (found.stdout, found.returncode) == (expected(door), 0)


def test_a_foreign_pythonpath_is_not_followed(
    door: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken click somewhere must not stop the program in its own environment."""
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "rich.py").write_text("raise SystemExit('foreign')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "foreign"))
    found = start(BARE_PYTHON, door, "generate", "--x")
    assert (found.stdout, found.returncode) == (expected(door), 0)


def test_the_exit_code_is_the_programs(door: Path) -> None:
    """Re-executing keeps the code."""
    (door.parent / "cli.py").write_text("def main():\n    raise SystemExit(6)\n")
    assert start(BARE_PYTHON, door).returncode == 6
