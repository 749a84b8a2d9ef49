"""The program as a person types it: in a process of its own, or in this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloud import cli

ROOT = Path(__file__).parents[2]
TRAIN = "from pytorch_lightning import Trainer\n\nTrainer(max_epochs=1)\n"


def hotrun(directory: Path, *arguments: str, stdin: str = "", environ: dict[str, str] | None = None
           ) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Run the program as a person would, with pipes."""
    return subprocess.run(
        [sys.executable, str(ROOT / "cloud" / "generator.py"), *arguments],
        cwd=directory, input=stdin, capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, **(environ or {})},
    )  # fmt: skip


def generate(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Generate from the checkout of the fixture."""
    given = ("--repo", "digits", "--workers", "2", "--entrypoint", "train.py")
    return hotrun(directory, "generate", *given, *arguments)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command in this process."""
    code = cli.run(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err
