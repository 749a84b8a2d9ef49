"""Sentences that a rehearsal and a run on a cloud have in common: what trained, figures, errors. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cloud.errors import Problem

LOG_LINES_SHOWN = 8
_FIGURES = ("result.json", "metrics.csv", "loss.png", "predictions.csv")


def machines(count: int) -> str:
    """`1 machine`, `3 machines`."""
    return f"{count} machine" + ("" if count == 1 else "s")


class Proven(Protocol):
    """What a sentence about a run that ended well is made of."""

    @property
    def nodes(self) -> Sequence[object]:
        """Its machines."""

    @property
    def expected(self) -> int:
        """Ranks that there should have been."""

    @property
    def proven(self) -> int:
        """Ranks that trained together."""

    @property
    def backend(self) -> str:
        """`gloo`, `nccl`, `none` or empty."""

    @property
    def gradient_bytes(self) -> int:
        """Bytes of gradients that were exchanged."""


def as_one(run: Proven) -> str:
    """`3 machines trained as one (world size 3 of 3, gloo, 310 MB of gradients)`."""
    backend = run.backend if run.backend != "none" else ""
    details = [f"world size {run.proven} of {run.expected}", backend]
    if run.gradient_bytes:
        details.append(f"{size(run.gradient_bytes)} of gradients")
    told = ", ".join(detail for detail in details if detail)
    if run.proven < run.expected:
        return f"{machines(len(run.nodes))} trained separately, which was allowed ({told})"
    how = "trained as one" if len(run.nodes) > 1 else "trained"
    return f"{machines(len(run.nodes))} {how} ({told})"


def figures(result: Mapping[str, Any]) -> list[str]:
    """Return one line of what a program wrote into its result.json, or none."""
    parts = []
    accuracy = result.get("test_accuracy")
    if isinstance(accuracy, int | float):
        parts.append(f"test accuracy {accuracy * 100 if accuracy <= 1 else accuracy:.2f} %")
    epochs, seconds = result.get("epochs"), result.get("train_seconds")
    if isinstance(seconds, int | float):
        begin = f"{epochs} epoch{'' if epochs == 1 else 's'} in" if isinstance(epochs, int) else "trained for"
        parts.append(f"{begin} {seconds:.1f} s")
    speed = result.get("images_per_second")
    if isinstance(speed, int | float):
        parts.append(f"{speed:,.0f} images/s")
    return ["   ".join(parts)] if parts else []


def where(run_dir: Path, steps: Sequence[str]) -> list[str]:
    """Return where the results lie, and what to type next."""
    kept = [name for name in _FIGURES if (run_dir / "results" / name).exists()]
    found = [f"results/{name}" for name in kept]
    found += [f"{name}/" for name in ("logs", "proof") if (run_dir / name).is_dir()]
    directory = f"{run_dir}/"
    width = max(len(directory), len("next")) + 4
    labels = ["next", *[""] * (len(steps) - 1)] if steps else []
    return [
        f"{directory:{width}}{'  '.join(found)}".rstrip(),
        *(f"{label:{width}}{step}" for label, step in zip(labels, steps, strict=True)),
    ]


def explained(errors: Sequence[tuple[int, Problem]], run_dir: Path, places: Mapping[int, str]) -> list[str]:
    """Return the first error with its last lines and how to mend it, the others in a line each."""
    index, first = errors[0]
    lines = [f"  {_sentence(first)}"]
    lines += [f"    {line[:200]}" for line in first.log[-LOG_LINES_SHOWN:]]
    if first.fix:
        lines.append(f"  fix    {first.fix}")
    if index in places:
        lines.append(f"  log    {run_dir / places[index]}")
    lines.append(f"  docs   {first.docs}")
    lines += [
        f"  also   {problem.node + ': ' if problem.node else ''}{problem.what}" for _, problem in errors[1:10]
    ]
    if len(errors) > 10:
        lines.append(f"  and {len(errors) - 10} more")
    return lines


def _sentence(problem: Problem) -> str:
    return f"{problem.where}: {problem.what}" if problem.where else problem.what


def other_problems(problems: Sequence[Problem]) -> list[str]:
    """Return a line for each warning and note."""
    others = (problem for problem in problems if problem.level != "error")
    return [f"{_TOLD_AS.get(problem.code, problem.level)}: {problem.what}" for problem in others]


_TOLD_AS = {"recovered": "recovered", "tried-again": "tried again"}  # code of a note -> its own word


def size(count: float) -> str:
    """Bytes for people: `310 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:,.0f} {unit}" if unit != "GB" else f"{count:,.1f} GB"
        count /= 1000
    raise AssertionError("unreachable")
