"""Another Python, for what can be done to a process only once: limits of its memory, the peak of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PAYLOAD = Path(__file__).resolve().parents[2] / "payload"


def child(program: str, *arguments: str) -> list[str]:
    """Lines that a program prints which sees the payload's modules."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments],
        capture_output=True, text=True, cwd=PAYLOAD, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
