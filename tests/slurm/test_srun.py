"""The trainers under a batch script of somebody's own, which starts them with a bare srun."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.slurm.bench import Bench

pytestmark = pytest.mark.rehearsal
SCRIPT = """#!/bin/bash
#SBATCH --nodes=2 --ntasks-per-node=1 --output=hotrun-%j.log
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_ADDR=$(scontrol show node "$first" | grep -o 'NodeAddr=[^ ]*' | cut -d= -f2)
export GLOO_SOCKET_IFNAME=ens3 OMP_NUM_THREADS=1 HOTRUN_RUN_DIR={results} HOTRUN_DATA_DIR={data}
srun --kill-on-bad-exit=1 {python} {program} {args}
"""
PROGRAMS = {
    "torch_ddp.py": "--data synthetic --epochs 1",
    "main.py": "fit --data.name synthetic --trainer.max_epochs 1 --trainer.num_nodes 2 --trainer.devices 1"
    " --trainer.strategy ddp --trainer.accelerator cpu",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_srun_alone_starts_one_training(bench: Bench, program: str) -> None:
    """torch_ddp.py reads Slurm's own variables; main.py is placed by Lightning's SLURMEnvironment."""
    place = bench.directory / "jobs" / f"srun-{program}"
    place.mkdir(parents=True)
    made = place / "job.sh"
    text = SCRIPT.format(
        results=place / "results", data=bench.work / "data", python=sys.executable,
        program=bench.source / "payload" / program, args=PROGRAMS[program],
    )  # fmt: skip
    made.write_text(text, encoding="utf-8")
    job_id = bench.submit(made)
    assert bench.end(made, job_id).state == "COMPLETED", bench.log(made, job_id)

    result = json.loads((place / "results/result.json").read_text())
    assert (result["world_size"], result["backend"]) == (2, "gloo")
    assert "there is no GPU for every rank; gloo" in bench.log(made, job_id)
