"""Where `fetch` writes, what it remembers, and that what was set aside is known again; the master is a fake."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import pytest

from cloud.errors import RequestError
from cloud.stack import down, fetch, record
from cloud.stack.down import kept as keeping
from cloud.stack.fetch.listing import Listing, Remote
from cloud.stack.fetch.ssh import Came
from tests.unit.fake_cloud import FakeCloud
from tests.unit.stacks import NAME, Clock, Told, made, settled, trained

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Master:
    """A master that ssh leads to: `runs` are its runs' files, the newest last."""

    runs: dict[str, dict[str, bytes]] = field(default_factory=dict)
    phase: str = "ended"
    loaded: list[str] = field(default_factory=list)
    """Places of all files that came, with their run."""

    def transfer(self, _shell: object, folder: Path, *_: object) -> _Transfer:
        """Stand for `Transfer`."""
        return _Transfer(self, folder)


@dataclass
class _Transfer:
    master: Master
    folder: Path

    def look(self, run: str = "") -> Listing:
        name = run or next(reversed(self.master.runs))
        files = [
            Remote(path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest())
            for path, content in self.master.runs[name].items()
        ]
        return Listing(run=name, attempt=1, phase=self.master.phase, files=tuple(files))

    def bring(self, found: Listing) -> Came:
        for each in found.files:
            place, content = self.folder / each.place, self.master.runs[found.run][each.path]
            if not place.is_file() or place.read_bytes() != content:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
                self.master.loaded.append(f"{found.run}:{each.place}")
        return Came(found, done={each.path: each for each in found.files})


class _Shell:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def keep(self, _folder: Path) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def master(monkeypatch: pytest.MonkeyPatch) -> Master:
    """One run, that ssh leads to."""
    found = Master({"r1": {"results/model.ckpt": b"one"}})
    monkeypatch.setattr(fetch, "shell_of", lambda *_: _Shell())
    monkeypatch.setattr(fetch, "Transfer", found.transfer)
    return found


def brought(cloud: FakeCloud, runs_dir: Path, run: str = "") -> fetch.Fetched:
    """Fetch from the one stack."""
    return fetch.fetch(cloud, settled(cloud, looks=1), Told(), runs_dir, run=run)


def files(place: Path) -> dict[str, str]:
    """All files below a directory."""
    found = (path for path in place.rglob("*") if path.is_file())
    return {path.relative_to(place).as_posix(): path.read_text() for path in found}


@pytest.mark.usefixtures("master")
@pytest.mark.parametrize("run", ["", "r0"])
def test_a_fetch_writes_nothing_over_what_is_not_its_stacks(tmp_path: Path, run: str) -> None:
    """A rehearsal of that name, or another cloud's stack, stays as it is."""
    cloud, other = FakeCloud(), record.Record(cloud="other", name=NAME, template_sha256="", stack_id="s")
    made(cloud)
    trained(cloud)
    rehearsed = tmp_path / "a" / NAME
    (rehearsed / "results").mkdir(parents=True)
    (rehearsed / "status.json").write_text("of a rehearsal")
    (rehearsed / "results/model.ckpt").write_text("of a rehearsal")
    record.write(tmp_path / "b", other)
    for runs_dir, whose in ((tmp_path / "a", "a rehearsal"), (tmp_path / "b", "a stack of other")):
        before = files(runs_dir)
        with pytest.raises(RequestError, match=f"{NAME} holds {whose}") as refusal:
            brought(cloud, runs_dir, run)
        problem = refusal.value.problems[0]
        assert (problem.code, problem.fix) == ("run-exists", "name another place with --runs-dir")
        assert files(runs_dir) == before


def test_a_snapshot_does_not_make_a_stack_this_computers(tmp_path: Path, master: Master) -> None:
    """Only a whole run is remembered: a record says what may be deleted without a question."""
    cloud = FakeCloud()
    made(cloud)
    trained(cloud)
    master.phase = "running"
    assert brought(cloud, tmp_path).is_snapshot
    assert record.read(tmp_path, NAME) is None
    master.phase = "ended"
    brought(cloud, tmp_path)
    assert record.of_stack(tmp_path, settled(cloud)) is not None


@pytest.mark.usefixtures("master")
def test_ids_of_an_earlier_stack_outlive_a_fetch(tmp_path: Path) -> None:
    """A later `down` looks for those too; what was fetched of the earlier one says nothing of this one."""
    cloud, port = FakeCloud(), ("OS::Neutron::Port", "p")
    before = record.Record(
        cloud=cloud.label, name=NAME, template_sha256="ab", stack_id="before", resources=(port,)
    )
    record.write(tmp_path, before.brought("r0"))
    stack = made(cloud)
    trained(cloud)
    brought(cloud, tmp_path)
    kept = record.of_stack(tmp_path, stack)
    assert kept is not None
    assert kept.resources[0] == port
    assert {one.id for one in cloud.resources(stack.id)} - {""} <= {each for _, each in kept.resources}
    assert (kept.fetched, kept.template_sha256) == ({"r1"}, "")


@pytest.mark.usefixtures("master")
def test_what_was_fetched_counts_after_an_up_that_was_killed(tmp_path: Path) -> None:
    """It left a record without the stack's id, which the fetch writes."""
    cloud, clock = FakeCloud(), Clock()
    record.claim(tmp_path, cloud.label, NAME, template_sha256="ab")
    stack = made(cloud)
    trained(cloud)
    brought(cloud, tmp_path)
    assert keeping.of(cloud, stack, tmp_path).fetched == {"r1"}
    now = settled(cloud, looks=1)
    ended = down.down(cloud, now, Told(), tmp_path, discard=False, clock=clock, sleep=clock.sleep)
    assert ended.exit_code == 0


def test_an_earlier_run_that_was_set_aside_is_not_loaded_again(tmp_path: Path, master: Master) -> None:
    """It is known where the newer run's fetch moved it to, and is kept once."""
    cloud, place = FakeCloud(), tmp_path / NAME
    made(cloud)
    trained(cloud)
    brought(cloud, tmp_path)
    more: dict[str, Any] = {"run": "r2"}
    cloud.gate(NAME, "gate-1", **more)
    cloud.result(NAME, "result-1", state="done", **more)
    master.runs["r2"] = {"results/model.ckpt": b"two"}
    brought(cloud, tmp_path)
    fetched = brought(cloud, tmp_path, "r1")
    assert (fetched.folder, fetched.is_whole) == (place / "earlier/r1-1", True)
    assert master.loaded == ["r1:results/model.ckpt", "r2:results/model.ckpt"]
    found = {name: text for name, text in files(place).items() if name.endswith(".ckpt")}
    assert found == {"results/model.ckpt": "two", "earlier/r1-1/results/model.ckpt": "one"}
