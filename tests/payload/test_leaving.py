"""How ranks end: with the code of what they did, whatever gloo's threads do at that moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.payload.runs import MAIN, PAYLOAD, PLAIN, clean_environment
from tests.ports import free_port

DEADLINE_S = 240

# A thread of gloo waits for the interpreter when that begins to end, as it may on a busy machine: the last thing
# that Python runs is a collective, and until it returns no other thread gets the interpreter.
# Its first import is the program's, so that what is registered here runs last.
BUSY = """
import atexit, runpy, sys, time

def meet():
    ones = torch.ones(1)
    seen = ones.numpy()
    sys.setswitchinterval(600)
    groups[0].allreduce([ones])
    deadline = time.monotonic() + 60
    while seen[0] < 2 and time.monotonic() < deadline:
        pass
    done = time.monotonic()
    while time.monotonic() < done + 0.5:
        pass

atexit.register(meet)
import torch
import torch.distributed as dist

groups, join = [], dist.init_process_group

def init_process_group(*args, **kwargs):
    join(*args, **kwargs)
    groups.append(dist.group.WORLD)

dist.init_process_group = init_process_group
sys.argv = sys.argv[1:]
sys.path[0] = sys.argv[0].rpartition("/")[0]

import pictures

pictures.draw_in_child = lambda *_, **__: None
runpy.run_path(sys.argv[0], run_name="__main__")
"""
WORDS = {
    MAIN: ["fit", "--model.net", "mlp-100", "--trainer.max_epochs", "1", "--data.validation", "59000",
           "--trainer.accelerator", "cpu", "--trainer.strategy", "ddp", "--trainer.num_nodes", "2",
           "--trainer.devices", "1"],
    PLAIN: ["--net", "mlp-100", "--epochs", "1", "--validation", "59000", "--device", "cpu"],
}  # fmt: skip
ROOT = {MAIN: "--data.root", PLAIN: "--root"}


@pytest.mark.payload
@pytest.mark.parametrize("program", [MAIN, PLAIN])
def test_a_training_that_is_done_ends_well(program: str, tmp_path: Path, mnist_root: Path) -> None:
    """Every rank ends with 0, also while a thread of gloo still waits for the interpreter."""
    ranks = _started(tmp_path, program, *WORDS[program], ROOT[program], str(mnist_root))

    assert _ends(ranks) == [(0, ""), (0, "")]


@pytest.mark.payload
def test_a_failure_keeps_its_code_and_its_sentence(tmp_path: Path, mnist_root: Path) -> None:
    """Both ranks hear that their settings differ; each says so and ends with 1."""
    each = [(), ("--seed", "2")]
    ranks = _started(tmp_path, PLAIN, *WORDS[PLAIN], ROOT[PLAIN], str(mnist_root), of_rank=each)

    for code, complaint in _ends(ranks):
        assert code == 1
        assert complaint.startswith("rank 1 of 2 has not rank 0's settings")


def _started(
    directory: Path, program: str, *words: str, of_rank: list[tuple[str, ...]] | None = None
) -> list[subprocess.Popen[str]]:
    """Two fresh Pythons, started as a launcher would on two machines."""
    script, port, ranks = directory / "busy.py", str(free_port()), []
    script.write_text(BUSY)
    for rank, own in enumerate(of_rank or [(), ()]):
        place = {"RANK": str(rank), "NODE_RANK": str(rank), "GROUP_RANK": str(rank), "LOCAL_RANK": "0",
                 "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
                 "GLOO_SOCKET_IFNAME": "lo", "TORCHELASTIC_RUN_ID": "test",
                 "HOTRUN_RUN_DIR": str(directory / str(rank))}  # fmt: skip
        line = [sys.executable, "-W", "ignore", str(script), str(PAYLOAD / program), *words, *own]
        with (directory / f"{rank}.out").open("w") as out:
            ranks.append(subprocess.Popen(line, env=clean_environment(**place), cwd=directory, text=True,
                                          stdout=out, stderr=subprocess.PIPE))  # fmt: skip
    return ranks


def _ends(ranks: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """Exit code and stderr of each rank."""
    try:
        said = [rank.communicate(timeout=DEADLINE_S)[1] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()
    return [(rank.returncode, text) for rank, text in zip(ranks, said, strict=True)]
