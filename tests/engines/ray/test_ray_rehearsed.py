"""Templates whose program is written for Ray, rehearsed: a real head, real workers, the payload."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.rehearse import labs
from tests.rehearse.test_rehearsals import payload, run, template

pytestmark = pytest.mark.rehearsal
ARGS = "--data synthetic --checkpoint-every epoch --epochs"
SMALL = """
import ray
ray.init()
answer = ray.remote(lambda: len(ray.nodes()))
print(ray.get(answer.remote()), "machine answered", flush=True)
"""


def text(workers: int, args: str, **job: object) -> str:
    """A template for the payload."""
    return template(
        workers, requirements="payload", entrypoint="ray_train.py", engine="ray", args=args, **job
    )


def files_of_ray() -> set[Path]:
    """Its directories in this computer's /tmp, which machines see where the cache lies in it too."""
    return set(Path("/tmp").glob("ray-*"))


def test_three_machines_train_as_one_also_after_one_was_lost(cache: Path, runs: Path, tmp_path: Path) -> None:
    """World size 3 is proven by Ray's own train workers, one on each machine, after one had no power for a moment.

    All went on from the newest checkpoint, which only the head had written.
    """
    labs.needed()
    faults, before = ("kill:worker-1@epoch2",), files_of_ray()
    asked = text(2, f"{ARGS} 8", restarts=3)
    report = run(asked, runs, source=payload(tmp_path), level="namespace", faults=faults)

    assert [each for _, each in report.errors] == []
    assert (report.exit_code, report.attempts >= 2) == (0, True)
    assert (report.proven, report.expected) == (3, 3)
    proofs = [json.loads(path.read_text()) for path in (report.run_dir / "proof").glob("rank*.json")]
    assert {"master", "worker-1", "worker-2"} == {each["node"] for each in proofs}
    assert report.result["world_size"] == 3
    assert report.result["resumed_from_step"] > 0
    names = {path.name for path in (report.run_dir / "results").iterdir()}
    assert {"metrics.csv", "predictions.csv", "result.json"} <= names
    numbers = [
        line.split(",")[0] for line in (report.run_dir / "results/metrics.csv").read_text().splitlines()
    ]
    assert numbers == ["epoch", *(str(number) for number in range(1, 9))]
    assert files_of_ray() == before


def test_a_machine_that_never_comes_back_is_named(cache: Path, runs: Path, tmp_path: Path) -> None:
    """Ray itself would wait for ever. A machine without power removes nothing of its own."""
    labs.needed()
    before = files_of_ray()
    asked = text(1, f"{ARGS} 1000", restarts=0)
    report = run(asked, runs, source=payload(tmp_path), level="namespace", faults=("lose:worker-1@epoch1",))

    assert report.exit_code == 5
    assert [(each.code, each.node) for _, each in report.errors] == [("node-lost", "worker-1")]
    assert files_of_ray() == before


def test_machines_that_share_their_ports_are_refused_by_name(cache: Path, runs: Path, tmp_path: Path) -> None:
    """At level `process` all machines have this computer's ports."""
    report = run(text(1, f"{ARGS} 1"), runs, source=payload(tmp_path), level="process")

    assert report.exit_code == 5
    assert [each.code for _, each in report.errors] == ["level-not-possible"]


def test_one_machine_needs_no_namespace(cache: Path, runs: Path, tmp_path: Path) -> None:
    """A head alone has nobody to share ports with; a program without Ray Train may use it."""
    tree = payload(tmp_path)
    (tree / "payload/small.py").write_text(SMALL)
    asked = template(0, requirements="payload", entrypoint="small.py", engine="ray")
    report = run(asked, runs, source=tree, level="process")

    assert (report.exit_code, report.errors, report.proven) == (0, [], 1)
    assert "1 machine answered" in (report.run_dir / "logs/master.log").read_text()


def test_the_engine_of_another_program_is_refused(cache: Path, runs: Path, tmp_path: Path) -> None:
    """On the machine too, as a form may have changed the answers."""
    asked = template(0, requirements="payload", entrypoint="torch_ddp.py", engine="ray")
    report = run(asked, runs, source=payload(tmp_path), level="process")

    assert [(each.code, each.fix) for _, each in report.errors] == [
        ("engine-differs", "generate with --engine torch")
    ]
