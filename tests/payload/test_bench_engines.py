"""Runs of the engines -> their page; and what is started for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import engines, engines_page

MACHINE = {"processor": "P", "cores": 2, "memory_mib": 2048, "system": "Linux"}


def record(engine: str, number: int, **more: Any) -> dict[str, Any]:
    """A run of an engine, 10 s and as many as its round."""
    return {
        "engine": engine, "world": 1, "round": number, "net": "dense-128", "epochs": 3, "machine": MACHINE,
        "others_busy_cores": 0.0, "process_seconds": 10.0 + number, "start_seconds": 4.0, "train_seconds": 2.0,
        "images_per_second": 90000.0, "test_accuracy": 0.975, "peak_pss_bytes": 5e8, "versions": {engine: "1.0"},
        **more,
    }  # fmt: skip


def test_a_cell_is_the_median_with_its_spread() -> None:
    """Three rounds of one engine are one row; what never differs has no brackets."""
    page = engines_page.text([record("torch", number) for number in (1, 2, 3)])
    (row,) = [line for line in page.splitlines() if line.startswith("| torch DDP")]
    assert row == "| torch DDP | torch_ddp.py | 12.0 (11.0 to 13.0) | 4.0 | 2.00 | 90,000 | 97.50 | 500 |"


def test_what_failed_and_what_was_disturbed_is_said() -> None:
    """A missing row is explained, and figures that others may have spoilt are counted."""
    page = engines_page.text(
        [record("torch", 1, others_busy_cores=1.2), {**record("ray", 1), "why": "exit codes [3]: no room"}]
    )
    assert "1 of 2 runs began while others kept more than 0.3 cores busy." in page
    assert "1 runs failed: ray." in page
    assert "| Ray Train" not in page


@pytest.mark.parametrize("engine", engines.ENGINES, ids=lambda engine: engine.name)
@pytest.mark.parametrize("world", [1, 2])
def test_every_engine_trains_the_same(engine: engines.Engine, world: int) -> None:
    """The net, the data, the epochs and the seed stand on every command line; TensorFlow's workers start apart."""
    task = engines.Task(engine=engine, python="python3", data=Path("/data"), epochs=3, world=world, round=4)
    lines = engines.commands(task)
    assert len(lines) == (world if engine.name == "tensorflow" else 1)
    for line in lines:
        assert Path(line[1]).is_file()
        assert {"dense-128", "mnist", "/data", "3", "4"} <= set(line)
