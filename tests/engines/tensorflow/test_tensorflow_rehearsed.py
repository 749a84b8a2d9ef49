"""Templates whose program is written for TensorFlow, rehearsed: real gRPC servers, the payload on real MNIST."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.rehearse.conftest import runs
from tests.rehearse.kept import cache, machines
from tests.rehearse.test_rehearsals import payload, run, template

pytestmark = pytest.mark.rehearsal
__all__ = ["cache", "machines", "runs"]  # fixtures
ARGS = "--epochs 6"


def text(workers: int, args: str = ARGS, engine: str = "tensorflow") -> str:
    return template(
        workers, requirements="payload", entrypoint="tensorflow_mwms.py", engine=engine, args=args
    )


@pytest.mark.parametrize("level", ["auto", "process"])
def test_three_machines_train_as_one(cache: Path, runs: Path, tmp_path: Path, level: str) -> None:
    """World size 3 is proven by the strategy and its collectives, also where machines share a computer's ports."""
    report = run(text(2), runs, source=payload(tmp_path), level=level)

    assert (report.exit_code, report.errors) == (0, [])
    assert (report.proven, report.expected) == (3, 3)
    proofs = [json.loads(path.read_text()) for path in (report.run_dir / "proof").glob("rank*.json")]
    assert {("master", "ring"), ("worker-1", "ring"), ("worker-2", "ring")} == {
        (each["node"], each["backend"]) for each in proofs
    }
    assert all(each["gradient_bytes"] > 0 for each in proofs)
    assert report.result["test_accuracy"] > 0.95


def test_a_lost_machine_comes_back_and_all_go_on(cache: Path, runs: Path, tmp_path: Path) -> None:
    """Killed in the third epoch: one more attempt, and all begin with the same newest checkpoint."""
    report = run(text(1), runs, source=payload(tmp_path), level="process", faults=("kill:worker-1@epoch3",))

    assert (report.exit_code, report.errors, report.attempts) == (0, [], 2)
    assert (report.proven, report.expected) == (2, 2)
    assert report.result["resumed_from_step"] > 0


def test_a_python_that_tensorflow_has_no_wheel_for(cache: Path, runs: Path, tmp_path: Path) -> None:
    """The machine, the package, and the Pythons that it has wheels for, in uv's words."""
    tree = payload(tmp_path)
    (tree / "payload/requirements-tensorflow.txt").write_text("tensorflow-cpu==2.11.0\n")
    report = run(text(0), runs, source=tree, level="process")

    ((_, problem),) = report.errors
    assert (problem.code, problem.node, problem.stage) == ("environment-failed", "master", "environment")
    assert "wheels for `tensorflow-cpu` (v2.11.0)" in problem.what
    assert problem.what.endswith("`cp37m`, `cp38`, `cp39`, `cp310`")


def test_a_template_for_others_does_not_carry_it(cache: Path, runs: Path, tmp_path: Path) -> None:
    """The program is recognised on the machine, and the engine that its template would need is named."""
    report = run(text(0, engine="auto"), runs, source=payload(tmp_path), level="process")

    assert [(each.code, each.fix) for _, each in report.errors] == [
        ("engine-not-available", "generate with --engine tensorflow")
    ]
