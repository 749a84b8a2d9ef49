"""payload/main.py for real: one process, and ranks on this machine's loopback that meet as a node's would."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

PAYLOAD = Path(__file__).resolve().parents[2] / "payload"
DEADLINE_S = 300
KEYS = [
    "world_size", "backend", "epochs", "global_batch_size", "train_seconds", "images_per_second", "train_loss",
    "test_accuracy", "precision", "net", "data", "seed", "versions", "peak_rss_bytes",
]  # fmt: skip


def _environment(**extra: str) -> dict[str, str]:
    ours = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    kept = {k: v for k, v in os.environ.items() if k not in ours and not k.startswith(("HOTRUN_", "TORCHEL"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling Lightning and torch takes longer than the training
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept["PYTHONPYCACHEPREFIX"] = str(cache / "hotrun" / "bytecode")
    return {**kept, "OMP_NUM_THREADS": "1", **extra}


def _free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def _train_as_nodes(world: int, directory: Path, root: Path, *words: str) -> tuple[list[str], list[Any]]:
    """Start `world` ranks as nodes do; their outputs, and what is in each rank's run directory."""
    port = _free_port()
    processes = []
    for rank in range(world):
        (directory / str(rank)).mkdir()
        place = {"RANK": rank, "GROUP_RANK": rank, "NODE_RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": 0,
                 "LOCAL_WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
                 "TORCHELASTIC_RUN_ID": "test", "HOTRUN_NNODES": world, "HOTRUN_DATA_DIR": root,
                 "HOTRUN_RUN_DIR": directory / str(rank)}  # fmt: skip
        launch = ["--trainer.accelerator", "cpu", "--trainer.strategy", "ddp",
                  "--trainer.num_nodes", str(world), "--trainer.devices", "1"]  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "main.py", "fit", *launch, *words], cwd=PAYLOAD, text=True,
            env=_environment(**{key: str(value) for key, value in place.items()}),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        processes.append(process)
    try:
        outputs = [process.communicate(timeout=DEADLINE_S)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * world, "\n".join(outputs)
    return outputs, [sorted(path.name for path in (directory / str(rank)).iterdir()) for rank in range(world)]


def _result(directory: Path) -> dict[str, Any]:
    result = json.loads((directory / "result.json").read_text())
    assert isinstance(result, dict)
    return result


@pytest.mark.payload
def test_alone_it_trains(tmp_path: Path, mnist_root: Path) -> None:
    """`python payload/main.py` from any directory is `fit`: accuracy, seconds, files, with defaults only."""
    words = [sys.executable, str(PAYLOAD / "main.py"), "--data.root", str(mnist_root)]
    done = subprocess.run(words, cwd=tmp_path, env=_environment(), capture_output=True, text=True,
                          timeout=DEADLINE_S, check=False)  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "runs" / "mnist-mlp-100-1"
    assert sorted(path.name for path in run.iterdir()) == ["metrics.csv", "model.ckpt", "result.json"]
    result = _result(run)
    assert list(result) == KEYS
    assert (result["world_size"], result["backend"], result["precision"]) == (1, "none", "32-true")
    assert result["test_accuracy"] >= 0.975
    lines = done.stdout.splitlines()
    assert lines[0].startswith("mlp-100 on mnist ")
    assert f"test accuracy {100 * result['test_accuracy']:.2f} % of 10,000 images" in lines
    assert str(run) in lines[-1]
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == [str(number + 1) for number in range(result["epochs"])]
    assert float(rows[-1]["train_loss"]) == pytest.approx(result["train_loss"], abs=1e-5)


@pytest.mark.payload
def test_two_ranks_train_as_one(tmp_path: Path, mnist_root: Path) -> None:
    """Two ranks reach the accuracy of one; rank 0 alone writes and speaks."""
    outputs, files = _train_as_nodes(2, tmp_path, mnist_root)

    assert files == [["metrics.csv", "model.ckpt", "result.json"], []]
    result = _result(tmp_path / "0")
    assert (result["world_size"], result["backend"], result["global_batch_size"]) == (2, "gloo", 256)
    assert result["test_accuracy"] >= 0.975
    assert "of 10,000 images" in outputs[0]
    assert "epoch" not in outputs[1]


@pytest.mark.payload
def test_three_ranks_judge_every_image_once(tmp_path: Path, mnist_root: Path) -> None:
    """Shares of 3,334, 3,333 and 3,333 test images, and BatchNorm: 10,000 are counted and nobody hangs."""
    words = ["--model.net", "lenet", "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "4"]
    outputs, _ = _train_as_nodes(3, tmp_path, mnist_root, *words)

    result = _result(tmp_path / "0")
    assert (result["world_size"], result["net"], result["epochs"]) == (3, "lenet", 1)
    assert "of 10,000 images" in outputs[0]
    # 10,000 answers counted once make a multiple of 1/10,000
    assert result["test_accuracy"] * 10_000 == pytest.approx(
        round(result["test_accuracy"] * 10_000), abs=1e-6
    )


@pytest.mark.payload
def test_without_data_one_sentence_is_said(tmp_path: Path) -> None:
    """Where MNIST can't be had the program ends with exit code 1 and a sentence, not with a traceback."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"not MNIST")
    done = subprocess.run([sys.executable, str(PAYLOAD / "main.py"), "--data.root", str(tmp_path)], text=True,
                          cwd=tmp_path, env=_environment(), capture_output=True, timeout=DEADLINE_S,
                          check=False)  # fmt: skip

    assert done.returncode == 1
    assert "t10k-labels-idx1-ubyte is not MNIST's" in done.stderr
    assert "Traceback" not in done.stderr


def test_same_seed_same_weights() -> None:
    """The seed decides the initial weights, so that all ranks begin alike."""
    from nets import NETS

    for make in NETS.values():
        weights = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            weights.append(torch.cat([parameter.flatten() for parameter in make().parameters()]))
        assert torch.equal(weights[0], weights[1])
        assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("net", ["mlp-100", "lenet"])
def test_a_net_takes_images_to_classes(net: str) -> None:
    """N x 784 in, N x 10 out."""
    from nets import NETS

    assert NETS[net]()(torch.zeros(3, 784)).shape == (3, 10)
