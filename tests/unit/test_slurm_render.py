"""The text of job.sbatch: what Slurm is asked, what the node program gets, and that a shell reads it well."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from cloud import assets
from cloud.model import Slurm
from cloud.node import job
from cloud.slurm import render
from tests.unit.clusters import AWKWARD, cluster

SHELLCHECK = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
FULL = Slurm(
    partition="gpu", account="proj", qos="high", time="1-12", mem="64G", cpus_per_task=16, gpus="a100:4",
    constraint="ib&gpu80", nodelist="node[01-03]", modules=("python/3.11", "cuda/12.4"),
)  # fmt: skip


def text(slurm: Slurm = FULL, **changed: object) -> str:
    """Return the job of a cluster of three nodes."""
    return render.text(replace(cluster(**changed), target="slurm", slurm=slurm))


def test_every_setting_is_an_sbatch_line_before_the_first_command() -> None:
    """Slurm reads them only there."""
    lines = text().splitlines()
    first_command = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    asked = [line.removeprefix("#SBATCH ") for line in lines[:first_command] if line.startswith("#SBATCH ")]
    assert asked == [
        "--job-name=digits-train", "--nodes=3", "--ntasks-per-node=1", "--partition=gpu", "--account=proj",
        "--qos=high", "--time=1-12", "--mem=64G", "--cpus-per-task=16", "--gpus-per-node=a100:4",
        "--constraint=ib&gpu80", "--nodelist=node[01-03]", "--output=hotrun-%j.log", "--open-mode=append",
        "--signal=B:USR1@90", "--requeue",
    ]  # fmt: skip
    assert not [line for line in lines[first_command:] if line.startswith("#SBATCH")]


def test_what_was_not_asked_for_is_the_clusters_own_default() -> None:
    """No empty option."""
    head = text(Slurm()).split("set -euo")[0]
    assert not re.search(
        r"--(partition|account|qos|time|mem|cpus-per-task|gpus-per-node|constraint|nodelist)", head
    )


def test_the_same_request_gives_the_same_bytes() -> None:
    """No clock, no random name; another request gives another digest."""
    assert text() == text()
    assert render.digest(cluster()) != render.digest(cluster(ref="other"))


def test_the_first_lines_name_the_program_and_the_command() -> None:
    """So a file can be made again, and replaced without being asked."""
    made = text()
    assert made.startswith("#!/usr/bin/env bash\n# Made by hotrun ")
    assert "--target slurm --partition gpu" in made.splitlines()[2]
    assert render.is_ours(made)
    assert not render.is_ours("#!/bin/bash\n#SBATCH --nodes=2\n")


def test_the_job_reaches_the_node_program_as_it_was_typed() -> None:
    """Through JSON in a quoted heredoc, whatever characters it has."""
    made = text(args=AWKWARD, setup="echo '", env=("A=$(id) HOTRUN_JOB", "B=\u2028"), ref="main")
    found = re.search(r"<<'HOTRUN_JOB'\n(.*?)\nHOTRUN_JOB\n", made, re.DOTALL)
    assert found
    read = job.read(found[1])
    assert (read.args, read.setup, read.ref) == (AWKWARD, "echo '", "main")
    assert read.env == ("A=$(id) HOTRUN_JOB", "B=\u2028")
    assert (read.secret, read.restarts, read.allow_single) == ("", 1, "no")


def test_the_file_carries_the_whole_node_program() -> None:
    """Every file of it as it stands, and the hash that the shell compares."""
    made = text()
    data = base64.b64decode("".join(re.findall(r"^#: (.*)$", made, re.MULTILINE)))
    assert f"program_sha256={hashlib.sha256(data).hexdigest()}\n" in made
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = {member.name for member in tar.getmembers()}
    here = {
        f"node/{path.relative_to(assets.NODE_PROGRAM)}" for path in Path(assets.NODE_PROGRAM).rglob("*.py")
    }
    assert names == {*here, "__main__.py"}


def test_no_secret_is_in_the_file() -> None:
    """The job's secret is made as the job starts, and handed on by the environment alone."""
    made = text()
    assert '"secret": ""' in made
    assert not re.search(r"(srun|step|attended|sbcast|salloc) .*SECRET", made)


@pytest.mark.process
@pytest.mark.skipif(SHELLCHECK is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("slurm", [FULL, Slurm()], ids=["full", "plain"])
def test_shellcheck_finds_nothing(slurm: Slurm, tmp_path: Path) -> None:
    """As rendered, with awkward text in it."""
    file = tmp_path / "job.sbatch"
    file.write_text(text(slurm, args=AWKWARD), encoding="utf-8")
    done = subprocess.run(
        [str(SHELLCHECK), str(file)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.stdout == ""
