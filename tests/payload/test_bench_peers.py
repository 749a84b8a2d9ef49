"""Each peer of the benchmark trains 20 steps for real and says what came of it; so do ours, in the same turns."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import pytest

from bench import links
from bench.plan import Contender, Program, Turn
from bench.run import record
from bench.table import LINKS


def contender(program: Program, world: int, link: str = "") -> Contender:
    """784-100-10 where a program lets us choose."""
    return Contender(name=program, program=program, net="mlp-100", epochs=1, batch=64, world=world, expected_s=20,
                     precision="32-true", link=link)  # fmt: skip


@pytest.mark.payload
@pytest.mark.parametrize(
    ("program", "world"),
    [("ddp_loop", 2), ("lightning_tutorial", 1), ("ray_train", 2), ("plain", 1), ("lightning", 1)],
)
def test_each_program_runs_few_steps(program: Program, world: int, mnist_root: Path) -> None:
    """The harness reads seconds, speed, accuracy and memory from every program."""
    if program == "ray_train" and importlib.util.find_spec("ray") is None:
        pytest.skip("ray is only in .build/bench")
    found = record(
        Turn(group="test", round=0, contender=contender(program, world)), mnist_root, is_quick=True
    )

    assert found.get("output") is None, found["output"]
    assert found["world_size"] == world
    assert found["global_batch_size"] == 64 * world
    assert found["images_per_second"] > 0
    assert 0 < found["train_seconds"] < found["wall_seconds"]
    assert 0 < found["start_seconds"] < found["wall_seconds"]
    assert found["test_accuracy"] > 0.2
    assert found["peak_rss_bytes"] > 100 * 2**20


@pytest.mark.process
def test_a_cable_has_its_rate_and_leaves_nothing() -> None:
    """Both ends are shaped; the namespaces are gone afterwards."""
    reason = links.missing()
    if reason:
        pytest.skip(f"slow links: {reason}")
    with links.cable(LINKS["100 Mbit/s"]) as nodes:
        for node in nodes:
            shown = subprocess.run(
                ["tc", "-n", node.namespace, "qdisc", "show"], check=True, capture_output=True, text=True
            )
            assert "rate 100Mbit" in shown.stdout
    left = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout

    assert nodes[0].namespace not in left
