"""What real ranks go on from that meet over gloo and share nothing but that."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from keep import checkpoints
from keep.checkpoints import Checkpoint

from tests.payload.small import listing
from tests.ports import free_port

PAYLOAD = Path(__file__).resolve().parents[2] / "payload"
RUN = {"net": "mlp-100"}
DEADLINE_S = 120


RANKS = """
import json, os, resource, sys
from pathlib import Path
from keep import checkpoints, resume
import torch.distributed as dist

resume.PIECE_BYTES = 5000  # several pieces, the last one smaller
dist.init_process_group("gloo")
rank = dist.get_rank()
for scene in json.loads(sys.argv[1]):
    said = []
    if rank in scene.get("without_space", []):
        resource.setrlimit(resource.RLIMIT_FSIZE, (8000, -1))
    try:
        if Path(scene["directories"][rank]).exists():
            os.chdir(scene["directories"][rank])
        path = resume.start(scene["resume"], Path(scene["directories"][rank]), {"net": "mlp-100"}, said.append)
        state = checkpoints.read(path) if path else {}
        told = {"path": str(path), "step": state.get("global_step"), "text": state.get("text"), "said": said}
    except checkpoints.CheckpointError as error:
        told = {"error": str(error)}
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
    print(json.dumps(told), flush=True)
dist.destroy_process_group()
"""


def _ranks(world: int, *scenes: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Let `world` processes play scenes one after the other; what each rank told, by scene."""
    place = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
             "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PAYLOAD), "GLOO_SOCKET_IFNAME": "lo"}  # fmt: skip
    processes = [
        subprocess.Popen([sys.executable, "-c", RANKS, json.dumps(scenes)], env={**os.environ, **place, "RANK": str(rank)},
                         text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for rank in range(world)
    ]  # fmt: skip
    try:
        outputs = [process.communicate(timeout=DEADLINE_S) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * world, outputs
    told = [[json.loads(line) for line in output.splitlines()] for output, _ in outputs]
    return [[rank[number] for rank in told] for number in range(len(scenes))]


def _scene(parent: Path, *names: str, words: str = "auto", **more: Any) -> dict[str, Any]:
    return {"resume": words, "directories": [str(parent / name) for name in names], **more}


@pytest.mark.process
def test_two_ranks_go_on_from_the_same(tmp_path: Path) -> None:
    """Only rank 1 has the newest; one directory for both; nothing at all; a file that only rank 1 has."""
    apart, one = tmp_path / "apart", tmp_path / "one"
    _save(apart / "0", 410)
    newest = _save(apart / "1", 430, text="rank 1's")
    shared = _save(one, 430)
    (tmp_path / "place1").mkdir()
    torch.save({"global_step": 7, "epoch": 1}, tmp_path / "place1" / "mine.ckpt")

    sent, together, anew, named = _ranks(
        2,
        _scene(apart, "0", "1"),
        _scene(tmp_path, "one", "one"),
        _scene(tmp_path, "new0", "new1"),
        _scene(tmp_path, "place0", "place1", words="mine.ckpt"),
    )

    copy = apart / "0" / "step-000000430.ckpt"
    assert [told["path"] for told in sent] == [str(copy), str(newest.path)]
    assert [told["text"] for told in sent] == ["rank 1's"] * 2
    line = "resuming from step 430 (epoch 43), held by rank 1, sent to 1 rank"
    assert [told["said"] for told in sent] == [[line], []]
    assert copy.read_bytes() == newest.path.read_bytes()
    assert checkpoints.verified(copy, RUN).sha256 == newest.sha256
    assert [told["path"] for told in together] == [str(shared.path)] * 2
    assert together[0]["said"] == ["resuming from step 430 (epoch 43), held by all 2 ranks"]
    assert listing(one) == ["step-000000430.ckpt", "step-000000430.json"]
    assert [told["path"] for told in anew] == ["None"] * 2
    line = f"nothing to resume from in {tmp_path / 'new0'}: the training starts anew"
    assert [told["said"] for told in anew] == [[line], []]
    assert not (tmp_path / "new0").exists()
    copy = tmp_path / "place0" / "step-000000007.ckpt"
    assert [told["path"] for told in named] == [str(copy), "mine.ckpt"]
    assert checkpoints.verified(copy, RUN).step == 7


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="a rank limits the size of its files")
def test_two_ranks_fail_alike(tmp_path: Path) -> None:
    """One names a damaged file, one has no space for a copy, none has the file: both end with one sentence."""
    damaged = _flip(_save(tmp_path / "damaged", 10).path)
    none, short = tmp_path / "none.ckpt", tmp_path / "short"
    _save(short / "0", 410)
    _save(short / "1", 430)

    refused, full, again, missing = _ranks(
        2,
        _scene(tmp_path, "new0", "new1", words=str(damaged)),
        _scene(short, "0", "1", without_space=[0]),
        _scene(short, "0", "1"),
        _scene(tmp_path, "new0", "new1", words=str(none)),
    )

    rank = f"rank 0 on {socket.gethostname()}:"
    line = f"{rank} --resume: {damaged} is damaged: its SHA-256 is not the one in step-000000010.json"
    assert [told["error"] for told in refused] == [line] * 2
    line = f"{rank} {short / '0'}: a copy of step-000000430.ckpt can't be written: File too large"
    assert [told["error"] for told in full] == [line] * 2
    assert [told["step"] for told in again] == [430] * 2
    ends = ("410.ckpt", "410.json", "430.ckpt", "430.json")
    assert listing(short / "0") == [f"step-000000{end}" for end in ends]
    assert [told["error"] for told in missing] == [f"{rank} --resume {none}: there is no such file"] * 2


@pytest.mark.process
def test_three_ranks_go_on_from_the_same(tmp_path: Path) -> None:
    """Rank 1 has the newest, others none, an older, a damaged newer; a directory of two gets one copy."""
    apart, two = tmp_path / "apart", tmp_path / "two"
    newest = _save(apart / "1", 430, text="rank 1's")
    _save(apart / "2", 410)
    _flip(_save(apart / "2", 430).path)
    _flip(_save(apart / "2", 450).path)
    _save(two / "own", 20)
    tie = tmp_path / "tie"
    for rank in range(3):
        _save(tie / str(rank), 7, text=f"rank {rank}'s")

    sent, shared, tied = _ranks(
        3, _scene(apart, "0", "1", "2"), _scene(two, "both", "own", "both"), _scene(tie, "0", "1", "2")
    )

    assert [told["text"] for told in sent] == ["rank 1's"] * 3
    names = ["0/step-000000430.ckpt", "1/step-000000430.ckpt", "2/step-000000430-1.ckpt"]
    assert [told["path"] for told in sent] == [str(apart / name) for name in names]
    assert {Path(told["path"]).read_bytes() for told in sent} == {newest.path.read_bytes()}
    assert sent[0]["said"][-1] == "resuming from step 430 (epoch 43), held by rank 1, sent to 2 ranks"
    assert ["is damaged" in line for line in sent[2]["said"]] == [True, True]
    assert [told["path"] for told in shared] == [
        str(two / name / "step-000000020.ckpt") for name in ("both", "own", "both")
    ]
    assert listing(two / "both") == ["step-000000020.ckpt", "step-000000020.json"]
    assert [told["text"] for told in tied] == ["rank 0's"] * 3


def _save(directory: Path, step: int, text: str = "") -> Checkpoint:
    state = {"global_step": step, "text": text, "weights": torch.arange(2000) + step}
    return checkpoints.save(directory, state, step=step, epoch=step // 10, run=RUN, keep=9)


def _flip(path: Path) -> Path:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path
