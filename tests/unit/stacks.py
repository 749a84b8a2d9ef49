"""A fake project with one stack that stands, for the commands that end or change it."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

from cloud import hot
from cloud.stack.api import Stack
from cloud.ui import Ui
from tests.unit.clusters import cluster
from tests.unit.fake_cloud import FakeCloud

NAME = "digits"


class Clock:
    """Time that only passes in sleep."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Seconds so far."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class Told(Ui):
    """A Ui that keeps what it said."""

    def __init__(self) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        super().__init__(stdin=io.StringIO(), stdout=self.out, stderr=self.err)


def made(
    cloud: FakeCloud, *, name: str = NAME, tags: tuple[str, ...] = ("hotrun",), **parameters: object
) -> Stack:
    """Make a stack of one worker and look until its machines are there."""
    given = {"image": "tiny", "master_flavor": "m1.tiny", "worker_flavor": "m1.tiny", **parameters}
    cloud.create(name, _template(), given, timeout_min=60, tags=list(tags))
    return settled(cloud, name, looks=4)


def settled(cloud: FakeCloud, name: str = NAME, looks: int = 6) -> Stack:
    """Look at a stack some times."""
    for _ in range(looks):
        found = cloud.stack(name)
    assert found is not None
    return found


def trained(cloud: FakeCloud, name: str = NAME, state: str = "done") -> Stack:
    """Let the stack's machines meet and end their run."""
    cloud.gate(name)
    cloud.result(name, state=state)
    return settled(cloud, name)


def folder(tmp_path: Path) -> Path:
    """Where runs go."""
    return tmp_path / "runs"


@cache
def _template() -> str:
    return hot.text(cluster(workers=1))
