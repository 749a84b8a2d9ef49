"""Following a stack: what is asked, what is new, when it ends, and what a silent cloud does."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from cloud import hot
from cloud.errors import Problem
from cloud.stack.api import CloudError
from cloud.stack.watch import Watch, outcome, snapshot
from cloud.stack.watch import changes as watch_changes
from cloud.stack.watch.loop import MASTER_GONE_S, SILENCE_S, Loop
from cloud.stack.watch.views import Sources
from tests.unit.clusters import cluster
from tests.unit.fake_cloud import FakeCloud
from tests.unit.signalled import CREATED, gate, machine, result, server, stack, trouble

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.stack.watch.snapshot import Snapshot

TIMED_OUT = "Resource CREATE failed: WaitConditionTimeout: resources.gate: 0 of 1 received"


def picture(signals: dict[str, Any] | None = None, *, master: str = "ACTIVE", **changes: Any) -> Snapshot:
    """A snapshot of two machines."""
    return snapshot.make(
        Sources(
            stack=stack(signals, **changes), resources=[machine("master"), machine("worker-1")],
            servers=[server("master", master), server("worker-1")],
        )
    )  # fmt: skip


MAKING = picture(status="CREATE_IN_PROGRESS")
TRAINING = picture({"gate": gate()})
DONE = picture({"gate": gate(), "result": result()})


@dataclass
class Scripted:
    """A watch that tells one thing after another, the last again and again."""

    pictures: list[Snapshot | CloudError | None]
    lines: list[Any] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)

    def look(self, *, is_last: bool = False) -> Snapshot | None:
        """The next picture."""
        found = self.pictures.pop(0) if len(self.pictures) > 1 and not is_last else self.pictures[0]
        if isinstance(found, CloudError):
            raise found
        return found


@dataclass
class Told:
    """A screen, a list of events and a clock."""

    seconds: float = 0.0
    pauses: list[float] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    changes: list[watch_changes.Change] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    def show(self, _: Snapshot, changes: Any, lines: Any) -> None:
        """Take what is new."""
        del lines
        self.changes += changes

    def tell(self, sentence: str) -> None:
        """Take a sentence."""
        self.sentences.append(sentence)

    def event(self, kind: str, **_: Any) -> None:
        """Take an event."""
        self.kinds.append(kind)

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.pauses.append(seconds)
        self.seconds += seconds


def follow(*pictures: Snapshot | CloudError | None, told: Told | None = None, **more: Any) -> Any:
    """Follow what the script tells."""
    told = told or Told()
    usual: dict[str, Any] = {
        "clock": lambda: told.seconds, "sleep": told.sleep, "now": lambda: CREATED + dt.timedelta(hours=1),
    }  # fmt: skip
    loop = Loop(watch=Scripted(list(pictures)), shown=told, kept=told, **{**usual, **more})  # type: ignore[arg-type]
    return loop.run()


def silence(status: int = 0) -> CloudError:
    """A cloud that does not answer."""
    return CloudError(Problem(code="cloud-unreachable", what="Heat does not answer"), status=status)


def test_a_result_ends_it(tmp_path: Path) -> None:
    """Followed to the master's report; the document has the keys of a rehearsal's."""
    ended = outcome.judged(follow(MAKING, TRAINING, DONE), "digits-1", tmp_path)
    assert (ended.state, ended.exit_code, ended.proven) == ("done", 0, 2)
    document = ended.as_json()
    assert list(document)[:10] == [
        "schema", "name", "level", "state", "exit_code", "world_size", "nodes", "result", "run_dir", "attempts",
    ]  # fmt: skip
    assert document["level"] == "cloud"


def test_a_failed_run_says_why(tmp_path: Path) -> None:
    """The master's problem decides, with the machine's last lines and what to type next."""
    failed = picture({"gate": gate(), "result": result("failed", problems=[trouble()])})
    ended = outcome.judged(follow(TRAINING, failed), "digits-1", tmp_path)
    assert ended.exit_code == 5
    assert str(ended).startswith("worker-1 failed in environment; the stack is kept")
    for words in (
        "ERROR: no torchh",
        "docs/errors.md#requirement-not-found",
        "hotrun down digits-1",
        "hotrun rerun digits-1",
    ):
        assert words in str(ended)


def test_a_silent_master_is_named(tmp_path: Path) -> None:
    """Heat's time-out says only a number: that the master never spoke, and what to do, is said."""
    ended = outcome.judged(
        follow(MAKING, picture(status="CREATE_FAILED", reason=TIMED_OUT)), "digits-1", tmp_path
    )
    assert (ended.exit_code, ended.problems[0].code) == (5, "master-silent")
    assert "never spoke within its 50 min" in ended.problems[0].what


def test_the_deadline_ends_it(tmp_path: Path) -> None:
    """Past creation and max_hours it is exit 6, whatever the machines do."""
    ended = outcome.judged(
        follow(TRAINING, now=lambda: CREATED + dt.timedelta(hours=25)), "digits-1", tmp_path
    )
    assert (ended.exit_code, ended.problems[0].code) == (6, "deadline-passed")


