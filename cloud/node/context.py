"""What the stages share: who this node is, where things lie, how to speak and to run something."""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Mapping, Sequence

from . import process
from .console import format_line
from .coordinator import Coordinator
from .failure import StageFailed
from .host import Host
from .index import uv_settings
from .job import Job
from .layout import Layout
from .link import Link
from .machine import Identity

PIP_CONFS = ("/etc/pip.conf", "/etc/xdg/pip/pip.conf")
_INHERITED = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_TRUSTED_HOST",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_STRATEGY",
    "UV_FIND_LINKS",
    "UV_INSECURE_HOST",
    "UV_TORCH_BACKEND",
    "UV_CACHE_DIR",
    "CUDA_VISIBLE_DEVICES",
    "HOTRUN_REHEARSAL",
)
_SAY_EVERY_S = 10.0
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Console:
    """The node's standard output: stage lines, and the lines of ranks."""

    def __init__(self, node: str) -> None:
        self._node, self._lock = node, threading.Lock()

    def stage(self, **fields: object) -> None:
        """One console line (console.py)."""
        self.say(format_line(node=self._node, **fields))

    def say(self, line: str) -> None:
        """One whole line, whoever else speaks."""
        with self._lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


@dataclass
class Context:
    """One start of the node program. The stages fill in what later ones need."""

    job: Job
    layout: Layout
    host: Host
    console: Console
    identity: Identity
    link: Link | None = None
    coordinator: Coordinator | None = None
    run: str = ""
    attempt: int = 1
    stage: str = ""
    log: IO[str] = sys.stdout
    found: dict[str, Any] = field(default_factory=dict)
    """What a stage found out for the later ones: commit, engine, python, owner, ranks …"""
    passed: set[str] = field(default_factory=set)
    """Stages that need not be walked through again by this start."""
    ends_at: float = math.inf
    """When the program must end, so that results are home before the machine powers off; since 1970."""
    off_at: float = math.inf
    """When the machine powers off; since 1970."""
    waited_for: str = ""
    """What the stage said last that it waits for."""
    _last_said: float = 0.0

    @property
    def own_directory(self) -> Path:
        """What this node itself produces: proof and results, before they go to the master."""
        return self.layout.here(self.run, self.attempt)

    @property
    def program_directory(self) -> Path:
        """Where the user's program runs: the requirements' directory of the checkout."""
        return self.layout.checkout(self.run) / (self.job.requirements or ".")

    def searched(self) -> list[Path]:
        """Where checkpoints are looked for."""
        return [self.layout.checkpoints(self.run), self.own_directory / "results", self.program_directory]

    @property
    def tag(self) -> str:
        """Carried by every process that this node program starts."""
        return f"{self.layout.root}#{self.identity.name}"

    def begin(self, stage: str, log: IO[str]) -> None:
        """Enter a stage: its log, and two seconds before it says what it waits for."""
        self.stage, self.log, self.waited_for = stage, log, ""
        self._last_said = time.monotonic() - _SAY_EVERY_S + 2

    def begin_attempt(self, attempt: int) -> None:
        """From now on everything belongs to this attempt."""
        self.attempt = self.connected().attempt = attempt
        owner = self.found.get("owner")
        for path in (
            *(self.own_directory / kind for kind in ("proof", "results")),
            self.layout.checkpoints(self.run),
        ):
            path.mkdir(parents=True, exist_ok=True)
            if owner:
                os.chown(path, owner.uid, owner.gid)

    def waiting(self, sentence: str) -> None:
        """Say what a wait waits for, now and then."""
        self.waited_for = sentence
        if time.monotonic() - self._last_said > _SAY_EVERY_S:
            self._last_said = time.monotonic()
            self.console.say(f"{self.identity.name}: {sentence}")

    def connected(self) -> Link:
        """The link to the master; every stage after `network` has one."""
        assert self.link is not None, "stage network comes first"
        return self.link

    def base_environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """A process's environment: an allowlist, and nothing else of ours."""
        inherited = {name: os.environ[name] for name in _INHERITED if os.environ.get(name)}
        path = os.environ.get("PATH") or SYSTEM_PATH
        return {
            **inherited,
            **_pip_as_uv(inherited),
            "PATH": path,
            "LANG": "C.UTF-8",
            "HOME": str(self.layout.home),
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
            process.TAG: self.tag,
            "SPT_NOENV": "1",  # setproctitle, Ray's too, else writes over the environment: no tag
            "PYTHONUNBUFFERED": "1",
            **(extra or {}),
        }

    def execute(
        self,
        argv: Sequence[str],
        *,
        deadline: float,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> tuple[int, list[str]]:
        """Run a command of a stage into its log; see process.run. Stops with the run.

        As the program's own user once there is one: what a repository brings runs as nobody else.
        """
        link = self.link
        try:
            return process.run(
                argv,
                env=self.base_environment(env),
                cwd=cwd or self.layout.state,
                log=self.log,
                deadline=deadline,
                cancelled=link.is_over if link else lambda: False,
                owner=self.found.get("owner"),
                secrets=self.job.secrets,
            )
        except process.Cancelled:
            self.connected().raise_if_over()
            raise
        except process.TookTooLong as error:
            raise StageFailed("deadline", f"{self.stage} took too long: {' '.join(argv)[:200]}") from error
        except OSError as error:
            raise StageFailed("program-missing", f"{argv[0]} can't be started: {error}") from error


def write_json(path: Path, document: Any) -> None:
    """Write a JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(document, indent=1) + "\n")
    partial.replace(path)


def _pip_as_uv(environ: Mapping[str, str]) -> dict[str, str]:
    texts = []
    for name in PIP_CONFS:
        try:
            texts.append(Path(name).read_text())
        except OSError:
            continue
    return uv_settings(environ, texts)
