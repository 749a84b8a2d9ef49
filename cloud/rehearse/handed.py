"""What a machine finds in its root before it starts, and what its user data say of the job."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cloud.rehearse import roots

if TYPE_CHECKING:
    from pathlib import Path

_SHARED = "var/lib/hotrun/shared"  # as in cloud/node/share.py
STAND_INS = {"namespace": "bind mount", "process": "symbolic link"}  # level -> what a share is there


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


def share(root: Path, master: Path, level: str) -> tuple[Path, Path] | None:
    """Prepare the directory of `--share` in a machine's root: (master's, own) where it is to be mounted."""
    own, source = root / _SHARED, master / _SHARED
    if own.is_symlink():
        own.unlink()
    if level == "process" and root != master:
        roots.remove(own)
        own.parent.mkdir(parents=True, exist_ok=True)
        own.symlink_to(source)
    else:
        own.mkdir(parents=True, exist_ok=True)
    return (source, own) if level == "namespace" and root != master else None


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
