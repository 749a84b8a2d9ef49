"""The proof files of all ranks -> was this one distributed run? Pure.

Proven means: as many ranks as the nodes were to run, each (node, local rank) once, all with the same world
size, each having completed a collective on the whole group. With one rank expected, a clean end is enough.
Bytes, steps and checksums are reported and never decide.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Sequence

from .failure import problem


@dataclass(frozen=True)
class Judgement:
    """What the files prove."""

    expected: int
    proven: int
    backend: str
    gradient_bytes: int
    problem: dict[str, Any] | None
    warnings: tuple[dict[str, Any], ...] = ()
    """Problems of the level `warning`."""

    def world_size(self) -> dict[str, Any]:
        """The form of `world_size` in the status document."""
        return {"expected": self.expected, "proven": self.proven, "backend": self.backend}


def judge(
    files: Sequence[dict[str, Any]],
    expected: int,
    *,
    ended_well: bool = True,
    hint: str = "",
    allow_single: bool = False,
) -> Judgement:
    """Judge the proof files of one attempt.

    `ended_well`: every rank ended with 0; `hint`: the line of the script to change, or empty.
    """
    complete = [each for each in files if each["collectives"] > 0 and each["world_size"] == expected]
    seats = {(each["node"], each["local_rank"]) for each in complete}
    backend = complete[0]["backend"] if complete else "none"
    gradient_bytes = sum(each["gradient_bytes"] for each in complete)
    if expected == 1 and ended_well:
        return Judgement(1, 1, files[0]["backend"] if files else "none", gradient_bytes, None)
    if len(seats) == expected and len(complete) == len(files):
        return Judgement(expected, expected, backend, gradient_bytes, None, warnings(complete))
    found = None if allow_single else _not_distributed(files, expected, hint)
    proven = _largest_group(files) or int(ended_well)
    return Judgement(expected, proven, backend, gradient_bytes, found)


def warnings(files: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """What the files of one run say beside the proof: DDP ranks that ended with parameters of their own."""
    sums = {
        each["rank"]: each["checksum"]
        for each in sorted(files, key=lambda each: each["rank"])
        if each.get("state") != "failed" and each.get("checksum") is not None
    }
    if len(set(sums.values())) < 2:
        return ()
    usual = Counter(sums.values()).most_common(1)[0][0]
    same, other = ([rank for rank in sums if (sums[rank] == usual) is side] for side in (True, False))
    what = f"{_ranks(other)} ended with other parameters than {_ranks(same)}"
    fix = "look for no_sync(), parameters set by hand, or weights that one rank alone loads"
    return (problem("parameters-differ", what, fix=fix, level="warning"),)


def _ranks(ranks: Sequence[int]) -> str:
    listed = ", ".join(map(str, ranks[:8])) + (" and others" if len(ranks) > 8 else "")
    return f"rank{'s' if len(ranks) > 1 else ''} {listed}"


def _largest_group(files: Sequence[dict[str, Any]]) -> int:
    """Ranks that really met: the most files that name the same world size above one, or 0."""
    sizes = Counter(
        each["world_size"] for each in files if each["collectives"] > 0 and each["world_size"] > 1
    )
    return min(sizes.most_common(1)[0]) if sizes else 0


def _not_distributed(files: Sequence[dict[str, Any]], expected: int, hint: str) -> dict[str, Any]:
    sizes = Counter(each["world_size"] for each in files)
    silent = expected - len(files)
    if files and any(size > 1 for size in sizes) and not any(each["collectives"] for each in files):
        what = f"{len(files)} ranks met, but none completed a collective on the whole group"
    elif not files or set(sizes) == {1}:
        what = f"{expected} separate runs of world size 1: each machine trained alone"
    else:
        parts = [f"{count} of world size {size}" for size, count in sorted(sizes.items())]
        parts += [f"{silent} that never met anybody"] if silent > 0 else []
        what = f"not one run of {expected} ranks: " + ", ".join(parts)
    fix = "use torch.distributed or a Lightning Trainer without num_nodes=, or generate with --allow-single"
    return problem("not-distributed", what, where=hint, fix=fix)
