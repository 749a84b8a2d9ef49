"""`plan` as a person types it, and its answer."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.openstack.conftest import Hotrun
    from tests.openstack.projects import Project

MADE_S = 120
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4S1Fzs2aNn1dXY4hGXoqm3fUdW0O7r2nYt3kqYbU3e test"


def planned(hotrun: Hotrun, template: Path, *flags: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON document."""
    done = hotrun("plan", str(template), "--json", *flags)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def problems(found: dict[str, Any], level: str = "error") -> dict[str, dict[str, Any]]:
    """Problems of a level by code."""
    return {problem["code"]: problem for problem in found["problems"] if problem["level"] == level}


def flags(parameters: dict[str, Any]) -> list[str]:
    """As --parameter."""
    return [word for name, value in parameters.items() for word in ("--parameter", f"{name}={value}")]


def run_line(project: Project, line: str, place: Path) -> None:
    """Run what was printed, in a shell."""
    assert shlex.split(line)[:3] == ["openstack", "stack", "create"]
    environ = {"PATH": os.defpath, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **project.environ}
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=place,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=MADE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def machines(project: Project, name: str) -> list[str]:
    """Heat's status of each machine, once all are settled."""
    stack = project.cloud.stack(name)
    assert stack is not None
    until = time.monotonic() + MADE_S
    while time.monotonic() < until:
        found = [one.status for one in project.cloud.resources(stack.id) if one.machine]
        if len(found) == 2 and not any(status.endswith("IN_PROGRESS") for status in found):
            return found
        time.sleep(1)
    return found
