"""Where a job keeps its things, and what a step finds of earlier ones."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from cloud.node.slurm import places, record

if TYPE_CHECKING:
    from pathlib import Path

GO: dict[str, Any] = {
    "run": "slurm-7", "attempt": 2, "addresses": ["127.0.0.1"], "interfaces": ["lo"], "nproc": 1, "has_gpu": False,
    "talk_port": 0, "shared": True, "resume": None, "port": 1,
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a job whose code and environment are prepared; the first of its nodes runs this."""
    directory = tmp_path / "runs" / "7"
    prepared = tmp_path / "prepared" / "d"
    prepared.mkdir(parents=True)
    found = {"commit": "c", "checkout": "/src", "environment": "/env", "uv": "/uv"}
    (prepared / "prepared.json").write_text(json.dumps(found))
    job = {"repo": "r", "entrypoint": "e.py", "master": "", "secret": ""}
    for name, value in {
        "WORK": str(tmp_path), "RUN": str(directory), "DIGEST": "d", "JOB": json.dumps(job), "SECRET": "word-of-a-job",
    }.items():  # fmt: skip
        monkeypatch.setenv(places.OURS + name, value)
    monkeypatch.setenv("SLURM_NODEID", "0")
    monkeypatch.setenv("MPLCONFIGDIR", "/mpl")
    return directory


def test_a_report_of_an_earlier_step_does_not_count(run: Path) -> None:
    """The set-up's would pass for that of ranks that were killed without a word."""
    left = run / "nodes" / "master" / "report.json"
    left.parent.mkdir(parents=True)
    left.write_text(json.dumps({"attempt": 2, "state": "done"}))
    places.on_node(GO)
    assert record.reports(2) == {}


def test_ranks_keep_the_users_environment_and_see_no_secret(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modules set library paths there; what the script tells this program is not for them."""
    monkeypatch.setenv("LD_LIBRARY_PATH", "/modules/lib")
    found = places.on_node(GO).base_environment()
    assert found["LD_LIBRARY_PATH"] == "/modules/lib"
    assert not [name for name in found if name.startswith(places.OURS)]
    assert "word-of-a-job" not in found.values()


def test_every_node_has_checkpoints_and_results_of_its_own(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system that they share: rank 0's are the job's, and no other node's lie below them."""
    context = places.on_node(GO)
    assert context.layout.checkpoints("") == run / "checkpoints"
    assert context.own_directory == run / "nodes" / "master" / "2-here"
    assert (context.own_directory / "results").is_dir()
    monkeypatch.setenv("SLURM_NODEID", "1")
    two = {**GO, "addresses": ["127.0.0.1", "127.0.0.2"], "interfaces": ["lo", "lo"]}
    for attempt in (2, 3):  # also behind a requeue
        with socket.create_server(("127.0.0.2", 0)) as free:
            port = free.getsockname()[1]
        other = places.on_node({**two, "attempt": attempt, "talk_port": port})
        other.link.close()  # type: ignore[union-attr]
        assert other.layout.checkpoints("") == run / "nodes" / "worker-1" / "checkpoints"
        assert other.layout.checkpoints("").is_dir()
        assert list((run / "checkpoints").iterdir()) == []
        assert other.layout.kept("") == context.layout.kept("")


def test_results_of_an_attempt_that_another_one_follows_lie_apart(run: Path) -> None:
    """Its result.json is not that of the run."""
    for attempt in (1, 2):
        place = run / "nodes" / "master" / f"{attempt}-here" / "results"
        place.mkdir(parents=True)
        (place / "result.json").write_text(str(attempt))
    record.bring({**GO, "attempt": 1}, is_last=False)
    assert not (run / "results" / "result.json").exists()
    record.bring(GO, is_last=True)
    assert (run / "results" / "result.json").read_text() == "2"
    assert (run / "results" / "attempt-1" / "result.json").read_text() == "1"
