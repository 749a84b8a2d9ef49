"""A worker that dies, and all of them started again: who is named, and where they go on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.engines.tensorflow.workers import Workers, start

pytestmark = pytest.mark.payload
MANY = "400"  # epochs; nobody waits for the end
SMALL = ("--validation", "55000", "--epochs", MANY, "--resume", "auto")  # 5,000 images, 20 steps an epoch
STEPS = 20


@pytest.fixture
def begun(tmp_path: Path, mnist_root: Path) -> Workers:
    """Two workers in the middle of a long training, some checkpoints behind them."""
    workers = start(tmp_path, "--root", str(mnist_root), *SMALL)
    workers.await_text(f"epoch 3/{MANY}")
    return workers


def test_a_lost_worker_is_named_and_all_go_on_together(begun: Workers, mnist_root: Path) -> None:
    """The survivor ends and names the dead one; started again both take the newest checkpoint that both hold."""
    begun.end(1)
    codes = begun.wait()
    assert codes == [1, -9]
    assert f"worker 1 ({begun.addresses[1]}) is gone" in begun.err(0)
    assert "Traceback" not in begun.err(0)

    common = sorted(set(begun.checkpoints(0)) & set(begun.checkpoints(1)))
    assert len(common) >= 2, "both hold two, and the last may be of one of them"
    for path in begun.place(1).glob(f"step-{common[-1]:09d}*"):  # as if it had died before it saved
        path.unlink()
    for step in set(begun.checkpoints(0)) - set(common):
        for path in begun.place(0).glob(f"step-{step:09d}*"):
            path.unlink()
    chosen, more = common[-2], common[-1]

    again = start(begun.directory, "--root", str(mnist_root), *SMALL)
    again.await_text(f"epoch {chosen // STEPS + 2}/{MANY}")
    again.end(0)
    assert again.wait() == [-9, 1]
    sentence = (
        f"resuming from step {chosen:,} (epoch {chosen // STEPS}), the newest that all 2 workers hold; "
        f"worker 0 ({again.addresses[0]}) also holds step {more:,}"
    )
    assert sentence in again.out(0)
    assert sentence in again.out(1)
    assert re.search(rf"^epoch {chosen // STEPS + 1}/{MANY} ", again.out(0), re.MULTILINE)
    assert f"worker 0 ({again.addresses[0]}) is gone" in again.err(1), "the chief is not missed less"
    assert "Traceback" not in again.err(1)


def test_ctrl_c_ends_quietly(begun: Workers) -> None:
    """Ctrl-C ends a worker at once with 130 and no word, and the other one names it."""
    begun.end(0, 2)
    assert begun.wait() == [130, 1]
    assert begun.err(0) == ""
    assert f"worker 0 ({begun.addresses[0]}) is gone" in begun.err(1)


def test_a_worker_that_is_lost_while_all_meet(tmp_path: Path, mnist_root: Path) -> None:
    """The strategy can't be made then: the program starts itself once more, and meets those who come later."""
    words = ["--root", str(mnist_root), "--validation", "59000", "--epochs", "1", "--wait", "600"]
    early = start(tmp_path, *words, count=3, indexes=(0, 1), TF_CPP_MIN_LOG_LEVEL="0")
    early.await_text("task:1 has connected to coordination service")
    early.end(1)
    early.await_text(f"start 1 of 3 failed: worker 1 ({early.addresses[1]}) is gone: ")
    late = start(tmp_path, *words, count=3, indexes=(1, 2), addresses=early.addresses)
    late.finish()
    assert early.wait() == [0, -9]

    assert early.out(0).count("Setting TF_CONFIG") == 1
    assert early.result["world_size"] == 3
