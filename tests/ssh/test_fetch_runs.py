"""`fetch --run`: what an earlier run of a stack left on its master comes home beside the newest."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from cloud.errors import ProblemsFound
from cloud.stack import fetch as fetching
from cloud.stack import record
from cloud.stack import told as told_
from cloud.stack.down import unfetched
from cloud.ui import Ui
from tests.unit.signalled import gate, machine, result, stack

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.process, pytest.mark.network]
NAME, OLD, NEW = "digits-1", "20260101-120000-aaaa", "20260101-130000-bbbb"
SIGNALS = {"gate": gate(run=OLD), "gate-1": gate(run=NEW), "result-1": result(run=NEW)}


class Cloud:
    """Answers what a fetch asks."""

    label = "here"

    def resources(self, _: str) -> list[Any]:
        """The master."""
        return [machine("master")]


@pytest.fixture
def bring(site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Fetch a run of the stack that has both."""
    monkeypatch.setattr(fetching, "shell_of", lambda *_: site.shell())
    now = stack(SIGNALS, parameters={"rerun": "1"})

    def brought(run: str = "") -> Any:
        return fetching.fetch(Cloud(), now, Ui(stderr=io.StringIO()), tmp_path, run=run)  # type: ignore[arg-type]

    return brought


def at_stake(place: Path) -> Any:
    """Why `down` would refuse."""
    now = stack(SIGNALS, parameters={"rerun": "1"})
    return unfetched.at_stake(now, told_.by(now, Cloud().resources("")), record.read(place, NAME))


def test_an_earlier_run_comes_home_beside_the_newest(site: Any, tmp_path: Path, bring: Any) -> None:
    """Its newest attempt, checked against its manifest; the newest run's files stay, and `down` then lets go."""
    site.master.judged({"results/a": b"first"}, run=OLD)
    site.master.judged({"results/a": b"old"}, run=OLD, attempt=2)
    site.master.judged({"results/a": b"new"}, run=NEW)
    bring()
    refused = at_stake(tmp_path)
    assert f"fetch {NAME} --run {OLD}" in refused.fix
    fetched = bring(OLD)
    folder = tmp_path / NAME
    assert (fetched.is_whole, fetched.exit_code, fetched.attempt) == (True, 0, 2)
    assert fetched.folder == folder / "earlier" / f"{OLD}-2"
    assert (fetched.folder / "results/a").read_bytes() == b"old"
    assert (folder / "results/a").read_bytes() == b"new"
    kept = record.read(tmp_path, NAME)
    assert kept is not None
    assert (kept.fetched_run, kept.fetched) == (NEW, {OLD, NEW})
    assert at_stake(tmp_path) is None


def test_a_run_that_nobody_judged_comes_as_it_is(site: Any, tmp_path: Path, bring: Any) -> None:
    """Nothing more will come of it; today's logs are the newest run's and are no part of it."""
    (site.master.training(run=OLD) / "results/b").write_bytes(b"half")
    site.master.judged({"results/a": b"new"}, run=NEW)
    site.master.log("train", "epoch 1\n")
    fetched = bring(OLD)
    found = {path.name for path in fetched.folder.rglob("*") if path.is_file()}
    assert (fetched.is_whole, fetched.exit_code) == (True, 0)
    assert {"b"} <= found
    assert "train.log" not in found
    assert json.loads((tmp_path / NAME / "cloud.json").read_text())["fetched_runs"] == [OLD]


def test_the_newest_run_may_be_named_too(site: Any, tmp_path: Path, bring: Any) -> None:
    """It is fetched as always."""
    site.master.judged({"results/a": b"new"}, run=NEW)
    assert bring(NEW).folder == tmp_path / NAME


@pytest.mark.parametrize("run", ["nobody", "../..", "-x"])
def test_a_run_that_is_not_there_is_named_with_those_that_are(site: Any, bring: Any, run: str) -> None:
    """Exit 3, and nothing outside the runs is looked at."""
    site.master.judged({"results/a": b"new"}, run=NEW)
    with pytest.raises(ProblemsFound) as refusal:
        bring(run)
    problem = refusal.value.problems[0]
    assert problem.code == "run-unknown"
    assert problem.fix == f"it has {OLD}, {NEW}"
