"""When following ends, and when it must not: workers that lost the master, late machines, another run, a signal."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from cloud import hot
from cloud.errors import Interrupted, Problem
from cloud.stack.shell import viewer
from cloud.stack.watch import Watch, outcome
from cloud.stack.watch.loop import MASTER_SILENT_S, Followed
from tests.unit.clusters import cluster
from tests.unit.fake_cloud import FakeCloud
from tests.unit.signalled import CREATED, gate, result, stack, trouble
from tests.unit.test_watch import DONE, TRAINING, Told, follow, picture

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.stack.api import Stack

LOST = {"state": "failed", "server": "id-worker-1", "run": "r1", "problems": [trouble(code="master-lost")]}
FITTING = {"image": "tiny", "master_flavor": "m1.tiny", "worker_flavor": "m1.tiny", "key_name": ""}
FINISHED = "hotrun: node=master stage=finish state=ok s=0.1\n"
PROMPT = "login:"  # the line that is being written


def test_a_worker_that_lost_the_master_decides_when_the_master_is_silent() -> None:
    """The master may go on without it: three minutes without a word of it are waited for."""
    lost = picture({"gate": gate(), "worker-1-lost-master": LOST})
    told = Told()
    assert follow(TRAINING, lost, told=told).end == "told"
    assert told.seconds > MASTER_SILENT_S
    done = picture({"gate": gate(), "worker-1-lost-master": LOST, "result": result()})
    told = Told()
    assert follow(TRAINING, lost, done, told=told).last.told.state == "done"
    assert told.seconds < MASTER_SILENT_S
    assert outcome.standing(lost, "digits-1", hotrun_place()).state == "running"


def test_machines_that_train_have_their_hours_from_their_own_boot(tmp_path: Path) -> None:
    """Up to boot_timeout after the deadline a run that trains may report; then it may still have results."""
    late, later = (CREATED + dt.timedelta(hours=24, seconds=seconds) for seconds in (2999, 3001))
    assert follow(TRAINING, DONE, now=lambda: late).end == "told"
    followed = follow(TRAINING, DONE, now=lambda: later)
    assert followed.end == "deadline"
    assert outcome.judged(followed, "digits-1", tmp_path).run == "r1"
    assert follow(picture(), now=lambda: late).end == "deadline"


def test_a_resize_that_failed_is_followed_to_the_result() -> None:
    """UPDATE_FAILED while the master trains ends nothing."""
    assert follow(picture({"gate": gate()}, status="UPDATE_FAILED", reason="no"), DONE).end == "told"


def test_what_heat_shows_of_the_run_before_a_rerun_is_no_news() -> None:
    """Heat may still show the old count with the old result, or an old failure."""
    before, failed = DONE, picture(status="CREATE_FAILED", reason="WaitConditionFailure")
    over = picture({"gate-1": gate(run="r2"), "result-1": result(run="r2")}, parameters={"rerun": "1"})
    assert follow(before, failed, over, number=1).last.told.run == "r2"


def test_a_silent_master_that_is_not_done_has_failed(tmp_path: Path) -> None:
    """Without signals its console tells the end, and only `done` is a good one."""
    ended = outcome.judged(Followed(end="told", last=picture()), "digits-1", tmp_path)
    assert (ended.state, ended.exit_code, ended.problems[0].code) == ("failed", 5, "run-failed")


def watched(**more: Any) -> tuple[FakeCloud, str, Watch]:
    """A stack whose master has ended a run, by its console."""
    cloud = FakeCloud()
    made = cloud.create("digits-1", hot.text(cluster(workers=1)), FITTING, timeout_min=60, tags=["hotrun"])
    for _ in range(3):
        cloud.stack(made)
    master = next(one.id for one in cloud.resources(made) if one.machine == "master")
    cloud.consoles[master] = FINISHED + PROMPT
    return cloud, master, Watch(cloud, made, **more)


def test_a_rerun_begins_where_consoles_end() -> None:
    """What they show at the first look is of the run before."""
    _, _, watch = watched()
    found = watch.look()
    assert found is not None
    assert found.views[0].state == "done"
    cloud, master, watch = watched(is_rerun=True)
    found = watch.look()
    assert found is not None
    assert found.views[0].state == "waiting"
    cloud.consoles[master] = f"{FINISHED}hotrun: node=master stage=train state=begin\n{PROMPT}"
    found = watch.look()
    assert found is not None
    assert found.views[0].stage == "train"


def test_machines_of_other_names_hurt_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack that is not ours has servers of any name."""
    cloud, _, watch = watched()
    own = cloud.resources

    def renamed(stack_id: str) -> list[Any]:
        import dataclasses

        return [
            dataclasses.replace(one, name="web1") if one.machine == "master" else one for one in own(stack_id)
        ]

    monkeypatch.setattr(cloud, "resources", renamed)
    assert watch.look(is_last=True) is not None


def test_a_signal_in_a_look_over_ssh_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look never raises for a machine, and always for Ctrl-C."""

    def signalled(*_: object) -> None:
        raise Interrupted(Problem(code="interrupted", what="interrupted"))

    monkeypatch.setattr(viewer, "shell_of", signalled)
    with pytest.raises(Interrupted):
        viewer.Viewer(FakeCloud()).look(told_stack())


def test_every_round_asks_for_signals() -> None:
    """One that got lost in a library ends the next round."""

    def lost() -> None:
        raise Interrupted(Problem(code="interrupted", what="interrupted"))

    with pytest.raises(Interrupted):
        follow(TRAINING, DONE, raise_early=lost)


def told_stack() -> Stack:
    """A stack whose gate was passed."""
    return stack({"gate": gate()})


def hotrun_place() -> Path:
    """Where nothing is."""
    from pathlib import Path

    return Path("nowhere")
