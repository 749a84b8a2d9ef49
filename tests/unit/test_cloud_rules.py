from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cloud.stack.api import CloudError
from tests.unit import cloud_rules
from tests.unit.cloud_rules import RULES, VALUES
from tests.unit.clusters import cluster
from tests.unit.fake_cloud import FakeCloud
from tests.unit.fake_heat import refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.stack.api import Cloud, Stack


@pytest.fixture(scope="module")
def text() -> str:
    """A template of ours."""
    from cloud import hot

    return hot.text(cluster(workers=1))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_fake_follows(rule: Callable[[Cloud, str], None], text: str) -> None:
    """The fake answers as a real cloud does."""
    rule(FakeCloud(), text)


def test_a_stack_of_the_fake_lives_as_a_real_one(text: str) -> None:
    """Made, signalled, grown in place and gone with all that it made."""
    cloud = FakeCloud()

    def look(name: str, is_so: Callable[[Stack], bool]) -> Stack:
        for _ in range(10):
            found = cloud.stack(name)
            if found is not None and is_so(found):
                return found
        raise AssertionError(found)

    cloud_rules.a_stack_lives(cloud, text, look)


def test_a_failure_is_heats_reason(text: str) -> None:
    """A FAILURE of the master fails the stack with its sentence; nothing goes away by itself."""
    cloud = FakeCloud()
    stack_id = cloud.create("digits", text, VALUES, timeout_min=60, tags=["hotrun"])
    cloud.stack(stack_id)
    cloud.fails("digits", "worker-1: no room")
    failed = cloud.stack(stack_id)
    assert failed is not None
    assert failed.status == "CREATE_FAILED"
    assert failed.reason.endswith("WaitConditionFailure: resources.gate: worker-1: no room")
    assert len(cloud.servers(failed)) == 2


def test_faults_come_once(text: str) -> None:
    """A fault that a test asks for comes once, then the call works."""
    cloud = FakeCloud()
    cloud.faults["stacks"] = [refused("busy", 503)]
    with pytest.raises(CloudError, match="busy"):
        cloud.stacks()
    assert cloud.stacks() == []
    assert cloud.calls == ["stacks", "stacks"]
