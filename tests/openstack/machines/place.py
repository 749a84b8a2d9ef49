"""Where the cloud is, and where machines are kept: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One lab's machines."""

    namespace: Path
    """The network namespace in which the cloud's services listen, as a file."""
    api: str
    """The address of every public endpoint, which machines reach; dialled in that namespace."""
    secret: str
    """The secret that Nova's metadata service shares with its proxy."""
    directory: Path
    """A short path of our own; roots, logs and labs are below it."""
    warm: Path
    """Where compiled modules are kept for machines to come, on the same disk."""
    login: str = "ubuntu"
    """The user of `ssh`, as the profile says."""
    cpus: int = 1
    """Cores that each machine uses."""
    metadata_port: int = 8775
    poll_s: float = 1.5
    """Between two looks at Nova."""

    @property
    def logs(self) -> Path:
        """What machines write to their console, a file each."""
        return self.directory / "logs"

    def log(self, name: str, server_id: str) -> Path:
        """The console of one server."""
        return self.logs / f"{name}-{server_id[:8]}.log"

    def root(self, server_id: str) -> Path:
        """The disk of one server."""
        return self.directory / server_id[:8]
