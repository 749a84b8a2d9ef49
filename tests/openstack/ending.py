"""A stack of the lab for tests of what ends or changes it: made without its machines' own programs, its master played."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloud.stack.api import Cloud, Stack

NAME = "digits"
UP_S = 180.0


def made(cloud: Cloud, template: Path, name: str = NAME, **parameters: object) -> Stack:
    """Make a stack and wait until all its machines are there."""
    given = {"image": "tiny", "master_flavor": "m1.tiny", "worker_flavor": "m1.tiny", **parameters}
    content = template.read_text(encoding="utf-8")
    identity = cloud.create(name, content, given, timeout_min=30, tags=["hotrun"])
    until_so(
        lambda: any(
            one.name == "gate" and one.status.endswith("IN_PROGRESS") for one in cloud.resources(identity)
        )
    )
    return there(cloud, identity)


def tell(
    cloud: Cloud, stack: Stack, identity: str, state: str, *, status: str = "SUCCESS", run: str = "r1"
) -> None:
    """Signal as the stack's master does."""
    master = next(one.id for one in cloud.resources(stack.id) if one.machine == "master")
    data = {"state": state, "server": master, "run": run, "problems": [], "machines": []}
    cloud.signal(stack, "gate_handle", {"id": identity, "status": status, "reason": "played", "data": data})


def until(cloud: Cloud, name: str, status: str) -> Stack:
    """Wait for a stack's status."""
    until_so(lambda: there(cloud, name).status == status)
    return there(cloud, name)


def there(cloud: Cloud, name: str) -> Stack:
    """The stack, which must be there."""
    found = cloud.stack(name)
    assert found is not None
    return found


def until_so(is_so: Callable[[], Any], limit_s: float = UP_S) -> None:
    """Wait for something."""
    end = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.5)
