"""What a machine finds in its root before it starts, and what its user data say of the job."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def user_data(root: Path, content: bytes) -> Path:
    """Write the user data, which hold the stack's secret, for this user alone."""
    path = root / "user_data"
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(content)
    return path


def program(root: Path, user_data: bytes) -> None:
    """Leave the decoded node program where an earlier boot would have; the boot text checks its SHA-256."""
    from cloud import userdata  # needs Jinja2, which nothing else of a machine does
    from cloud.template import archive

    try:
        text = archive.text(userdata.node_program(user_data.decode()))
    except ValueError:  # none in it, or a damaged one: the boot text says so
        return
    path = root / "opt/hotrun/program.text"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)


def job_of(user_data: bytes) -> dict[str, Any]:
    """The job's line of a user data, without what is secret in it; empty when there is none."""
    for line in user_data.splitlines():
        if not line.startswith(b"{"):
            continue
        try:
            job = json.loads(line)
        except ValueError:
            continue
        if isinstance(job, dict) and "entrypoint" in job:
            return {
                key: value for key, value in job.items() if key not in ("secret", "signal", "signal_token")
            }
    return {}
