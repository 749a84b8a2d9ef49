"""Every test here runs inside the OpenStack lab's network, as root; `make test-openstack` puts it there."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.openstack import faults_page
from tests.openstack.lab import place as lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openstack.connection import Connection

    from tests.openstack.projects import Project

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "cloud" / "generator.py"
HAS_SDK = importlib.util.find_spec("openstack") is not None
collect_ignore_glob = [] if HAS_SDK else ["test_*.py"]  # the level has an environment of its own
REPOSITORY = "https://git.invalid/you/digits.git"


class Hotrun(Protocol):
    """Runs the program; keywords beside the two are variables of its environment."""

    def __call__(
        self,
        *arguments: str,
        input: str | None = None,  # noqa: A002 - subprocess.run's own word
        timeout: float = 300,
        **environ: str,
    ) -> subprocess.CompletedProcess[str]:
        """Return what it ended with."""


class Template(Protocol):
    """Makes a template that fits the lab; keywords are flags of `generate`, workers=2, no_adapt=True."""

    def __call__(self, **flags: object) -> Path:
        """Return where it is."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark them all; outside of the lab they are skipped by name. openstacksdk's warnings are not ours to mend.

    Where several run at a time, those with real machines follow each other: two cores are not more.
    """
    here = Path(__file__).parent
    reason = why_not()
    for item in items:
        if here in Path(item.path).parents:
            item.add_marker("openstack")
            if config.pluginmanager.hasplugin("xdist") and "machines" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group("machines"))
            item.add_marker(pytest.mark.filterwarnings("ignore"))
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


def why_not() -> str:
    """Why there is no lab around this process, or empty."""
    if lab.is_inside():
        return ""
    return (
        os.environ.get("HOTRUN_LAB_OBSTACLE")
        or lab.obstacle()
        or "outside of the lab; type: make test-openstack"
    )


@pytest.fixture(scope="session")
def admin() -> Iterator[Connection]:
    """The lab's admin."""
    from tests.openstack import projects

    connection = projects.admin()
    yield connection
    connection.close()


@pytest.fixture
def project(admin: Connection) -> Iterator[Project]:
    """A fresh project and user; its stacks are deleted at the end."""
    from tests.openstack import projects

    found = projects.made(admin)
    yield found
    projects.removed(found)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folder that the program runs in; HOME is beside it, so nothing of the machine's user is read."""
    folder = tmp_path / "place"
    folder.mkdir()
    (tmp_path / "home").mkdir()
    return folder


@pytest.fixture
def hotrun(project: Project, place: Path) -> Hotrun:
    """The real program with the project's OS_*, in a fresh folder; answers come from `input`, else there are none."""

    def run(
        *arguments: str,
        input: str | None = None,  # noqa: A002 - subprocess.run's own word
        timeout: float = 300,
        **environ: str,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, str(PROGRAM), *arguments],
            cwd=place,
            env={**environment(place), **project.environ, **environ},
            input=input or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        faults_page.note(arguments, done.returncode, done.stdout, done.stderr)
        return done

    return run


@pytest.fixture
def template(place: Path) -> Template:
    """A template of image `tiny` and flavors m1.tiny, without a key."""

    def generate(**flags: object) -> Path:
        path = place / "template.yml"
        fitting = {
            "repo": REPOSITORY, "workers": 1, "entrypoint": "main.py", "profile": "openstack", "image": "tiny",
            "master_flavor": "m1.tiny", "worker_flavor": "m1.tiny", "out": path, "force": True,
        }  # fmt: skip
        words = [word for name, value in {**fitting, **flags}.items() for word in flag(name, value)]
        done = subprocess.run(
            [sys.executable, str(PROGRAM), "generate", *words],
            cwd=place,
            env=environment(place),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return Path(str({**fitting, **flags}["out"]))

    return generate


def environment(place: Path) -> dict[str, str]:
    """The machine's environment without logins, in a HOME of the test's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    return {
        **kept,
        "HOME": str(place.parent / "home"),
        "OS_CLIENT_CONFIG_FILE": str(place / "no-clouds.yaml"),
    }


def flag(name: str, value: object) -> list[str]:
    """`workers=2` -> --workers 2, `no_adapt=True` -> --no-adapt."""
    word = "--" + name.replace("_", "-")
    if value is True:
        return [word]
    return [] if value is False or value is None else [word, str(value)]
