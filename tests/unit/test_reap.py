from __future__ import annotations

import datetime as dt
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cloud import cli
from cloud.errors import HotrunError, NoAccess, Problem
from cloud.stack import fetch, record
from cloud.stack.api import Stack
from cloud.stack.down import reap, timer
from cloud.stack.login import access
from tests.unit.fake_cloud import START, FakeCloud
from tests.unit.stacks import NAME, Told, made, settled, trained

LATER = START + dt.timedelta(hours=3)


def fetched(*_: object) -> str:
    """Stands for a fetch."""
    return "results fetched: runs/x"


def not_fetched(*_: object) -> str:
    """Stands for a fetch that finds no way in."""
    return "results not fetched: no way in"


def remembered(cloud: FakeCloud, stack: Stack, runs_dir: Path) -> record.Record:
    """What `up` writes of a stack that it made."""
    return record.claim(runs_dir, cloud.label, stack.name, stack.id, "ab" * 32)


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
    remembered(cloud, made(cloud, name="late", max_hours="1", boot_timeout="3000"), tmp_path)
    cloud.gate("late")
    settled(cloud, "late")
    soon, later = START + dt.timedelta(minutes=109), START + dt.timedelta(minutes=111)
    found = reap.reap(cloud, Told(), tmp_path, now=soon, fetch=fetched)
    assert [one.action for one in found.stacks] == ["kept"]
    assert "delete" not in cloud.calls
    found = reap.reap(cloud, Told(), tmp_path, now=later, fetch=fetched)
    assert [(one.action, one.fetched) for one in found.stacks] == [("deleted", fetched())]


def test_the_clouds_clock_says_what_is_past(tmp_path: Path) -> None:
    """This computer's may be hours ahead, and would delete stacks that train."""
    cloud = FakeCloud(now=dt.datetime(2001, 1, 1, 12, 0, tzinfo=dt.UTC))
    made(cloud, max_hours="1")
    found = reap.reap(cloud, Told(), tmp_path, fetch=fetched)
    assert [one.action for one in found.stacks] == ["kept"]
    cloud.now += dt.timedelta(hours=3)
    found = reap.reap(cloud, Told(), tmp_path, fetch=fetched)
    assert [one.action for one in found.stacks] == ["deleted"]


def test_the_clouds_clock_is_asked_after_its_first_answer(tmp_path: Path) -> None:
    """Before it a cloud knows no better than this computer."""
    cloud, asked = FakeCloud(), list[int]()
    cloud.time = lambda: (asked.append(len(cloud.calls)), LATER)[1]  # type: ignore[method-assign]
    reap.reap(cloud, Told(), tmp_path)
    assert asked
    assert asked[0] > 0


def test_results_of_a_stack_that_may_be_somebody_elses_are_not_lost(tmp_path: Path) -> None:
    """It is left while they are not here, hour after hour; why, and what deletes it, is said."""
    cloud, ui = FakeCloud(), Told()
    stack = made(cloud, max_hours="1")
    trained(cloud)
    found = reap.reap(cloud, ui, tmp_path, dry_run=True, now=LATER)
    assert "only when its results come home first" in found.stacks[0].what
    for _ in range(2):
        found = reap.reap(cloud, ui, tmp_path, now=LATER, fetch=not_fetched)
        one = found.stacks[0]
        assert (one.action, found.exit_code, one.fetched) == ("left", 5, not_fetched())
        assert "the results of digits were not fetched to this computer (run r1)" in one.what
        assert "no record of making this stack" in one.what
        assert one.what.endswith("hotrun down digits --discard deletes it")
    assert "delete" not in cloud.calls
    remembered(cloud, stack, tmp_path)
    found = reap.reap(cloud, ui, tmp_path, now=LATER, fetch=not_fetched)
    assert [(one.action, one.fetched) for one in found.stacks] == [("deleted", not_fetched())]


def test_a_stack_whose_results_came_home_is_deleted_whosever_it_is(tmp_path: Path) -> None:
    """All of them: an earlier run that is still on its master keeps it, also when the next hour has come."""
    cloud = FakeCloud()
    stack = made(cloud, max_hours="1")
    trained(cloud)
    for signal, identifier in ((cloud.gate, "gate-1"), (cloud.result, "result-1")):
        signal(NAME, identifier, run="r2", state="running" if signal == cloud.gate else "done")

    def brings(*_: object) -> str:
        kept = record.claim(tmp_path, cloud.label, NAME, stack.id)
        record.write(tmp_path, kept.brought("r2"))
        return fetched()

    for _ in range(2):
        found = reap.reap(cloud, Told(), tmp_path, now=LATER, fetch=brings)
        assert found.stacks[0].action == "left"
        assert "its earlier run r1 was not fetched" in found.stacks[0].what
    kept = record.claim(tmp_path, cloud.label, NAME, stack.id)
    record.write(tmp_path, kept.brought("r1", is_newest=False))
    found = reap.reap(cloud, Told(), tmp_path, now=LATER, fetch=brings)
    assert [one.action for one in found.stacks] == ["deleted"]


def test_a_run_that_came_home_whole_without_a_last_word_keeps_no_stack(tmp_path: Path) -> None:
    """Its master could not tell how it ended; past the deadline it does not train any more."""
    cloud = FakeCloud()
    stack = made(cloud, max_hours="1")
    cloud.gate(NAME)
    settled(cloud)

    def brings(*_: object) -> str:
        record.write(tmp_path, record.claim(tmp_path, cloud.label, NAME, stack.id).brought("r1"))
        return fetched()

    found = reap.reap(cloud, Told(), tmp_path, now=LATER, fetch=not_fetched)
    assert [one.action for one in found.stacks] == ["left"]
    found = reap.reap(cloud, Told(), tmp_path, now=LATER, fetch=brings)
    assert [one.action for one in found.stacks] == ["deleted"]


def test_without_its_master_a_stack_has_nothing_to_keep(tmp_path: Path) -> None:
    """Its results went with the machine's disk."""
    cloud = FakeCloud()
    made(cloud, max_hours="1")
    trained(cloud)
    cloud.server = lambda server_id: None  # type: ignore[method-assign]
    found = reap.reap(cloud, Told(), tmp_path, now=LATER, fetch=not_fetched)
    assert [one.action for one in found.stacks] == ["deleted"]


def test_the_key_that_is_named_is_the_one_that_fetches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`reap -i` as `fetch -i`: without it only ssh's own keys would be tried."""
    cloud, given = FakeCloud(), list[Any]()
    made(cloud, max_hours="1")
    trained(cloud)
    cloud.now = LATER

    def refuses(*words: Any) -> None:
        given.append(words[4])
        raise NoAccess(Problem(code="ssh-refused", what="no way in"))

    monkeypatch.setattr(fetch, "fetch", refuses)
    monkeypatch.setattr(access, "require_sdk", lambda: None)
    monkeypatch.setattr(access, "connect", lambda *_, **__: cloud)
    code = cli.run(["reap", "-i", "~/lab.pem", "--runs-dir", str(tmp_path)])
    assert (code, given) == (5, [Path("~/lab.pem").expanduser()])
    assert "still there" in capsys.readouterr().out


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
    made = timer.texts(["/opt/hotrun"], "", Path("/runs"), Path("/home/me/my key"))
    for name, word in (("service", '"/home/me/my key"'), ("cron", "'/home/me/my key'")):
        assert f"reap --runs-dir /runs --identity {word}" in made[name]


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
