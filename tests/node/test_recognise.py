"""An entrypoint's syntax tree tells the engine and what is hard-coded."""

from __future__ import annotations

import pytest

from cloud.node.recognise import HardCoded, recognise


@pytest.mark.parametrize(
    ("source", "engine", "line"),
    [
        ("import pytorch_lightning as pl\n\npl.Trainer(max_epochs=3)\n", "lightning", 3),
        ("from lightning import Trainer as T\nT()\n", "lightning", 2),
        ("from lightning.pytorch.cli import LightningCLI\n\nLightningCLI(None)\n", "lightning-cli", 3),
        (
            "from lightning.pytorch.cli import LightningCLI\nclass C(LightningCLI):\n    pass\n",
            "lightning-cli",
            2,
        ),
        ("import torch.distributed as dist\ndist.init_process_group('gloo')\n", "torch", 2),
        ("from torch.nn.parallel import DistributedDataParallel as DDP\nDDP(None)\n", "torch", 2),
        ("import ray\nfrom lightning import Trainer\nTrainer()\n", "ray", 1),
        ("import tensorflow as tf\n", "tensorflow", 1),
        ("import torch\nprint(torch.ones(1))\n", "python", 1),
        ("class Trainer: pass\nTrainer()\n", "python", 1),
    ],
)
def test_engine_and_line_of_the_evidence(source: str, engine: str, line: int) -> None:
    """The engine is the library that is called or subclassed, whatever name it was imported as."""
    found = recognise(source, "train.py")

    assert (engine, line) == (found.engine, found.line)


def test_hard_coded_launch_settings_have_lines() -> None:
    """Constants given to a Trainer and rendezvous variables set by the script are found with their lines."""
    source = (
        "import os\nimport lightning as L\nos.environ['MASTER_PORT'] = '1234'\n"
        "L.Trainer(\n    devices=1,\n    num_nodes=2, max_epochs=3, accelerator=choose())\n"
    )

    found = recognise(source, "train.py").hard_coded

    assert {
        HardCoded("MASTER_PORT", "'1234'", 3),
        HardCoded("devices", "1", 5),
        HardCoded("num_nodes", "2", 6),
    } == set(found)


def test_what_is_not_python_raises_with_its_line() -> None:
    """A file that can't be parsed raises SyntaxError with file and line."""
    with pytest.raises(SyntaxError) as raised:
        recognise("x = 1\nimport (\n", "train.py")

    assert ("train.py", 2) == (raised.value.filename, raised.value.lineno)
