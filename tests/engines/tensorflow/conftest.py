"""The payload's modules by the names that they have for each other; MNIST, fetched once for all runs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from tests.payload.left import data_root, mnist_root

__all__ = ["data_root", "mnist_root"]  # fixtures
PAYLOAD = Path(__file__).resolve().parents[3] / "payload"
sys.path.insert(0, str(PAYLOAD))

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("needs payload/requirements-tensorflow.txt (1.5 GB)", allow_module_level=True)
