"""Machines for the tests' own project, repositories for their programs, a key pair for their people."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.openstack.lab import place as lab
from tests.openstack.lab import seed
from tests.openstack.machines import Place
from tests.openstack.machines import machines as running
from tests.openstack.projects import Project, connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.openstack.machines.watch import Watch

REPOSITORY = "https://git.invalid/you/digits.git"
PROGRAMS = Path(__file__).parents[1] / "programs"
_AS_SOMEBODY = ["-c", "user.name=Somebody", "-c", "user.email=somebody@git.invalid"]


@pytest.fixture(scope="session")
def warm() -> Iterator[Path]:
    """Where machines' compiled modules are kept from one test to the next."""
    with tempfile.TemporaryDirectory(prefix="hotrun-") as name:
        yield Path(name) / "bytecode"


@pytest.fixture
def repository() -> Iterator[Path]:
    """A git repository with tests/openstack/programs/digits, which REPOSITORY leads to."""
    with tempfile.TemporaryDirectory(prefix="hotrun-") as name:
        tree = Path(name) / "digits"
        shutil.copytree(PROGRAMS / "digits", tree)
        for command in (
            ["init", "-q", "-b", "main"], ["add", "."], [*_AS_SOMEBODY, "commit", "-q", "-m", "digits"]
        ):  # fmt: skip
            subprocess.run(["git", *command], cwd=tree, check=True)
        yield tree


@pytest.fixture
def machines(project: Project, repository: Path, warm: Path) -> Iterator[Watch]:
    """The project's servers run while the test does; none is left after it, whatever it does to them."""
    with tempfile.TemporaryDirectory(prefix="hotrun-") as name:
        place = Place(
            namespace=lab.DOOR, api=lab.ADDRESS, secret=lab.password(), directory=Path(name), warm=warm
        )
        with running(connect(seed.environment()), project.id, place, {REPOSITORY: repository}) as watch:
            yield watch
        assert not processes(name)


@pytest.fixture
def key(project: Project, tmp_path: Path) -> Path:
    """A private key; `digits` is its pair in Nova."""
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    project.openstack("keypair", "create", "--public-key", f"{path}.pub", "digits")
    return path


def processes(word: str) -> list[str]:
    """Command lines of this computer's processes in which a word stands."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # ended meanwhile
            continue
    return [line for line in found if word in line]
