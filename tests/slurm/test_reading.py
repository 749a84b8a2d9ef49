"""What is read: #SBATCH lines, scontrol's words, a job's log, faults. Nothing runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud.errors import Problem, ProblemsFound, RequestError
from cloud.rehearse.report import NodeReport
from cloud.rehearse.slurm import control, faults, job, lines, report
from cloud.rehearse.slurm.configuration import Layout, gres_conf, slurm_conf

NAMES = ["master", "worker-1"]


def script(*options: str) -> str:
    """A batch script with these options."""
    return "\n".join(
        ["#!/bin/bash", *(f"#SBATCH {each}" for each in options), "", "srun true", "#SBATCH -N 9"]
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--nodes=2"], {"nodes": 2, "gpus": 0, "partitions": ()}),
        (["-N 2 -p long,short"], {"nodes": 2, "partitions": ("long", "short")}),
        (["--nodes=2-4 # as many as there are"], {"nodes": 2}),
        (["--nodes=2", "--gpus-per-node=a100:4"], {"gpus": 4}),
        (["--nodes=2", "--gres=gpu:2,tmpfs:10G"], {"gpus": 2}),
        (["--nodes=2", "--gpus=4"], {"gpus": 2}),
        (["--ntasks-per-node=2", "-c4", "--mem=2G"], {"nodes": 1, "cpus": 8, "memory_mb": 2048}),
        (["--cpus-per-task=4", "--mem-per-cpu=500M"], {"memory_mb": 2000}),
        (["--constraint='ib&gpu80'"], {"features": ("ib", "gpu80")}),
    ],
)
def test_a_cluster_is_made_as_the_job_asks(options: list[str], expected: dict[str, object]) -> None:
    """Long and short options, with = or a blank, several on a line; those behind the first command don't count."""
    asked = job.read(script(*options), "job.sbatch")
    assert {key: getattr(asked, key) for key in expected} == expected


def test_more_nodes_than_fit_are_refused_with_what_shows_the_same() -> None:
    """A job for a hundred nodes can be rehearsed on two."""
    with pytest.raises(ProblemsFound, match="asks for 100 nodes, but a rehearsal has at most 16"):
        job.read(script("--nodes=100"), "job.sbatch")
    assert job.read(script("--nodes=100"), "job.sbatch", workers=1).nodes == 2


def test_a_number_that_is_none_is_named() -> None:
    """All such options at once."""
    with pytest.raises(ProblemsFound) as found:
        job.read(script("--nodes=two", "--cpus-per-task=some"), "job.sbatch")
    assert [each.what for each in found.value.problems] == [
        "#SBATCH --nodes is two, which is no number", "#SBATCH --cpus-per-task is some, which is no number",
    ]  # fmt: skip


def test_what_scontrol_shows_of_a_job() -> None:
    """States with additions, reasons of several words, exit code and signal."""
    text = """JobId=7 JobName=digits train
   JobState=PENDING Reason=BeginTime Dependency=(null)
   Requeue=1 Restarts=2 BatchFlag=1 Reboot=0 ExitCode=1:9
   NodeList=(null)
   StdOut=/home/me/my runs/hotrun-7.log
"""
    found = control.job(text)
    assert (found.state, found.reason, found.restarts, found.has_ended) == ("PENDING", "BeginTime", 2, False)
    assert (found.exit_code, found.signal, found.nodes) == (1, 9, "")
    assert found.output == "/home/me/my runs/hotrun-7.log"
    assert control.job("JobId=7 JobState=NODE_FAIL Reason=NodeDown").has_ended


def test_whose_line_it_is() -> None:
    """Console lines name their node, ranks their number, labels of srun their task."""
    assert lines.whose("hotrun: node=worker-1 stage=train state=begin", NAMES)[0] == "worker-1"
    assert lines.whose("[rank 1] epoch 1/2", NAMES) == ("worker-1", "[rank 1] epoch 1/2")
    assert lines.whose("0: hello", NAMES) == ("master", "hello")
    assert lines.whose("12: hello", NAMES) == ("job", "12: hello")
    assert lines.whose("srun: error: node2", NAMES) == ("job", "srun: error: node2")


def test_a_log_is_read_on_from_where_it_was(tmp_path: Path) -> None:
    """Whole lines only, until it is over; progress that overwrites itself is one line."""
    path = tmp_path / "job.log"
    log = lines.Growing(path)
    assert log.lines() == []
    path.write_bytes(b"one\n10%\r20%\ntw")
    assert log.lines() == ["one", "20%"]
    with path.open("ab") as file:
        file.write(b"o\nthree")
    assert log.lines() == ["two"]
    assert log.lines(is_over=True) == ["three"]


def test_faults_take_slurms_names_too() -> None:
    """node2 is worker-1: the second node of the job."""
    found = faults.read(["kill:node2@train+5", "unplug:5:node1"], NAMES)
    assert [(each.kind, each.machine) for each in found] == [("kill", "worker-1"), ("unplug", "master")]


def test_faults_that_no_node_of_slurm_can_have_are_refused_by_name() -> None:
    """With what to take instead, all at once; a mistake in writing comes first."""
    with pytest.raises(ProblemsFound) as found:
        faults.read(["missing:worker-1", "bad-clock:node1", "slow:10mbit"], NAMES)
    assert {each.code for each in found.value.problems} == {"fault-not-possible"}
    assert "lose:MACHINE@train takes one away" in found.value.problems[0].what
    assert len(found.value.problems) == 3
    with pytest.raises(RequestError, match="there is no machine node3"):
        faults.read(["kill:node3"], NAMES)


@pytest.mark.parametrize(
    ("code", "expected"),
    [("slurm-job-waits", "the job could not start: given up after 9 s"), ("deadline-passed", "the deadline passed")],
)  # fmt: skip
def test_a_job_that_waits_in_vain_has_passed_no_deadline(code: str, expected: str) -> None:
    """Both end with exit code 6; the first line says which it was."""
    made = report.SlurmReport(
        name="digits-1", level="slurm", state="failed", exit_code=6, expected=2, proven=0, backend="",
        gradient_bytes=0, nodes=(NodeReport(name="master", rank=0, address="", state="stopped", stages={}),),
        result={}, run_dir=Path("runs/digits-1"), attempts=1, problems=(Problem(code=code, what="node2 is down"),),
        seconds=9.0, places={}, launch=report.Next("job.sbatch"),  # type: ignore[arg-type]
    )  # fmt: skip
    assert str(made).startswith(expected)


def test_the_configuration_has_what_the_job_asks_for() -> None:
    """Partitions, features and GPUs of the job; the first partition is the default."""
    layout = Layout(
        nodes={"node1": "10.8.0.10"}, login="10.8.0.1", state=Path("/x"), gpus=2, features=("ib",),
        partitions=("long", "short"), cpus=3, memory_mb=4000,
    )  # fmt: skip
    text = slurm_conf(layout)
    node = (
        "NodeName=node1 NodeHostname=node1 NodeAddr=10.8.0.10 CPUs=3 RealMemory=4000 State=UNKNOWN Gres=gpu:2"
    )
    assert f"{node} Features=ib\n" in text
    assert "PartitionName=long Nodes=ALL Default=YES" in text
    assert "PartitionName=short Nodes=ALL Default=NO" in text
    assert "SelectType=select/cons_tres\n" in text
    assert gres_conf(layout) == "Name=gpu File=/x/gpu[1-2]\n"
