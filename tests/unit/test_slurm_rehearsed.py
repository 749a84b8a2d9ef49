"""What a rehearsed Slurm is asked in the place of the real one, and what follows on that one."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from cloud.model import Cluster as Request
from cloud.model import Job, Slurm
from cloud.rehearse import Options
from cloud.rehearse.slurm import prepare
from cloud.rehearse.slurm.cluster import ClusterFailed
from cloud.rehearse.slurm.following import Following
from cloud.rehearse.slurm.report import Next
from cloud.slurm import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.rehearse.slurm.job import Asked


def asked(said: list[str], **slurm: Any) -> Asked:
    """What a job with these settings asks of the rehearsed cluster."""
    job = Job(repo="https://host.invalid/you/digits.git", entrypoint="train.py")
    text = render.text(Request(job=job, workers=1, target="slurm", slurm=Slurm(**slurm)))
    return prepare._asked(text, Options(template="job.sbatch"), said.append)


def submitted(of: Asked, tmp_path: Path) -> list[str]:
    """The words of sbatch."""
    seen: list[str] = []

    def run(argv: Sequence[str], *_: object) -> str:
        seen.extend(argv)
        raise ClusterFailed("sbatch: error: no")

    prepared = SimpleNamespace(
        asked=of, slurms={"master": "node1", "worker-1": "node2"}, site=SimpleNamespace(directory=tmp_path),
        script=Path("job.sbatch"), words=["--work-dir", "w"], environment={},
    )  # fmt: skip
    Following(
        cast("Any", prepared), cast("Any", SimpleNamespace(run=run)), cast("Any", None), cast("Any", None),
        machines={}, interrupts=cast("Any", None), injector=cast("Any", None),
    ).run()  # fmt: skip
    return seen


def test_nodes_and_types_that_only_the_real_cluster_has_are_not_asked_for(tmp_path: Path) -> None:
    """sbatch would refuse the job: what it is given goes before the job's own lines."""
    said: list[str] = []
    words = submitted(asked(said, nodelist="gpu[07-08]", gpus="a100:4"), tmp_path)
    options = words[: words.index("job.sbatch")]
    assert {"--nodelist=node1,node2", "--gpus-per-node=4"} <= set(options)
    assert "--nodelist gpu[07-08] names nodes of your cluster and is not used here" in said


def test_what_was_not_asked_for_is_not_given(tmp_path: Path) -> None:
    """A job without GPUs on any nodes stays one."""
    assert not [word for word in submitted(asked([]), tmp_path) if "nodelist" in word or "gpus" in word]


def test_the_next_steps_fetch_what_the_rehearsal_fetched() -> None:
    """The command behind `--`, as one word of the shell; the job's path as well."""
    fetch = 'python fetch.py mnist "$HOTRUN_DATA_DIR"'
    steps = Next("my job.sbatch", fetch=fetch).steps(Path("runs/1"), "digits-1")
    assert [shlex.split(step) for step in steps[-2:]] == [
        ["bash", "my job.sbatch", "--prepare", "--", fetch], ["sbatch", "my job.sbatch"],
    ]  # fmt: skip
    assert "bash job.sbatch --prepare" in Next("job.sbatch").steps(Path("runs/1"), "digits-1")
