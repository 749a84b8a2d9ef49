"""Every test here drives Horizon by a browser, in the OpenStack lab's network and as root; `make test-horizon` puts it there."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.openstack.conftest import PROGRAM, REPOSITORY, admin, environment, flag
from tests.openstack.conftest import why_not as why_no_lab
from tests.openstack.lab import packages
from tests.openstack.lab import place as lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openstack.connection import Connection

    from tests.horizon.dashboard import Dashboard
    from tests.horizon.pictures import Pictures
    from tests.openstack.conftest import Template
    from tests.openstack.machines.watch import Watch
    from tests.openstack.projects import Project

__all__ = ["admin"]  # a fixture
HAS_TOOLS = all(importlib.util.find_spec(name) for name in ("openstack", "selenium"))
collect_ignore_glob = [] if HAS_TOOLS else ["test_*.py"]  # the level has an environment of its own
KEY = "digits"
REPORTS = """
import json
if rank == 0:
    reached = {"test_accuracy": 0.9797, "test_loss": 0.068, "train_seconds": 9.8}
    (results / "result.json").write_text(json.dumps(reached))
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them all; outside of the lab they are skipped by name."""
    here = Path(__file__).parent
    reason = why_not()
    for item in items:
        if here in Path(item.path).parents:
            item.add_marker("openstack")
            item.add_marker(pytest.mark.filterwarnings("ignore"))
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


def why_not() -> str:
    """Why there is no Horizon around this process, or empty."""
    if reason := why_no_lab():
        return reason.replace("test-openstack", "test-horizon")
    from tests.horizon import served

    missing = packages.missing(served.NEEDED)
    return f"without {', '.join(missing)}; type: make test-horizon" if missing else ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """What the browser shows when a test fails is kept beside the reports."""
    report = yield
    if report.failed and (dashboard := getattr(item, "funcargs", {}).get("dashboard")):
        path = PROGRAM.parents[1] / ".build" / "reports" / f"horizon-{item.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        dashboard.browser.picture(path)
        report.sections.append(("what the browser shows", str(path)))
    return report


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key; its public half is a key pair of both users."""
    path = tmp_path_factory.mktemp("key") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture(scope="session")
def people(admin: Connection, key: Path) -> Iterator[dict[str, Project]]:
    """Two projects with a key pair each: `quiet`, whose machines do nothing, and `busy`, whose run their programs."""
    from tests.openstack import projects

    with contextlib.ExitStack() as ending:
        made = {}
        for name in ("quiet", "busy"):
            made[name] = projects.made(admin)
            ending.callback(_remove, made[name])
            add_key(made[name], key.with_suffix(".pub").read_text())
        yield made


def _remove(project: Project) -> None:
    """Also after Ctrl-C, when pytest's own filters of warnings hold no more."""
    from tests.openstack import projects

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        projects.removed(project)


def add_key(project: Project, public_key: str) -> None:
    """Give a user a key pair."""
    project.connection.compute.create_keypair(name=KEY, public_key=public_key)


@pytest.fixture(scope="session")
def pictures() -> Pictures:
    """Where pictures for docs/horizon.md go, when they are asked for."""
    from tests.horizon.pictures import Pictures

    return Pictures()


@pytest.fixture(scope="session")
def window(people: dict[str, Project], pictures: Pictures) -> Iterator[Dashboard]:
    """Horizon in a browser, one for all tests."""
    from tests.horizon import served
    from tests.horizon.browser import browser
    from tests.horizon.dashboard import Dashboard

    try:
        served.start()
        with browser() as opened:
            pictures.hide(project.name for project in people.values())
            yield Dashboard(opened)
    finally:
        served.stop()


@pytest.fixture
def quiet(people: dict[str, Project]) -> Project:
    """A project whose machines do nothing."""
    return people["quiet"]


@pytest.fixture
def busy(people: dict[str, Project]) -> Project:
    """A project whose machines run their programs, once `machines` is asked for."""
    return people["busy"]


@pytest.fixture(scope="session")
def machines(people: dict[str, Project], repository: Path) -> Iterator[Watch]:
    """The machines of `busy` run from here on."""
    from tests.openstack.lab import seed
    from tests.openstack.machines import Place
    from tests.openstack.machines import machines as running
    from tests.openstack.projects import connect

    with tempfile.TemporaryDirectory(prefix="hotrun-") as name:
        place = Place(
            namespace=lab.DOOR, api=lab.ADDRESS, secret=lab.password(), directory=Path(name),
            warm=Path(name) / "warm",
        )  # fmt: skip
        with running(
            connect(seed.environment()), people["busy"].id, place, {REPOSITORY: repository}
        ) as watch:
            yield watch


@pytest.fixture(scope="session")
def repository() -> Iterator[Path]:
    """A git repository whose program trains and reports what it reached; REPOSITORY leads to it."""
    from tests.openstack.machines.fixtures import PROGRAMS

    with tempfile.TemporaryDirectory(prefix="hotrun-") as name:
        tree = Path(name) / "digits"
        shutil.copytree(PROGRAMS / "digits", tree)
        program = tree / "main.py"
        program.write_text(program.read_text() + REPORTS)
        somebody = ["-c", "user.name=Somebody", "-c", "user.email=somebody@git.invalid"]
        for words in (
            ["init", "-q", "-b", "main"], ["add", "."], [*somebody, "commit", "-q", "-m", "digits"]
        ):  # fmt: skip
            subprocess.run(["git", *words], cwd=tree, check=True)
        yield tree


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """What `generate --profile openstack` writes for the lab, without a key, as many files as are asked for."""
    folder = tmp_path_factory.mktemp("horizon")
    (folder / "place").mkdir()
    (folder / "home").mkdir()

    def generate(**flags: object) -> Path:
        out = folder / "place" / f"{len(list(folder.glob('place/*.yml')))}.yml"
        given = {
            "repo": REPOSITORY, "workers": 1, "entrypoint": "main.py", "profile": "openstack", "image": "tiny",
            "master_flavor": "m1.tiny", "worker_flavor": "m1.tiny", "out": out, **flags,
        }  # fmt: skip
        words = [word for name, value in given.items() for word in flag(name, value)]
        done = subprocess.run(
            [sys.executable, str(PROGRAM), "generate", *words],
            cwd=folder / "place", env=environment(folder / "place"), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return out

    return generate
