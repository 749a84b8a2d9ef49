"""What nodes of a job tell each other: only with the secret, checkpoints whole, and the time limit's word."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from cloud.node.checkpoints import CHECKPOINT, Keeper, sha256
from cloud.node.failure import MasterLost, Stopped
from cloud.node.process import TAG
from cloud.node.slurm import run
from cloud.node.slurm.talk import Talk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 120.0


def go(shared: bool) -> dict[str, Any]:
    """Return a plan of two nodes on this machine."""
    with socket.create_server(("127.0.0.5", 0)) as first:
        port = first.getsockname()[1]
    return {
        "addresses": ["127.0.0.5", "127.0.0.6"], "talk_port": port, "shared": shared,
        "resume": {"holders": [1], "number": 5, "name": "a.ckpt"},
    }  # fmt: skip


@pytest.fixture
def talks() -> Iterator[list[Talk]]:
    """Rank 0's node and another, with disks of their own."""
    the_plan = go(shared=False)
    made = [Talk(rank, "word", the_plan) for rank in (0, 1)]
    yield made
    for talk in made:
        talk.close()


def test_what_rank_0_publishes_is_heard_by_all(talks: list[Talk]) -> None:
    """So a node without a program of its own knows when to end; rank 0's goes away only after that."""
    assert talks[1].offered("ended-1") is None
    talks[0].publish("ended-1", {})
    talks[0].close()
    assert talks[1].published("ended-1", time.monotonic() + WAIT_S) == {}


def test_a_checkpoint_travels_whole_and_verified(talks: list[Talk], tmp_path: Path) -> None:
    """From the node that holds it, which need not be rank 0's."""
    file = tmp_path / "a.ckpt"
    file.write_bytes(bytes(range(256)) * 10_000)
    talks[1].publish("resume-2", file, name="a.ckpt", number=5, sha256=sha256(file), manifest="")
    facts = talks[0].published("resume-2", time.monotonic() + WAIT_S)
    keeper = Keeper(tmp_path / "kept")
    assert keeper.keep(facts, lambda target: talks[0].fetch("resume-2", target))
    assert keeper.path(5, "a.ckpt").read_bytes() == file.read_bytes()


def test_the_newest_checkpoint_is_taken_while_training_where_disks_are_apart(
    talks: list[Talk], tmp_path: Path
) -> None:
    """On one file system nobody copies it."""
    file = tmp_path / "b.ckpt"
    file.write_bytes(b"PK" * 5000)
    talks[0].store.link_shared(CHECKPOINT, file)
    talks[0].publish(CHECKPOINT, {"number": 7})
    assert talks[1].published(CHECKPOINT, time.monotonic() + WAIT_S) == {"number": 7}
    talks[1].fetch(CHECKPOINT, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == file.read_bytes()
    assert Talk(1, "word", {**go(shared=True), "addresses": ["127.0.0.5"]}).offered(CHECKPOINT) is None


def test_nobody_answers_without_the_secret(talks: list[Talk], tmp_path: Path) -> None:
    """Another user of the cluster learns nothing."""
    talks[0].publish("service-1", {})
    stranger = Talk(1, "guess", {**go(shared=False), "addresses": ["127.0.0.5"]})
    stranger._go = talks[1]._go
    with pytest.raises(MasterLost):
        stranger.fetch("service-1", tmp_path / "x")
    assert Talk(0, "").answer({"secret": "", "name": "ended-1"}) == (None, None)


def test_before_the_time_limit_work_ends_when_a_checkpoint_is_there() -> None:
    """And not sooner."""
    talk = Talk(0, "word")
    talk.raise_if_over()
    talk.limit = time.monotonic()
    talk.raise_if_over()
    talk.is_ending = lambda: True
    with pytest.raises(Stopped):
        talk.raise_if_over()


PROGRAM = "import signal, sys, time\n{}\nprint('ready', flush=True)\ntime.sleep(600)\n"
HANDLER = "signal.signal(signal.SIGUSR1, lambda *_: (print('told', flush=True), sys.exit(0)))"


@pytest.mark.process
def test_only_a_rank_that_waits_for_the_signal_gets_it(tmp_path: Path) -> None:
    """SIGUSR1 would end any other."""
    tag = f"{tmp_path}#master"
    ranks = [
        subprocess.Popen([sys.executable, "-c", PROGRAM.format(text)], env={TAG: tag}, stdout=subprocess.PIPE, text=True)
        for text in (HANDLER, "")
    ]  # fmt: skip
    try:
        for rank in ranks:
            assert rank.stdout is not None
            assert rank.stdout.readline() == "ready\n"
        assert run.forward(tag, signal.SIGUSR1) == 1
        assert ranks[0].stdout is not None
        assert ranks[0].stdout.readline() == "told\n"
        assert ranks[0].wait(WAIT_S) == 0
        assert ranks[1].poll() is None
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()
            assert rank.stdout is not None
            rank.stdout.close()


def test_an_answer_is_one_line_and_the_file(talks: list[Talk], tmp_path: Path) -> None:
    """Its size first, so that a file that ends early is noticed."""
    file = tmp_path / "c"
    file.write_bytes(b"x" * 10)
    talks[0].publish("resume-1", file, number=1)
    with socket.create_connection(("127.0.0.5", talks[0]._go["talk_port"])) as connection:
        connection.sendall((json.dumps({"secret": "word", "name": "resume-1", "file": True}) + "\n").encode())
        with connection.makefile("rb") as stream:
            assert json.loads(stream.readline()) == {"facts": {"number": 1}, "bytes": 10}
            assert stream.read() == b"x" * 10
