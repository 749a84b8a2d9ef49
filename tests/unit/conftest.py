"""A repository to generate from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.unit.typed import TRAIN


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository without an origin, and the directory that commands are typed in above it."""
    repo = tmp_path / "digits"
    repo.mkdir()
    (repo / "train.py").write_text(TRAIN)
    (repo / "requirements.txt").write_text("torch\n")
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "first")):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=repo, check=True)
    return tmp_path
