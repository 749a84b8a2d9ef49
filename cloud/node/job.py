"""The job line -> `Job`. Pure."""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import dataclass, fields
from typing import Any

COORDINATOR_PORT = 5170  # on the master's private address; the security group lets members reach it


@dataclass(frozen=True)
class Job:
    """What Heat wrote into the user data: see docs/decisions/0001-the-spine.md for the keys."""

    repo: str
    entrypoint: str
    master: str
    secret: str
    schema: int = 1
    ref: str = ""
    requirements: str = "."
    args: str = ""
    setup: str = ""
    env: tuple[str, ...] = ()
    engine: str = "auto"
    max_hours: float = 24.0
    nproc_per_node: str = "auto"
    torch_index: str = "auto"
    allow_single: str = "no"
    restarts: int = 1
    adapt: str = "no"
    swap: str = ""
    share: str = ""
    cidr: str = ""
    boot_timeout_s: int = 3000
    signal: str = ""
    signal_url: str = ""
    signal_token: str = ""

    @property
    def program_path(self) -> str:
        """The entrypoint inside the repository."""
        return posixpath.normpath(posixpath.join(self.requirements or ".", self.entrypoint))

    @property
    def secrets(self) -> list[str]:
        """Words that no log may hold: the stack's own, and values of variables named like secrets."""
        pairs = [pair.partition("=") for pair in self.env]
        named = [value for name, _, value in pairs if _SECRET.search(name) and len(value) > 5]
        return [*named, *(word for word in (self.secret, self.signal_token) if len(word) > 5)]


_SECRET = re.compile("TOKEN|SECRET|PASSW|CREDENTIAL|_KEY$", re.IGNORECASE)


def read(text: str) -> Job:
    """Parse the job line.

    Heat hands numbers over as numbers or as strings, and what is not set as null: both are accepted.
    Raises ValueError or KeyError when it is not a job.
    """
    raw: dict[str, Any] = json.loads(text)
    values: dict[str, Any] = {}
    for field in fields(Job):
        value = raw.get(field.name)
        if value is None:
            continue
        values[field.name] = _CONVERT.get(str(field.type), str)(value)
    return Job(**values)


def _text_or_json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_CONVERT: dict[str, Any] = {
    "int": lambda value: int(float(value)),
    "float": float,
    "str": _text_or_json,
    "tuple[str, ...]": lambda value: tuple(str(item) for item in value),
}
