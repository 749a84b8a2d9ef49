"""Writers that are killed, and disks that are full or read-only: real ones, and nothing complete is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAYLOAD = Path(__file__).resolve().parents[2] / "payload"
DEADLINE_S = 120


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from keep import checkpoints

directory, run = Path(sys.argv[1]), {"net": "mlp-100"}
random.seed(7)
step = cut = 0
for kill in range(20):
    child = os.fork()
    if child == 0:
        while True:
            step += 1
            state = {"global_step": step, "weights": torch.full((20_000,), float(step))}
            checkpoints.save(directory, state, step=step, epoch=0, run=run, keep=2)
    deadline = time.monotonic() + 30
    while kill == 0 and not any(directory.glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(random.uniform(0.001, 0.1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    cut += any(directory.glob("*.partial"))
    found = checkpoints.newest(directory, run, lambda text: None)
    assert found is not None and found.step >= step, (kill, step, found, os.listdir(directory))
    state = checkpoints.read(found.path)
    assert state["global_step"] == found.step and (state["weights"] == found.step).all()
    step = found.step
checkpoints.save(directory, {}, step=step + 1, epoch=0, run=run, keep=2)
assert not list(directory.glob("*.partial")), os.listdir(directory)
print(step, cut)
"""


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forks")
def test_a_killed_writer_loses_nothing(tmp_path: Path) -> None:
    """After each of 20 SIGKILLs there is a complete checkpoint, at least as new as before, with what was saved."""
    done = _python(KILLED, str(tmp_path / "kept"))

    assert done.returncode == 0, done.stderr
    step, cut = map(int, done.stdout.split())
    assert step >= 2
    assert cut >= 1, "no kill hit a writer, so this proved nothing"


FULL = """
import os, resource, subprocess, sys
from pathlib import Path
import torch
from keep import checkpoints

way, directory, run = sys.argv[1], Path(sys.argv[2]), {"net": "mlp-100"}
if way != "limit":
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(directory)], check=True)

def save(step, numbers):
    state = {"weights": torch.full((numbers,), float(step))}
    checkpoints.save(directory, state, step=step, epoch=0, run=run, keep=1)

save(1, 75_000)
if way == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
if way == "read-only":
    subprocess.run(["mount", "-o", "remount,bind,ro", str(directory)], check=True)
try:
    save(2, 10_000 if way == "read-only" else 250_000)
except checkpoints.CheckpointError as error:
    print(error)
print(sorted(os.listdir(directory)), checkpoints.newest(directory, run, print).step)
if way != "read-only":
    save(3, 75_000)
    print(sorted(os.listdir(directory)), checkpoints.newest(directory, run, print).step)
"""


def _namespace() -> tuple[str, ...]:
    """The words before a command that give it mounts of its own, none where that is not allowed."""
    for words in (("unshare", "-m"), ("unshare", "-rm")):
        mount = [*words, "mount", "-t", "tmpfs", "none", "/mnt"]
        if (
            shutil.which("unshare")
            and subprocess.run(mount, capture_output=True, check=False).returncode == 0
        ):
            return words
    return ()


@pytest.mark.process
@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("disk", "No space left on device"),
        ("limit", "File too large"),
        ("read-only", "Read-only file system"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small file system")
def test_a_full_disk_loses_nothing(tmp_path: Path, way: str, reason: str) -> None:
    """Without space the last one stays, no part of the new one, and a sentence says how to go on; then it works."""
    before = _namespace() if way != "limit" else ()
    if way != "limit" and not before:
        pytest.skip("mount namespaces are not allowed here")
    done = _python(FULL, way, str(tmp_path), before=before)

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    one = "['step-000000001.ckpt', 'step-000000001.json'] 1"
    lines = [
        f"{tmp_path}: the checkpoint of step 2 can't be written: {reason}; step-000000001.ckpt is still complete. Free space or choose another directory, then go on with --resume auto",
        one,
        one.replace("1.", "3.").replace("] 1", "] 3"),
    ]
    assert done.stdout.splitlines() == lines[: 2 if way == "read-only" else 3]


def _python(script: str, *words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PAYLOAD)}
    return subprocess.run([*before, sys.executable, "-c", script, *words], env=environment, text=True,
                          capture_output=True, timeout=DEADLINE_S, check=False)  # fmt: skip


PROGRAM = """
import os, subprocess, sys
program, place, root = sys.argv[1:4]
os.makedirs(place + "/small")
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "none", place + "/small"], check=True)
flags = {"main.py": ["--data.root", root, "--trainer.max_epochs", "3"], "torch_ddp.py": ["--root", root, "--epochs", "3"]}
environment = {**os.environ, "HOTRUN_RUN_DIR": place + "/run", "HOTRUN_CHECKPOINT_DIR": place + "/small"}
done = subprocess.run([sys.executable, program, *flags[os.path.basename(program)], "--keep-checkpoints", "1"], env=environment, text=True,
                      capture_output=True)
print(done.returncode, sorted(os.listdir(place + "/small")))
print(done.stderr.strip())
"""


@pytest.mark.payload
@pytest.mark.parametrize("program", ["main.py", "torch_ddp.py"])
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small file system")
def test_a_training_on_a_full_disk(tmp_path: Path, mnist_root: Path, program: str) -> None:
    """The second checkpoint does not fit beside the first: exit code 1, one sentence, and the first is still complete."""
    before = _namespace()
    if not before:
        pytest.skip("mount namespaces are not allowed here")
    done = _python(PROGRAM, str(PAYLOAD / program), str(tmp_path / "place"), str(mnist_root), before=before)

    assert done.returncode == 0, done.stderr
    first, *sentence = done.stdout.splitlines()
    assert first == "1 ['step-000000430.ckpt', 'step-000000430.json']"
    assert len(sentence) == 1, done.stdout
    assert "the checkpoint of step 860 can't be written: No space left on device" in sentence[0]
    assert "step-000000430.ckpt is still complete" in sentence[0]
