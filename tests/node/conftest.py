"""A node before its gate, for tests of what it finds out about itself; a coordinator that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cloud.node.context import Console, Context
from cloud.node.host import Host
from cloud.node.job import Job
from cloud.node.layout import Layout
from cloud.node.machine import Identity
from tests.node.linked import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HERE, THERE = "127.0.0.2", "127.0.0.3"


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    """worker-1 of two, before its gate, in an environment without torch."""
    made = Context(
        job=Job(repo="", entrypoint="main.py", master=HERE, secret=""), layout=Layout(tmp_path), host=Host(is_rehearsal=True),
        console=Console("worker-1"), identity=Identity(1, 2, "", THERE),
    )  # fmt: skip
    made.layout.state.mkdir(parents=True)
    made.found.update(
        commit="c", environment=tmp_path / "1234abcd", nproc=1, gpus=[], address=THERE, interface="lo"
    )
    with (tmp_path / "log").open("w") as log:
        made.begin("rendezvous", log)
        yield made


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A running coordinator, ended afterwards."""
    made = Cluster(tmp_path)
    yield made
    for link in made.links:
        link.close()
    made.coordinator.stop()
