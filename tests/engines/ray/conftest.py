"""Data, one trained run, one cluster of two nodes, one environment of machines, for all tests of this folder."""

from __future__ import annotations

import importlib.util
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engines.ray.drivers import DEADLINE_S, PAYLOAD, Driver, clean_environment
from tests.payload.left import data_root, mnist_root
from tests.rehearse.conftest import runs
from tests.rehearse.kept import cache

__all__ = ["cache", "data_root", "mnist_root", "runs"]  # fixtures
sys.path.insert(0, str(PAYLOAD))
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs payload/requirements-ray.txt"
)
EPOCHS = "8"


@dataclass(frozen=True)
class TwoNodes:
    """A cluster of cluster.py."""

    address: str
    token: str
    process: subprocess.Popen[str]

    @property
    def environment(self) -> dict[str, str]:
        """What a driver of it needs."""
        return {"RAY_ADDRESS": self.address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}

    def remove(self) -> None:
        """The second node goes, as by a power cut."""
        assert self.process.stdin
        self.process.stdin.write("remove\n")
        self.process.stdin.flush()


@pytest.fixture(scope="session")
def machines() -> Iterator[Path]:
    """A cache for all rehearsals of this folder: their machines make the environment once."""
    with tempfile.TemporaryDirectory(prefix="hotrun-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def trained(mnist_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Driver:
    """A whole training by two workers of a Ray that it started itself."""
    return Driver(tmp_path_factory.mktemp("trained"), "--workers", "2", "--epochs", EPOCHS,
                  HOTRUN_DATA_DIR=str(mnist_root)).finish()  # fmt: skip


@pytest.fixture(scope="module")
def cluster() -> Iterator[TwoNodes]:
    """Two raylets of this machine, with a CPU each; of one file alone, as some tests leave it poorer."""
    token = secrets.token_hex(32)
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("cluster.py"))], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**clean_environment(), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token,
             "RAY_USAGE_STATS_ENABLED": "0"},
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    try:
        yield TwoNodes(address=process.stdout.readline().strip(), token=token, process=process)
    finally:
        process.stdin.close()
        process.wait(DEADLINE_S)
        process.stdout.close()
