"""ray_train.py on a cluster of two nodes that loses workers, and then a node."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.engines.ray.conftest import EPOCHS, TwoNodes, needs_ray
from tests.engines.ray.drivers import Driver, processes, wait

pytestmark = [pytest.mark.payload, needs_ray]


def kill_a_worker(cluster: TwoNodes) -> None:
    """SIGKILL for one of the train workers."""
    variable = f"RAY_AUTH_TOKEN={cluster.token}"
    os.kill(max(processes(variable, "ray::RayTrainWorker")), signal.SIGKILL)


def test_a_killed_worker_ends_the_run_by_name_and_ray_alone_goes_on_when_allowed(
    trained: Driver, cluster: TwoNodes, mnist_root: Path, tmp_path: Path
) -> None:
    """Exit 3 and one sentence; `--resume auto` goes on, with --max-failures 1 Ray does; all with the same weights."""
    environment = {**cluster.environment, "HOTRUN_DATA_DIR": str(mnist_root),
                   "HOTRUN_CHECKPOINT_DIR": str(tmp_path / "kept")}  # fmt: skip
    words = ["--workers", "2", "--epochs", EPOCHS]
    first = Driver(tmp_path / "first", *words, **environment, HOTRUN_RUN_ID="test")
    first.until("epoch 2/")
    kill_a_worker(cluster)
    assert first.wait() == 3
    assert "went away in mid-training" in first.err
    assert "Traceback" not in first.err
    assert list((tmp_path / "kept").glob("*.json"))

    second = Driver(tmp_path / "second", *words, "--resume", "auto", "--max-failures", "1", **environment)
    second.until("resuming from step")
    second.until("epoch 4/")
    kill_a_worker(cluster)
    second.finish()
    assert second.out.count("resuming from step") == 2
    assert second.result["resumed_from_step"]
    assert second.result["weights_sha256"] == trained.result["weights_sha256"]
    assert [row["train_loss"] for row in second.rows] == [row["train_loss"] for row in trained.rows]
    assert (second.run / "predictions.csv").read_bytes() == (trained.run / "predictions.csv").read_bytes()


def test_a_node_that_never_comes_back_ends_the_run_at_the_deadline(
    cluster: TwoNodes, mnist_root: Path, tmp_path: Path
) -> None:
    """Ray would wait for ever. Last in this file, as the cluster is the poorer for it."""
    driver = Driver(tmp_path, "--workers", "2", "--epochs", "1000", "--wait", "4s", "--max-failures", "5",
                    **cluster.environment, HOTRUN_DATA_DIR=str(mnist_root))  # fmt: skip
    driver.until("epoch 1/")
    cluster.remove()
    assert driver.wait() == 3
    assert "room for 1 of 2 workers (1 CPU each) missing" in driver.err
    assert "Traceback" not in driver.err
    wait(lambda: not processes(f"RAY_AUTH_TOKEN={cluster.token}", "ray::RayTrainWorker"), "the workers' end")
