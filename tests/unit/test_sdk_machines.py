"""Nova's answers about machines."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.stack.api import CloudError
from cloud.stack.sdk.machines import Machines
from tests.unit.fake_heat import refused


class Busy(Machines):
    """A Nova that refuses to start its one machine."""

    def __init__(self, **server: str) -> None:
        self.told = {"server": server} if server else None

    def _ask(self, *_: Any, **__: Any) -> Any:
        raise refused("Cannot 'start' instance", 409)

    def _found(self, *_: Any, **__: Any) -> Any:
        return self.told


def test_a_machine_that_runs_or_is_being_started_needs_no_other_start() -> None:
    """Not one that is shut off, on its way there, or gone."""
    task = "OS-EXT-STS:task_state"
    Busy(status="ACTIVE").start_server("x")
    Busy(status="SHUTOFF", **{task: "powering-on"}).start_server("x")
    others = ({"status": "SHUTOFF"}, {"status": "ACTIVE", task: "powering-off"}, {"status": "ERROR"}, {})
    for server in others:
        with pytest.raises(CloudError):
            Busy(**server).start_server("x")
