"""One `up` from when there is a stack: whose it is, what is brought home, what is deleted."""

from __future__ import annotations

import datetime as dt
import io
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from cloud import hot
from cloud.errors import NoAccess, Problem, ProblemsFound, RequestError
from cloud.rehearse.interrupts import Interrupts
from cloud.stack import fetch, record
from cloud.stack.api import CloudError
from cloud.stack.change.changing import require_ours
from cloud.stack.launch import changed
from cloud.stack.launch.session import Session
from cloud.stack.launch.up import Options, up
from cloud.ui import Ui
from tests.unit.clusters import cluster
from tests.unit.fake_cloud import FakeCloud
from tests.unit.signalled import trouble
from tests.unit.stacks import NAME, Told, made

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Asked:
    """How a stack is followed."""

    runs_dir: Path
    ends_with_down: bool = False
    identity: Path | None = None


def session(cloud: FakeCloud, runs_dir: Path, *, down: bool = False) -> Session:
    """A session on the stack that is there."""
    stack = cloud.stack(NAME)
    assert stack is not None
    return Session(cloud, stack, Asked(runs_dir, ends_with_down=down), Told(), Interrupts())


def test_a_computer_without_a_record_can_follow(tmp_path: Path) -> None:
    """Directory and record are made first."""
    cloud = FakeCloud()
    made(cloud)
    cloud.fails(NAME, "worker-1: no", problems=[trouble()])
    ended = session(cloud, tmp_path / "runs").run()
    kept = record.read(tmp_path / "runs", NAME)
    assert (ended.exit_code, kept is not None and kept.cloud == cloud.label) == (5, True)


def test_a_rehearsals_directory_is_left_alone(tmp_path: Path) -> None:
    """A stack of the same name is not written into it."""
    cloud = FakeCloud()
    made(cloud)
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "status.json").write_text("{}")
    with pytest.raises(RequestError, match="rehearsal"):
        session(cloud, tmp_path).run()
    assert [path.name for path in (tmp_path / NAME).iterdir()] == ["status.json"]


def test_a_stack_that_is_not_known_here_is_not_deleted(tmp_path: Path) -> None:
    """It may be somebody else's: the way to delete it is named, and it stays."""
    cloud = FakeCloud()
    stack = made(cloud)
    cloud.fails(NAME, "worker-1: no", problems=[trouble()])
    unknown = session(cloud, tmp_path, down=True)
    with pytest.raises(ProblemsFound, match="no record"):
        unknown.require_own()
    ended = unknown.run()
    assert "delete" not in cloud.calls
    assert f"down {NAME}" in ended.problems[-1].fix
    assert record.claim(tmp_path, cloud.label, NAME, stack.id).stack_id == stack.id
    known = session(cloud, tmp_path, down=True)
    known.require_own()


def test_a_stack_of_this_template_may_be_somebody_elses(tmp_path: Path) -> None:
    """Picked up without a name and without a record, it is said what it is; --down is refused at once."""
    cloud, text, ui = FakeCloud(), hot.text(cluster(workers=1)), Told()
    given = {"image": "tiny", "master_flavor": "m1.tiny", "worker_flavor": "m1.tiny", "key_name": ""}
    cloud.create("digits-7", text, given, timeout_min=60, tags=["hotrun", changed.tag(text)])
    asked: dict[str, Any] = {"template": "t.yml", "text": text, "runs_dir": tmp_path, "is_detached": True}
    with pytest.raises(ProblemsFound, match="no record"):
        up(cloud, Options(**asked, ends_with_down=True), ui)
    assert list(tmp_path.iterdir()) == []
    up(cloud, Options(**asked), ui)
    assert (
        "a stack of this template is there already: digits-7, made at 2026-01-01 12:00 UTC"
        in ui.err.getvalue()
    )
    up(cloud, Options(**asked), ui)
    assert "digits-7 is there already" in ui.err.getvalue()


