"""Slurm's variables become torch's, for programs that srun starts by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ranks.slurm import adopt

from tests.payload.children import PAYLOAD
from tests.ports import free_port

STEP = {
    "SLURM_STEP_ID": "0", "SLURM_JOB_ID": "77", "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_STEP_TASKS_PER_NODE": "2(x3)", "SLURM_STEP_NODELIST": "localhost,other[2-3]",
    "SLURM_LAUNCH_NODE_IPADDR": "192.0.2.7",
}  # fmt: skip


def test_a_task_of_a_step_is_a_rank() -> None:
    """Its number, its node's tasks, the first node's address, and a port of the job's own."""
    environ = dict(STEP)
    assert adopt(environ)
    assert {key: environ[key] for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")} == {
        "RANK": "5", "WORLD_SIZE": "6", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
    }  # fmt: skip
    assert (environ["MASTER_ADDR"], environ["MASTER_PORT"]) == ("127.0.0.1", "20077")


@pytest.mark.parametrize(
    "change",
    [{"RANK": "0"}, {"SLURM_STEP_NUM_TASKS": "1"}, {"SLURM_STEP_ID": ""}, {"SLURM_PROCID": ""}],
    ids=" ".join,
)
def test_other_launchers_and_lone_tasks_are_left_alone(change: dict[str, str]) -> None:
    """torchrun inside a job, a batch script's own shell, a step of one task."""
    environ = {**STEP, **change}
    before = dict(environ)
    assert not adopt(environ)
    assert environ == before


def test_what_the_job_says_itself_wins() -> None:
    """MASTER_ADDR and MASTER_PORT of the batch script."""
    environ = {**STEP, "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}
    assert adopt(environ)
    assert (environ["MASTER_ADDR"], environ["MASTER_PORT"]) == ("10.0.0.1", "29500")


def test_a_node_without_an_address_is_the_one_that_started_it() -> None:
    """Names of nodes may mean nothing to the resolver."""
    environ = {**STEP, "SLURM_STEP_NODELIST": "no.such.host.invalid[07-09]"}
    assert adopt(environ)
    assert environ["MASTER_ADDR"] == "192.0.2.7"


@pytest.mark.payload
def test_two_tasks_train_as_one(tmp_path: Path) -> None:
    """The whole program, started as srun starts it."""
    port = str(free_port())
    step = {**STEP, "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_TASKS_PER_NODE": "2", "MASTER_PORT": port}
    line = [
        sys.executable,
        str(PAYLOAD / "torch_ddp.py"),
        "--data",
        "synthetic",
        "--epochs",
        "1",
        "--device",
        "cpu",
    ]
    started = [
        subprocess.Popen(
            [*line, "--root", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path,
            env={**os.environ, **step, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)},
        )
        for rank in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert "world size 2 (gloo)" in said[0]
    assert "there is no GPU for every rank; gloo" in said[0]
