"""The text of a job.sbatch -> what it asks of a cluster. Pure.

Only what decides how a cluster must look is read: `#SBATCH` lines as sbatch reads them, up to the first line
that is neither empty nor a comment.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloud.errors import Problem, ProblemsFound

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_NODES = 16  # each is a slurmd and a rank with torch, on one computer
_SHORT = {
    "A": "account", "C": "constraint", "G": "gpus", "J": "job-name", "N": "nodes", "c": "cpus-per-task",
    "n": "ntasks", "o": "output", "p": "partition", "q": "qos", "t": "time", "w": "nodelist", "x": "exclude",
}  # fmt: skip
_UNITS_MB = {"": 1.0, "K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0**2}
_FEATURE = re.compile(r"[A-Za-z0-9_.-]+")
_MADE = re.compile(r"# Made by hotrun\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a job asks of a cluster."""

    nodes: int
    partitions: tuple[str, ...] = ()
    cpus: int = 1
    """On each node."""
    memory_mb: int = 0
    """On each node; 0 for whatever there is."""
    gpus: int = 0
    """On each node."""
    features: tuple[str, ...] = ()
    name: str = "job"
    nodelist: str = ""
    """Nodes of the real cluster that are named; this one has others."""


def begins_as_one(text: str) -> bool:
    """Whether a file is a batch script and not a template: `#!` first, and `#SBATCH` lines."""
    return text.startswith("#!") and any(line.startswith("#SBATCH") for line in text.splitlines()[:200])


def is_ours(text: str) -> bool:
    """Whether `generate --target slurm` made it."""
    return begins_as_one(text) and any(map(_MADE.match, text.splitlines()[1:2]))


def read(text: str, where: str, workers: int | None = None) -> Asked:
    """What the job asks for. Raises ProblemsFound for more nodes than fit, or numbers that are none.

    `workers` beside the first node take the place of --nodes.
    """
    told = options(text)
    problems: list[Problem] = []
    number = _Numbers(told, where, problems)
    nodes = number.of("nodes", 1, low=True) if workers is None else workers + 1
    tasks = number.of("ntasks-per-node", 1)
    gpus = max(number.of("gpus-per-node", 0), _gres(told.get("gres", "")))
    gpus = max(gpus, -(-number.of("gpus", 0) // max(nodes, 1)))
    cpus = number.of("cpus-per-task", 1) * tasks
    per_cpu = _megabytes(told.get("mem-per-cpu", "0")) * cpus
    if nodes > MAX_NODES:
        what = f"{where} asks for {nodes} nodes, but a rehearsal has at most {MAX_NODES}"
        fix = f"--workers {MAX_NODES - 1}, or fewer: --workers 1 shows the same"
        problems.append(Problem(code="too-many-machines", what=what, where=where, fix=fix))
    if problems:
        raise ProblemsFound(*problems)
    return Asked(
        nodes=nodes, cpus=cpus, gpus=gpus, memory_mb=max(_megabytes(told.get("mem", "0")), per_cpu),
        partitions=tuple(part for part in told.get("partition", "").split(",") if part),
        features=tuple(_FEATURE.findall(told.get("constraint", ""))),
        name=told.get("job-name", "job"), nodelist=told.get("nodelist", ""),
    )  # fmt: skip


def options(text: str) -> dict[str, str]:
    """Long name -> value of all `#SBATCH` lines; a switch has an empty value."""
    found: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        if line.startswith("#SBATCH"):
            found.update(_words(line[len("#SBATCH") :]))
        elif line.strip() and not line.startswith("#"):
            break
    return found


def _words(line: str) -> Mapping[str, str]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # sbatch will say what it thinks of that
        return {}
    found, short = {}, ""
    for word in words:
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            found[name], short = value, name
        elif word.startswith("-") and len(word) > 1:
            short = _SHORT.get(word[1], word[1])
            found[short] = word[2:].removeprefix("=")
        elif short:
            found[short], short = word, ""
    return found


class _Numbers:
    def __init__(self, told: Mapping[str, str], where: str, problems: list[Problem]) -> None:
        self._told, self._where, self._problems = told, where, problems

    def of(self, name: str, otherwise: int, *, low: bool = False) -> int:
        """The number of an option; `low` takes 2 of 2-4; what stands before a colon is a type."""
        text = self._told.get(name, "")
        if not text:
            return otherwise
        text = text.partition("-")[0] if low else text.rpartition(":")[2]
        if text.isdigit() and (int(text) or otherwise == 0):
            return int(text)
        what = f"#SBATCH --{name} is {self._told[name]}, which is no number"
        self._problems.append(Problem(code="slurm-option-invalid", what=what, where=self._where))
        return otherwise


def _gres(text: str) -> int:
    """GPUs of `gpu:a100:2,tmpfs:10G`."""
    parts = [part.split(":") for part in text.split(",") if part.startswith("gpu")]
    return sum(int(part[-1]) if part[-1].isdigit() else 1 for part in parts)


def _megabytes(text: str) -> int:
    match = re.fullmatch(r"(\d+)([KMGT]?)B?", text.strip(), re.IGNORECASE)
    return int(int(match[1]) * _UNITS_MB[match[2].upper()]) if match else 0
