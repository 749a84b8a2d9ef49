"""A job as its shell sees it, with commands of Slurm that do as a test says. With Slurm: tests/slurm."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import pytest

from cloud.model import Slurm
from cloud.slurm import render
from tests.unit.clusters import cluster
from tests.unit.test_slurm_script import TOOLS

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        shutil.which("bash") is None or sys.platform != "linux", reason="the script is for Linux"
    ),
]
BASH = str(shutil.which("bash"))
SRUN = """
echo "srun $*" >>"$CALLS"
while [[ $1 == --* ]]; do shift; done
case "$*" in
  "bash -c "*) what=seen ;;
  *" look" | *" set-up" | *" train" | *" tell") what=${@: -1} ;;
  *) what=$1 ;;
esac
[[ -f $ANSWERS/$what ]] || exit 0
source "$ANSWERS/$what"
"""
SCONTROL = """
echo "scontrol $*" >>"$CALLS"
case $* in
  "show hostnames"*) printf 'node1\\nnode2\\n' ;;
  *" show node "*) echo " NodeAddr=10.1.0.1 State=IDLE " ;;
  requeue*) exit 1 ;;
esac
"""
NODES = [
    {
        "rank": rank, "host": f"node{rank + 1}", "address": f"10.1.0.{rank + 1}", "interface": "ib0", "gpus": 0,
        "kind": "cpu-x86_64-py3.11", "cpus": 8, "free": [0], "held": [], "problem": "", "free_services": [],
    }
    for rank in (0, 1)
]  # fmt: skip
LOOKED = "cat <<'EOF'\n" + "\n".join(map(json.dumps, NODES)) + "\nEOF\n"
LIMIT = 'kill -USR1 "$(cat "$ANSWERS/../pid")"\n'


@dataclass
class Bench:
    """One job of two nodes, prepared, and what its steps answer."""

    top: Path
    said: str = ""
    code: int = 0

    def run(self, slurm: Slurm | None = None, **answers: str) -> None:
        """Start the job on its first node; `answers` are lines of bash by the step's name."""
        asked = cluster(workers=1, setup="true", restarts=1)
        text = render.text(changed(asked, target="slurm", slurm=slurm or Slurm()))
        (self.top / "job.sbatch").write_text(text, encoding="utf-8")
        digest = re.search(r"^digest=(\w+)$", text, re.MULTILINE)
        assert digest
        prepared = self.top / "work/prepared" / digest[1]
        for path in (prepared / "src", self.top / "work/env", self.top / "work/data", self.top / "answers"):
            path.mkdir(parents=True)
        (self.top / "work/env/.complete").touch()
        found = {
            "commit": "c", "checkout": str(prepared / "src"), "environment": str(self.top / "work/env"), "uv": "/uv",
            "engine": "torch", "kind": "cpu-x86_64-py3.11", "wanted": {"in_place": "", "gpu": False},
        }  # fmt: skip
        (prepared / "prepared.json").write_text(json.dumps(found))
        for name, lines in answers.items():
            (self.top / "answers" / name.replace("_", "-")).write_text(lines)
        environment = {
            "PATH": str(self.top / "bin"), "HOME": str(self.top), "HOTRUN_SLURM_HOME": str(self.top / "work"),
            "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_NUM_NODES": "2",
            "SLURMD_NODENAME": "node1", "CALLS": str(self.top / "calls"), "ANSWERS": str(self.top / "answers"),
        }  # fmt: skip
        done = subprocess.run(
            [BASH, "-c", 'echo $$ >"$1"; exec bash "$2"', "job", str(self.top / "pid"), "job.sbatch"],
            cwd=self.top, env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        self.code, self.said = done.returncode, done.stdout + done.stderr

    @property
    def problems(self) -> list[dict[str, Any]]:
        """Of status.json."""
        status = json.loads((self.top / "work/runs/7/status.json").read_text())
        return [problem for problem in status["problems"] if status["state"] == "failed"]

    def calls(self, words: str) -> int:
        """How often Slurm was asked for that."""
        return (self.top / "calls").read_text().count(words)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """The fewest programs, and Slurm's in the place of the real ones."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in (*TOOLS, "sleep", "tail", "timeout", "touch"):
        found = shutil.which(name)
        if found:
            (programs / name).symlink_to(found)
    (programs / "python3").symlink_to(sys.executable)
    for name, lines in {"srun": SRUN, "scontrol": SCONTROL, "sbcast": SRUN}.items():
        (programs / name).write_text(f"#!{BASH}\n{lines}")
        (programs / name).chmod(0o755)
    return Bench(tmp_path)


def test_a_command_that_fails_on_a_node_ends_the_job_with_its_last_words(bench: Bench) -> None:
    """It would fail again after a requeue: no node is lost."""
    said = """echo "$PWD/python3: error while loading shared libraries: libx.so" >&2
        echo 'slurmstepd: error: *** STEP 7.1 ON node1 CANCELLED AT 2024-01-01T00:00:00 ***' >&2
        echo 'srun: error: node2: task 1: Exited with exit code 127' >&2; exit 127"""
    bench.run(look=said)
    assert (bench.code, bench.calls("requeue")) == (5, 0), bench.said
    [problem] = bench.problems
    assert problem["code"] == "step-failed"
    assert problem["what"].endswith("error while loading shared libraries: libx.so")
    assert "node2: task 1" in problem["log"][-1]
    assert "#step-failed" in bench.said


@pytest.mark.parametrize(
    "said", ["srun: error: Node failure on node2", "srun: error: Unable to create step: Job/step busy"]
)
def test_a_node_that_does_not_answer_is_a_lost_one(bench: Bench, said: str) -> None:
    """The job is requeued; where Slurm refuses that, its status says so."""
    bench.run(look=f"echo '{said}' >&2; exit 1")
    assert (bench.code, bench.calls("scontrol requeue 7")) == (5, 1), bench.said
    assert said in bench.said
    assert [problem["code"] for problem in bench.problems] == ["requeue-refused"]


@pytest.mark.parametrize("step", ["seen", "mkdir", "/sbcast", "tar"])
def test_what_does_not_reach_the_nodes_is_said_and_written_down(bench: Bench, step: str) -> None:
    """Whatever part of the sending fails."""
    if step == "/sbcast":
        (bench.top / "bin/sbcast").write_text(f"#!{BASH}\nexit 1\n")
    answers = {"seen": "echo no\n", **({} if step == "/sbcast" else {step: "exit 1\n"})}
    bench.run(**answers)
    assert bench.code == 5, bench.said
    assert [problem["code"] for problem in bench.problems] == ["step-failed"]
    assert "what was prepared did not reach every node" in bench.said
    assert not bench.calls(" look")


@pytest.mark.parametrize("step", ["seen", "look", "set-up"])
def test_ranks_are_not_started_when_the_time_limit_is_near(bench: Bench, step: str) -> None:
    """They would never hear of it, and be killed: the job is requeued at once."""
    answers = {"look": LOOKED}
    answers[step] = LIMIT + answers.get(step, "")
    bench.run(**answers)
    assert "requeued: the time limit is near" in bench.said
    assert (bench.calls(" train"), bench.calls("scontrol requeue 7")) == (0, 1), bench.said
    memory = json.loads((bench.top / "work/runs/7/memory.json").read_text())
    assert [each["code"] for each in memory["recoveries"]] == ["time-limit"], bench.said
    assert not memory["has_begun"]  # the next start has not lost it again


def test_with_time_left_the_ranks_are_started(bench: Bench) -> None:
    """What the tests above leave out."""
    bench.run(look=LOOKED)
    assert (bench.calls(" look"), bench.calls(" set-up")) == (2, 2), bench.said
    assert bench.calls(" train") == 2, bench.said


@pytest.mark.parametrize("gpus", ["", "a100:4"])
def test_a_command_behind_prepare_takes_nothing_from_prepare(bench: Bench, gpus: str) -> None:
    """--gpu goes before `--`: what stands behind is the command's."""
    made = changed(cluster(workers=1), target="slurm", slurm=Slurm(gpus=gpus))
    (bench.top / "job.sbatch").write_text(render.text(made), encoding="utf-8")
    (bench.top / "bin/python3").unlink()
    python = '[[ $1 == -c ]] || printf "<%s>" "${@:3}"\n'
    (bench.top / "bin/python3").write_text(f"#!{BASH}\n{python}")
    (bench.top / "bin/python3").chmod(0o755)
    done = subprocess.run(
        [BASH, "job.sbatch", "--prepare", "--no-shared", "--", "python", "fetch.py"], cwd=bench.top, check=False,
        env={"PATH": str(bench.top / "bin"), "HOME": str(bench.top)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    gpu = "<--gpu>" if gpus else ""
    assert f"<prepare>{gpu}<--archive><--><python><fetch.py>" in done.stdout, done.stderr
