"""Jobs of `generate --target slurm`, submitted with the real sbatch to the real Slurm."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from cloud.rehearse.slurm.cluster import ClusterFailed
from tests.slurm.bench import DEADLINE_S, opened

if TYPE_CHECKING:
    from pathlib import Path

    from tests.slurm.bench import Bench

pytestmark = pytest.mark.rehearsal
TRAINERS = {  # -> what it is given, how its ranks speak to each other
    "torch_ddp.py": ("--data synthetic --epochs 1", "gloo"),
    "main.py": ("fit --data.name synthetic --trainer.max_epochs 1", "gloo"),
    "tensorflow_mwms.py": ("--data synthetic --epochs 1", "ring"),
    "ray_train.py": ("--data synthetic --epochs 1", "gloo"),
}
LONGER = {  # -> what it is given so that it goes on behind its first checkpoint
    "torch_ddp.py": "--data synthetic --epochs 6",
    "main.py": "fit --data.name synthetic --trainer.max_epochs 6",
    "tensorflow_mwms.py": "--data synthetic --epochs 4",
}
TRAINS = "epoch 2"  # checkpoints are written by then


@pytest.mark.parametrize("entrypoint", TRAINERS)
def test_two_nodes_train_as_one(bench: Bench, entrypoint: str) -> None:
    """A job proves its world size, and its results and proof lie in the job's own directory."""
    args, backend = TRAINERS[entrypoint]
    made = bench.job(f"trains-{entrypoint}", entrypoint, args=args)
    job_id = bench.submit(made)
    assert bench.end(made, job_id).state == "COMPLETED", bench.log(made, job_id)

    status, run = bench.status(job_id), bench.run_directory(job_id)
    assert (status["state"], status["exit_code"], status["problems"]) == ("done", 0, [])
    assert (status["world_size"]["proven"], status["world_size"]["expected"]) == (2, 2)
    assert status["result"]["world_size"] == 2
    assert len(list((run / "proof").glob("rank*.json"))) == 2
    assert (run / "results/result.json").is_file()
    assert f"2 machines trained as one (world size 2 of 2, {backend}" in bench.log(made, job_id)


@pytest.mark.parametrize("entrypoint", LONGER)
def test_a_job_that_loses_a_node_is_requeued_and_goes_on(bench: Bench, entrypoint: str) -> None:
    """Killed in mid-training: Slurm starts the job again, and it goes on from the newest checkpoint."""
    made = bench.job(f"loses-{entrypoint}", entrypoint, args=LONGER[entrypoint])
    job_id = bench.submit(made)
    kept = bench.run_directory(job_id) / "kept"
    bench.until(made, job_id, lambda *_: any(kept.glob("*/.whole")))
    bench.cut(made, job_id, "node2")
    assert bench.end(made, job_id).state == "COMPLETED", bench.log(made, job_id)

    status = bench.status(job_id)
    assert (bench.cluster.job(job_id).restarts, status["requeues"]) == (1, 1)
    assert (status["state"], status["world_size"]["proven"]) == ("done", 2)
    assert status["result"]["resumed_from_step"] > 0


def test_a_requeued_job_goes_on_from_its_checkpoint(bench: Bench) -> None:
    """`scontrol requeue` costs what was trained since the newest checkpoint, not the rest."""
    made = bench.job("requeued", "disturbed.py")
    job_id = bench.submit(made)
    bench.until(made, job_id, lambda _, log: TRAINS in log)
    bench.cluster.ask("scontrol", "requeue", job_id)
    assert bench.end(made, job_id).state == "COMPLETED", bench.log(made, job_id)
    assert bench.cluster.job(job_id).restarts == 1
    assert bench.status(job_id)["result"]["resumed_from_step"] > 0
    assert bench.status(job_id)["world_size"]["proven"] == 2


def test_lightnings_own_checkpoints_lie_with_the_job(bench: Bench) -> None:
    """A Trainer that nobody told a directory writes none into the checkout, which other jobs use as well."""
    made = bench.job("trainer", "trainer.py")
    job_id = bench.submit(made)
    kept, results = bench.run_directory(job_id) / "kept", bench.run_directory(job_id) / "results"
    bench.until(made, job_id, lambda *_: any(kept.glob("*/.whole")))
    bench.cluster.ask("scontrol", "requeue", job_id)
    assert bench.end(made, job_id).state == "COMPLETED", bench.log(made, job_id)
    assert bench.status(job_id)["result"]["resumed_from_step"] > 0
    assert list(results.glob("lightning_logs/version_*/checkpoints/*.ckpt"))
    assert not (bench.source / "payload/lightning_logs").exists()


def test_the_announced_time_limit_ends_in_a_requeue(bench: Bench) -> None:
    """SIGUSR1, which Slurm sends before the time limit, makes the job go on later from its checkpoint."""
    made = bench.job("limit", "disturbed.py")
    job_id = bench.submit(made)
    bench.until(made, job_id, lambda _, log: TRAINS in log)
    bench.cluster.ask("scancel", "--batch", "--signal=USR1", job_id)
    assert bench.end(made, job_id).state == "COMPLETED", bench.log(made, job_id)
    assert bench.cluster.job(job_id).restarts == 1
    assert bench.status(job_id)["result"]["resumed_from_step"] > 0


def test_nodes_without_shared_storage_are_sent_what_was_prepared(bench: Bench, directory: Path) -> None:
    """`--run` on the login node gives code and packages to nodes that see nothing of it, and brings home."""
    made = bench.job("apart", "plain.py", requirements="plain", allow_single=True)
    bench.prepare(made, "--no-shared")
    cluster = opened(directory, seen=[bench.directory, bench.cache], local=bench.work)
    try:
        command = cluster.login(["bash", str(made), "--run"], bench.environ, made.parent)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
        assert done.returncode == 0, done.stdout + done.stderr
        said = re.search(r"hotrun: job (\d+) on", done.stdout)
        assert said is not None
        assert "the nodes do not all see" in done.stdout
        status, results = bench.status(said[1]), bench.run_directory(said[1]) / "results"
        assert (status["state"], [each["state"] for each in status["nodes"]]) == ("done", ["done", "done"])
        told = [json.loads((results / name / "result.json").read_text()) for name in (".", "worker-1")]
        assert [(each["node"], each["nodes"]) for each in told] == [("0", "2"), ("1", "2")]
    finally:
        cluster.close()


def test_a_partition_that_does_not_exist_is_refused_with_those_that_do(bench: Bench) -> None:
    """--check says it before anything is submitted, and so does sbatch."""
    made = bench.job("partition", "disturbed.py", slurm_partition="nowhere")
    with pytest.raises(ClusterFailed, match="invalid partition specified"):
        bench.submit(made)
    command = bench.cluster.login(["bash", str(made), "--check"], bench.environ, made.parent)
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 3
    assert "this cluster has main" in said.stdout


def test_a_time_that_is_none_is_refused(bench: Bench) -> None:
    """A time limit that somebody wrote into the file by hand is sbatch's to refuse."""
    made = bench.job("time", "disturbed.py", slurm_time="30")
    made.write_text(made.read_text().replace("--time=30", "--time=soon"))
    with pytest.raises(ClusterFailed, match="Invalid --time specification"):
        bench.submit(made)
