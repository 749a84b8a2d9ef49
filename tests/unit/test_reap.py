from __future__ import annotations

import datetime as dt
import shutil
import subprocess
from pathlib import Path

import pytest

from cloud.errors import HotrunError, Problem
from cloud.stack.down import reap, timer
from tests.unit.fake_cloud import START, FakeCloud
from tests.unit.stacks import Told, made, settled

LATER = START + dt.timedelta(hours=3)


def fetched(*_: object) -> str:
    """Stands for a fetch."""
    return "results fetched: runs/x"


def test_only_stacks_past_their_deadline_are_deleted(tmp_path: Path) -> None:
    """The others keep their time, and a dry run deletes nothing at all."""
    cloud = FakeCloud()
    made(cloud, name="old", max_hours="1")
    made(cloud, name="young", max_hours="24")
    found = reap.reap(cloud, Told(), tmp_path, dry_run=True, now=LATER, fetch=fetched)
    assert {one.name: one.action for one in found.stacks} == {"old": "due", "young": "kept"}
    assert "delete" not in cloud.calls
    found = reap.reap(cloud, Told(), tmp_path, now=LATER, fetch=fetched)
    assert {one.name: one.action for one in found.stacks} == {"old": "deleted", "young": "kept"}
    assert (found.exit_code, cloud.stack("old")) == (0, None)


def test_one_that_can_not_be_deleted_does_not_keep_the_others(tmp_path: Path) -> None:
    """Exit 5, and the rest is done."""
    cloud = FakeCloud()
    made(cloud, name="a", max_hours="1")
    made(cloud, name="b", max_hours="1")

    def fails(_cloud: object, stack: object, *_: object) -> str:
        if stack.name == "b":  # type: ignore[attr-defined]
            raise HotrunError(Problem(code="cloud-refused", what="no"))
        return fetched()

    found = reap.reap(cloud, Told(), tmp_path, now=LATER, fetch=fails)
    assert {one.name: one.action for one in found.stacks} == {"a": "deleted", "b": "left"}
    assert found.exit_code == 5


def test_a_run_that_trains_has_as_long_as_its_machines_took_to_start(tmp_path: Path) -> None:
    """They count their hours from their own first start, and bring results home at the end of them."""
    cloud = FakeCloud()
    made(cloud, name="late", max_hours="1", boot_timeout="3000")
    cloud.gate("late")
    settled(cloud, "late")
    soon, later = START + dt.timedelta(minutes=109), START + dt.timedelta(minutes=111)
    found = reap.reap(cloud, Told(), tmp_path, now=soon, fetch=fetched)
    assert [one.action for one in found.stacks] == ["kept"]
    assert "delete" not in cloud.calls
    found = reap.reap(cloud, Told(), tmp_path, now=later, fetch=fetched)
    assert [(one.action, one.fetched) for one in found.stacks] == [("deleted", fetched())]


def test_the_timer_holds_no_secret_and_an_absolute_program() -> None:
    """OS_CLOUD alone is written down; percent signs are not cron's."""
    made = timer.texts(["/opt/my py/python3", "/opt/50%/generator.py"], "lab", Path("/home/me/runs"))
    assert 'Environment="OS_CLOUD=lab"' in made["service"]
    assert (
        'ExecStart="/opt/my py/python3" /opt/50%%/generator.py reap --runs-dir /home/me/runs'
        in made["service"]
    )
    expected = "7 * * * * OS_CLOUD=lab '/opt/my py/python3' /opt/50\\%/generator.py reap --runs-dir /home/me/runs --quiet"
    assert made["cron"] == expected
    assert "OS_CLOUD is not set" in timer.page(made, "")


@pytest.mark.process
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """What is printed can be pasted."""
    made = timer.texts(["/bin/true"], "my lab", tmp_path)
    for name in ("service", "timer"):
        (tmp_path / f"{timer.UNIT}.{name}").write_text(made[name])
    units = [str(tmp_path / f"{timer.UNIT}.{name}") for name in ("service", "timer")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", *units], capture_output=True, text=True, check=False
    )
    assert timer.UNIT not in done.stderr, done.stderr
