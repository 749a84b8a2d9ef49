"""Weights -> one file that main.py, torch_ddp.py and torch.load(weights_only=True) read, and back."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import torch
from show.report import versions, write_file

from keep.checkpoints import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from recipe import Run
    from torch import nn
FORM = "2.6.6"  # Lightning's, whose form the file has; told where Lightning is not installed


def save_model(path: Path, state: Mapping[str, Any], run: Run) -> None:
    """The trained weights in a file that Lightning, `predict` and torch.load(weights_only=True) read."""
    content = io.BytesIO()
    torch.save({"state_dict": dict(state), "run": run.fingerprint,
                "pytorch-lightning_version": versions().get("pytorch-lightning", FORM)}, content)  # fmt: skip
    write_file(path, content.getvalue())


def prefixed(net: nn.Module) -> dict[str, Any]:
    """The weights by the names of main.py's Classifier, so that either program reads the other's files."""
    return {f"net.{name}": weights.detach().cpu() for name, weights in net.state_dict().items()}


def load_weights(net: nn.Module, content: dict[str, Any]) -> None:
    """Weights of a file of torch_ddp.py or of main.py. Raises CheckpointError for another net's."""
    if not isinstance(content.get("state_dict"), dict):
        raise CheckpointError("this file has no state_dict: it is neither a model nor a checkpoint")
    weights = {name.removeprefix("net."): tensor for name, tensor in content["state_dict"].items()}
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"weights of another net: {str(error).splitlines()[-1].strip()}") from error
