"""One real Slurm of two nodes for all tests here that don't need one of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloud.rehearse.slurm import needs
from tests.openstack.lab import packages
from tests.openstack.lab.place import CannotRun
from tests.slurm.bench import Bench, home, opened, tree

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def slurm() -> None:
    """Install what is missing where that can be done; skip where there can be no Slurm, by name."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        with tempfile.TemporaryDirectory() as name, contextlib.suppress(CannotRun):
            packages.install(Path(name) / "packages.log", ("slurm-wlm", "munge", "iproute2", "nftables"))
    found = needs.obstacles()
    if found:
        pytest.skip("; ".join(f"{each.what}: {each.fix}" if each.fix else each.what for each in found))


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with trainers."""
    return tree(tmp_path_factory.mktemp("source") / "digits")


@pytest.fixture(scope="session")
def cache() -> Iterator[Path]:
    """A cache as a person has one: what was prepared stays there for the next job."""
    with tempfile.TemporaryDirectory(prefix="hotrun-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def bench(slurm: None, cache: Path) -> Iterator[Bench]:
    """The cluster, with a short path."""
    with tempfile.TemporaryDirectory(prefix="hotrun-") as name:
        directory = Path(name)
        shared = tree(home(cache) / "work/trees/digits")  # below it: nodes may see nothing else
        cluster = opened(directory, seen=[cache])
        try:
            yield Bench(directory=directory, cluster=cluster, source=shared, cache=cache)
        finally:
            cluster.close()


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path of this test's own."""
    with tempfile.TemporaryDirectory(prefix="hotrun-") as name:
        yield Path(name)