def test_what_a_run_left_that_never_reported_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate was passed, so there may be results; what could not be fetched is said."""
    cloud = FakeCloud()
    made(cloud)
    cloud.gate(NAME)
    cloud.now += dt.timedelta(days=2)
    asked: list[Any] = []

    def nothing(*words: Any) -> None:
        asked.append(words)
        raise NoAccess(Problem(code="ssh-refused", what="no way in"))

    monkeypatch.setattr(fetch, "fetch", nothing)
    ended = session(cloud, tmp_path).run()
    assert (ended.exit_code, len(asked)) == (6, 1)
    assert "results-not-here" in [one.code for one in ended.problems]


def test_a_stack_of_another_template_is_named_so() -> None:
    """`status` and `logs` look at no stack that is not ours."""
    cloud = FakeCloud()
    stack = made(cloud, tags=())
    if stack.is_ours:  # by its description
        cloud.made[stack.id].content.pop("description")
        stack = cloud.stack(NAME) or stack
    with pytest.raises(ProblemsFound, match="not made from a template"):
        require_ours(stack)


@pytest.mark.parametrize(
    ("typed", "expected"), [("n\nd\n", True), ("\n", False), ("K\n", False), ("delete\n", True), ("", False)]
)
def test_an_answer_that_is_neither_is_asked_again(tmp_path: Path, typed: str, expected: bool) -> None:
    """Keep or delete after Ctrl-C: another letter is no answer, and nothing typed keeps the stack."""
    cloud = FakeCloud()
    made(cloud)
    stack = cloud.stack(NAME)
    assert stack is not None
    ui = Ui(stdin=io.StringIO(typed), stdout=io.StringIO(), stderr=io.StringIO())

    assert Session(cloud, stack, Asked(tmp_path), ui, Interrupts())._is_to_go() is expected


class Interrupting(FakeCloud):
    """Somebody types Ctrl-C as the delete is asked for."""

    def delete(self, stack_id: str) -> None:
        """Take it, and hear the signal."""
        super().delete(stack_id)
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_in_the_delete_says_that_the_cloud_goes_on(tmp_path: Path) -> None:
    """Half an hour of waiting is not to be sat out; the stack is not called kept, and what failed is told too."""
    cloud = Interrupting()
    stack = made(cloud)
    cloud.fails(NAME, "worker-1: no", problems=[trouble()])
    record.claim(tmp_path, cloud.label, NAME, stack.id)
    with Interrupts() as interrupts:
        ended = Session(cloud, stack, Asked(tmp_path, ends_with_down=True), Told(), interrupts).run()
    assert ended.exit_code == 130
    assert ended.problems[0].what == f"interrupted; the cloud goes on deleting {NAME}"
    assert trouble()["code"] in [one.code for one in ended.problems]
    assert "kept" not in str(ended)


def test_a_second_ctrl_c_after_d_does_not_call_the_stack_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question was answered with d, and the delete is under way."""
    cloud, ui = Interrupting(), Ui(stdin=io.StringIO("d\n"), stdout=io.StringIO(), stderr=io.StringIO())
    stack = made(cloud)
    record.claim(tmp_path, cloud.label, NAME, stack.id)
    monkeypatch.setattr(Ui, "is_interactive", True)
    with Interrupts() as interrupts:
        interrupts.name = "SIGINT"
        ended = Session(cloud, stack, Asked(tmp_path), ui, interrupts).run()
    assert "delete" in cloud.calls
    assert (ended.exit_code, str(ended).count("kept")) == (130, 0)


@pytest.mark.parametrize("down", [False, True])
def test_a_cloud_that_lets_nobody_in_any_more_keeps_the_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, down: bool
) -> None:
    """A login that ends in a long run: how it stands is written down, with what is not here."""
    cloud = FakeCloud()
    stack = made(cloud)
    cloud.fails(NAME, "worker-1: no", problems=[trouble()])
    cloud.gate(NAME)
    record.claim(tmp_path, cloud.label, NAME, stack.id)
    one = Session(cloud, stack, Asked(tmp_path, ends_with_down=down), Told(), Interrupts())
    ended = one._followed

    def refused(_: str) -> None:
        raise CloudError(Problem(code="cloud-no-access", what="the login has ended"), status=401)

    def then_out(kept: Any) -> Any:
        found = ended(kept)
        monkeypatch.setattr(cloud, "stack", refused)
        return found

    monkeypatch.setattr(one, "_followed", then_out)
    found = one.run()
    assert found.exit_code == 5
    assert "results-not-here" in [each.code for each in found.problems]
    assert (tmp_path / NAME / "status.json").is_file()