def test_a_result_counts_after_the_deadline_too(tmp_path: Path) -> None:
    """What was reported in time is the result, whenever somebody looks."""
    ended = outcome.judged(follow(DONE, now=lambda: CREATED + dt.timedelta(hours=25)), "digits-1", tmp_path)
    assert ended.exit_code == 0


@pytest.mark.parametrize("last", [None, picture(status="DELETE_IN_PROGRESS")])
def test_a_stack_that_is_deleted_ends_it(tmp_path: Path, last: Snapshot | None) -> None:
    """Somebody else's `down` is said, and is a failure."""
    ended = outcome.judged(follow(TRAINING, last), "digits-1", tmp_path)
    assert (ended.exit_code, ended.problems[0].code) == (5, "stack-gone")


def test_a_cloud_that_comes_back_is_survived() -> None:
    """A Heat that restarts: said with its seconds, then following goes on."""
    told = Told()
    followed = follow(MAKING, silence(), silence(503), TRAINING, DONE, told=told)
    assert followed.end == "told"
    assert told.sentences[0].startswith("the cloud does not answer, trying again (0 s)")
    assert told.sentences[-1].startswith("the cloud answers again")


def test_a_cloud_that_stays_away_keeps_the_stack(tmp_path: Path) -> None:
    """After a quarter of an hour it is exit 5, and nothing was deleted."""
    told = Told()
    ended = outcome.judged(follow(MAKING, silence(), told=told), "digits-1", tmp_path)
    assert (ended.exit_code, ended.problems[0].code) == (5, "cloud-silent")
    assert told.seconds >= SILENCE_S
    assert "is kept" in ended.problems[0].what


def test_a_refusal_is_no_silence() -> None:
    """A login that is over is not waited for."""
    told = Told()
    assert follow(MAKING, silence(401), told=told).end == "silent"
    assert sum(told.pauses) < SILENCE_S


def test_a_master_that_is_shut_off_is_a_failure() -> None:
    """It may boot again; when it stays away without a result, the run is lost."""
    told = Told()
    assert follow(TRAINING, picture({"gate": gate()}, master="SHUTOFF"), told=told).end == "lost"
    assert told.seconds > MASTER_GONE_S
    assert follow(picture({"gate": gate()}, master="SHUTOFF"), TRAINING, DONE).end == "told"


def test_a_rerun_on_a_stack_that_failed_is_followed() -> None:
    """CREATE_FAILED is the end of the first run only."""
    waiting = picture(status="UPDATE_FAILED", reason=TIMED_OUT, parameters={"rerun": "1"})
    over = picture({"gate-1": gate(run="r2"), "result-1": result(run="r2")}, parameters={"rerun": "1"})
    assert follow(waiting, over).end == "told"


def test_pauses_grow_while_nothing_happens() -> None:
    """Two seconds at first, ten at most; news make it quick again."""
    told = Told()
    follow(MAKING, *[MAKING] * 12, TRAINING, TRAINING, DONE, told=told)
    assert told.pauses[0] == 2.0
    assert max(told.pauses) == 10.0
    assert told.pauses[13] == 2.0


def test_what_is_new_is_said_once() -> None:
    """A change is what differs from the picture before: states, stages, problems."""
    told = Told()
    follow(MAKING, MAKING, TRAINING, TRAINING, DONE, told=told)
    texts = [change.text for change in told.changes]
    assert texts.count("every machine passed the gate; training begins") == 1
    assert texts.count("stack CREATE_COMPLETE") == 1
    assert "the master reported: done" in texts


def test_watch_reads_a_stack_from_every_side() -> None:
    """Resources, machines, signals and consoles of one stack come together; ids that were seen are kept."""
    cloud = FakeCloud()
    made = cloud.create("digits-1", hot.text(cluster(workers=1)), _FITTING, timeout_min=60, tags=["hotrun"])
    watch = Watch(cloud, made)
    watch.look()
    found = watch.look()
    assert found is not None
    assert found.up == 2
    cloud.gate("digits-1")
    master = next(one.id for one in cloud.resources(made) if one.machine == "master")
    cloud.consoles[master] = "hotrun: node=master stage=train state=begin\n[rank 0] epoch 1/3 loss 0.5\n[rank"
    found = watch.look(is_last=True)
    assert found is not None
    assert (found.told.state, found.views[0].progress) == ("running", "epoch 1/3  loss 0.5")
    assert ("OS::Nova::Server", master) in watch.seen
    cloud.delete(made)
    for _ in range(3):
        found = watch.look()
    assert found is None


def test_a_console_that_can_not_be_read_hurts_nobody() -> None:
    """It is one source of several."""
    cloud = FakeCloud()
    made = cloud.create("digits-1", hot.text(cluster(workers=1)), _FITTING, timeout_min=60, tags=["hotrun"])
    watch = Watch(cloud, made)
    watch.look()
    cloud.faults["console"] = [silence(503)] * 4
    assert watch.look(is_last=True) is not None


_FITTING = {"image": "tiny", "master_flavor": "m1.tiny", "worker_flavor": "m1.tiny", "key_name": ""}
