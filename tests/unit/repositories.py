"""Repositories to look at, and what was found in them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud import repository
from cloud.model import Job

if TYPE_CHECKING:
    from collections.abc import Mapping

TRAIN = "import pytorch_lightning as pl\n\npl.Trainer(num_nodes=1, devices=1)\n"
FILES = {"train.py": TRAIN, "requirements.txt": "torch\n", "ray/go.py": "import ray\nray.init()\n",
         "ray/requirements-ray.txt": "ray\n"}  # fmt: skip


def in_git(directory: Path, *words: str) -> str:
    """Run git and return what it prints."""
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout.strip()


def made(directory: Path, files: Mapping[str, str]) -> Path:
    """A repository with one commit on main."""
    directory.mkdir(parents=True)
    in_git(directory, "init", "-q", "-b", "main")
    unpacked(directory, files)
    in_git(directory, "add", ".")
    in_git(directory, "commit", "-qm", "first")
    return directory


def unpacked(directory: Path, files: Mapping[str, str]) -> Path:
    """The same files without git."""
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


def job(repo: Path | str, **changes: Any) -> Job:
    """A job that trains train.py of a repository."""
    return Job(**{"repo": str(repo), "entrypoint": "train.py", **changes})


def codes(found: repository.Findings, level: str = "error") -> list[str]:
    """Codes of the findings of one level."""
    return [problem.code for problem in found.problems if problem.level == level]
