"""What `status` says of time."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from cloud.stack.watch import standing
from tests.unit.fake_cloud import FakeCloud
from tests.unit.stacks import NAME, Told, made, settled

if TYPE_CHECKING:
    from pathlib import Path


def test_time_left_is_counted_by_the_clouds_clock(tmp_path: Path) -> None:
    """In the list and for one stack; this computer's clock may be hours ahead."""
    cloud = FakeCloud(now=dt.datetime(2001, 1, 1, 12, 0, tzinfo=dt.UTC))
    made(cloud, max_hours="2")
    cloud.now += dt.timedelta(minutes=30)
    (entry,) = standing.every(cloud)
    assert (entry.age, entry.left) == (dt.timedelta(minutes=30), dt.timedelta(minutes=90))
    told = Told()
    standing.show(standing.one(cloud, settled(cloud), tmp_path, None, "hotrun"), told, told.result)
    assert "1 h 30 min" in told.out.getvalue()
    assert NAME in told.out.getvalue()
