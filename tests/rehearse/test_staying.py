"""Machines that stay after a run, train again, and become more or fewer while they train."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.rehearse.kept import cache, machines
from tests.rehearse.staying import Stack
from tests.rehearse.test_rehearsals import TORCH, template

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.rehearsal
__all__ = ["cache", "machines"]  # fixtures

COUNTS = """
import os, sys, time, torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
steps, pause = int(sys.argv[1]), float(sys.argv[2])
dist.init_process_group("gloo")
model, first = DistributedDataParallel(torch.nn.Linear(8, 2)), 0
if os.environ["HOTRUN_RESUME_FROM"]:
    state = torch.load(os.environ["HOTRUN_RESUME_FROM"])
    model.module.load_state_dict(state["model"])
    first = state["step"]
print("goes on at step", first, "of", dist.get_world_size(), flush=True)
for step in range(first, steps):
    model(torch.randn(4, 8)).sum().backward()
    time.sleep(pause)
    if step % 10 == 9 and dist.get_rank() == 0:
        path = os.path.join(os.environ["HOTRUN_CHECKPOINT_DIR"], f"{step + 1:06}.pt")
        torch.save({"model": model.module.state_dict(), "step": step + 1}, path + ".part")
        os.replace(path + ".part", path)
print("reached step", steps, flush=True)
dist.destroy_process_group()
"""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMadeForATest"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A program that counts its steps, and goes on where its checkpoint was."""
    tree = tmp_path / "digits"
    tree.mkdir()
    (tree / "requirements.txt").write_text(f"{TORCH}\nnumpy\n")
    (tree / "main.py").write_text(COUNTS)
    return tree


@pytest.fixture
def stacks(cache: Path) -> Iterator[list[Stack]]:
    """What a test made, ended afterwards."""
    made: list[Stack] = []
    yield made
    for each in made:
        each.close()


def test_a_job_goes_on_with_more_and_with_fewer_machines(
    stacks: list[Stack], source: Path, runs: Path
) -> None:
    """1+1, 1+2, 1+1: each time from the newest checkpoint, to the right end."""
    stack = Stack(template(2, args="400 0.2"), source, runs)
    stacks.append(stack)
    stack.change(hotrun_workers="1")
    for name in ("master", "worker-1"):
        stack.start(name)
    stack.wait_for_words("master", "goes on at step 0 of 2")
    stack.change_one("worker-2", hotrun_workers="2")
    stack.start("worker-2")  # before the master knows of it
    stack.wait_for_words("worker-2", "waiting for the master")
    stack.change(hotrun_workers="2")
    stack.wait_for_words("worker-2", "goes on at step")
    stack.change(hotrun_workers="1")
    stack.end("worker-2")
    stack.wait_for_words("master", "goes on at step", 3)
    result = stack.wait_for_signal("result")["data"]

    starts = [re.search(r"goes on at step (\d+) of (\d)", line) for line in stack.said["master"]]
    firsts = [(int(found[1]), int(found[2])) for found in starts if found]
    assert [size for _, size in firsts] == [2, 3, 2], stack.story()
    assert 0 == firsts[0][0] < firsts[1][0] <= firsts[2][0]
    assert ("done", 2) == (result["state"], result["world_size"]["proven"])
    codes = [each["code"] for each in result["recoveries"]]
    assert codes in (["resized", "resized"], ["resized", "node-lost", "resized"])  # whichever it saw first
    assert "[rank 0] reached step 400" in stack.said["master"]


def test_machines_train_again_and_power_off_at_their_deadline(
    stacks: list[Stack], source: Path, runs: Path
) -> None:
    """A failed run, a rerun with other arguments, a third one whose worker was off, and the end of the hours."""
    stack = Stack(template(1, args="nothing", max_hours=0.15, restarts=0), source, runs)
    stacks.append(stack)
    for name in ("master", "worker-1"):
        (stack.root(name) / "etc/ssh").mkdir(parents=True)
        (stack.root(name) / "etc/ssh/ssh_host_ed25519_key.pub").write_text(f"{KEY}{name} root@here\n")
        stack.start(name)
    gate, result = stack.wait_for_signal("gate")["data"], stack.wait_for_signal("result")
    assert [["master", KEY + "master"], ["worker-1", KEY + "worker-1"]] == [
        [name, key] for name, _, key in gate["machines"]
    ]
    assert ("FAILURE", 0) == (result["status"], result["data"]["rerun"])
    for name in ("master", "worker-1"):
        stack.wait_for_words(name, "standing by")

    stack.change(hotrun_rerun="1", hotrun_args="20 0.01")
    again = stack.wait_for_signal("result-1")["data"]
    assert ("done", 1, gate["server"]) == (again["state"], again["rerun"], again["server"])
    assert again["run"] == stack.signals["gate-1"]["data"]["run"] != gate["run"]
    assert 0 == stack.wait_for_end("worker-1")
    stack.wait_for_words("master", "standing by", 2)

    stack.start("worker-1")
    stack.wait_for_words("worker-1", "standing by", 2)
    for name in ("master", "worker-1"):  # as if they were older: two minutes are left
        born = stack.root(name) / "var/lib/hotrun/born"
        born.write_text(f"{time.time() - 0.15 * 3600 + 120} {born.read_text().partition(' ')[2]}")
    stack.change(hotrun_rerun="2", hotrun_args="100000 0.01")
    stack.wait_for_words("master", "goes on at step 0")
    last = stack.wait_for_signal("result-2")["data"]
    assert "deadline" == last["problems"][0]["code"], stack.story()
    assert [130, 130] == [stack.wait_for_end(name) for name in ("master", "worker-1")]
