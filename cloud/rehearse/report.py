"""What a rehearsal found, as the document of `--json` and as the screen that a person reads. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cloud.rehearse.sentences import as_one, explained, figures, other_problems, where

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.errors import Problem
    from cloud.rehearse.launch import Launch

State = Literal["done", "failed", "running"]

NOT_SHOWN = {
    "process": "ports, firewall, systemd, cloud-init, power-off",
    "namespace": "systemd, cloud-init, the image's own packages, reboot",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """How one machine fared."""

    name: str
    rank: int
    address: str
    state: str
    stages: dict[str, float]
    last_stage: str = ""
    """The stage that failed, else the one that the end of the run cut short, else the last."""

    def as_json(self) -> dict[str, Any]:
        """One entry of `nodes`."""
        return {
            "name": self.name, "rank": self.rank, "address": self.address,
            "state": self.state, "stages": self.stages,
        }  # fmt: skip

    def __str__(self) -> str:
        if self.state == "failed":
            return f"failed: {self.last_stage}" if self.last_stage else "failed"
        if self.state == "waiting":
            return "never started"
        if self.state in ("stopped", "running") and self.last_stage:
            return f"{'stopped' if self.state == 'stopped' else 'ended'} in {self.last_stage}"
        return self.state


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A rehearsal that started, and how it ended."""

    name: str
    level: str
    state: State
    exit_code: int
    expected: int
    proven: int
    backend: str
    gradient_bytes: int
    nodes: tuple[NodeReport, ...]
    result: dict[str, Any]
    run_dir: Path
    attempts: int
    problems: tuple[Problem, ...]
    seconds: float
    """From the first machine's start to the last one's end."""
    places: dict[int, str]
    """Index of a problem -> `logs/worker-1.log:118` where it can be read."""
    launch: Launch
    """How a cloud would be given the same."""

    def as_json(self) -> dict[str, Any]:
        """The document of `--json`, also kept as status.json."""
        return {
            "schema": 1, "name": self.name, "level": self.level,
            "state": self.state, "exit_code": self.exit_code,
            "world_size": {"expected": self.expected, "proven": self.proven, "backend": self.backend},
            "nodes": [node.as_json() for node in self.nodes],
            "result": self.result, "run_dir": str(self.run_dir), "attempts": self.attempts,
            "problems": [problem.as_json() for problem in self.problems],
        }  # fmt: skip

    def __str__(self) -> str:
        return "\n".join(_success(self) if self.state == "done" else _failure(self))

    @property
    def errors(self) -> list[tuple[int, Problem]]:
        """The problems that decided, with their index."""
        return [(index, problem) for index, problem in enumerate(self.problems) if problem.level == "error"]


def _success(report: Report) -> list[str]:
    lines = [as_one(report), *figures(report.result)]
    lines.append(f"not shown at this level: {NOT_SHOWN[report.level]}")
    lines += other_problems(report.problems)
    return [*lines, "", *_where(report)]


def _where(report: Report) -> list[str]:
    return where(report.run_dir, report.launch.steps(report.run_dir / "template.yml", report.name))


def _failure(report: Report) -> list[str]:
    errors = report.errors
    if not errors:
        return ["the rehearsal failed; nothing left running", "", *_states(report)]
    first = errors[0][1]
    if report.exit_code == 130:
        return [_headline(report, first), "", *_states(report)]
    lines = [_headline(report, first), "", *explained(errors, report.run_dir, report.places)]
    lines += other_problems(report.problems)
    states = [] if first.code == "not-distributed" else ["", *_states(report)]
    return [*lines, *states, "", f"kept in {report.run_dir}/"]


def _headline(report: Report, first: Problem) -> str:
    end = "all machines stopped, nothing left running"
    if report.exit_code == 130:
        return f"interrupted after {report.seconds:.0f} s; {end}; files are left in {report.run_dir}/"
    if report.exit_code == 6:
        why = (
            "the job could not start: given up" if first.code == "slurm-job-waits" else "the deadline passed"
        )
        return f"{why} after {report.seconds:.0f} s; {end}"
    if first.code == "not-distributed":
        return "every process ended with exit 0, but the machines did not train as one; nothing left running"
    if not first.node:
        return f"the rehearsal failed after {report.seconds:.0f} s; {end}"
    stage = f" in {first.stage}" if first.stage else ""
    stages = next((node.stages for node in report.nodes if node.name == first.node), {})
    after = f" after {_seconds(stages[first.stage])}" if first.stage in stages else ""
    return f"{first.node} failed{stage}{after}; {end}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _states(report: Report) -> list[str]:
    width = max(len(node.name) for node in report.nodes) + 3
    return [f"{node.name:{width}}{node}" for node in report.nodes]
