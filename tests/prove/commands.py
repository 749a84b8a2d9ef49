"""Commands as a person types them, under `hotrun prove` and without it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.prove.recipes import MACHINES, PROGRAMS, ROOT, clean_environment

DEADLINE_S = 120
PROVE = (sys.executable, str(ROOT / "cloud" / "generator.py"), "prove")
RANKS = "MASTER_ADDR=$A MASTER_PORT=$P RANK=$I LOCAL_RANK=$I WORLD_SIZE=2 exec"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """What `hotrun prove --json` ended with."""

    code: int
    document: dict[str, Any]
    records: list[dict[str, Any]]
    """Of the ranks, in their order."""
    output: str

    @property
    def codes(self) -> list[str]:
        """Of the problems."""
        return [problem["code"] for problem in self.document["problems"]]


def proved(directory: Path, *command: str, **environment: str) -> Proved:
    """Run a command under `prove --json`, its records kept in `directory`."""
    words = (*PROVE, "--json", "--proof-dir", str(directory / "proof"), "--", *command)
    done = run(words, **environment)
    files = sorted((directory / "proof").glob("rank*.json"))
    records = sorted((json.loads(file.read_text()) for file in files), key=lambda record: record["rank"])
    assert done.stdout, done.stderr
    return Proved(code=done.returncode, document=json.loads(done.stdout), records=records, output=done.stderr)


def two_ranks(directory: Path, line: str, **environment: str) -> Proved:
    """`line` twice, with the variables of two ranks, under prove."""
    return proved(directory, *pair(directory, f"{RANKS} {line}"), **environment)


def pair(directory: Path, line: str) -> list[str]:
    """The command that runs a line of bash twice at the same time."""
    return [sys.executable, str(MACHINES), "2", str(directory / "answer"), line]


def last_lines(directory: Path) -> list[str]:
    """What each process of `pair` printed last."""
    found: list[str] = json.loads((directory / "answer").read_text())["last"]
    return found


def run(words: tuple[str, ...], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run to the end, in the directory of the programs."""
    variables = {**clean_environment(str(free_port())), **environment}
    return subprocess.run(words, cwd=PROGRAMS, env=variables, capture_output=True, text=True,
                          timeout=DEADLINE_S, check=False)  # fmt: skip
