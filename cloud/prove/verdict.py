"""The records of a command's processes -> what it was: one run, several, or none. Pure.

Records are the probe's (cloud/node/probe.py: one per rank that joined a process group) and those of
inside.py (one per process). Ranks belong together when they met, which the group's own store tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from cloud.errors import Problem
from cloud.node import proof

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Record = Mapping[str, Any]

RECIPES = "docs/silent-single.md has the launches that end like this, each with the edit that mends it"
_UNSEEN = "not seen are interpreters with -I, -E or -S, and those whose PYTHONPATH the command sets itself"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Ranks that met in one process group."""

    world_size: int
    ranks: tuple[int, ...]
    """Those that left a record."""
    silent: tuple[int, ...]
    """Those of them that completed no collective on the whole group."""
    hosts: int
    backend: str
    collectives: int
    """Of the rank that completed the fewest."""
    gradient_bytes: int
    """Of all ranks together."""
    began: float
    ended: float
    """Seconds since 1970: of the first rank's start, and of the last thing that a rank recorded."""
    is_over: bool
    """Whether a rank came to its end by itself: it was no attempt that broke off."""
    warnings: tuple[Problem, ...]

    @property
    def is_proven(self) -> bool:
        """Whether every rank of the group was seen, each having done something with all others."""
        return len(self.ranks) == self.world_size and not self.silent

    def __str__(self) -> str:
        """`world size 4 over 2 hosts, gloo, 310 MB of gradients`."""
        where = f"over {self.hosts} hosts" if self.hosts > 1 else "on one host"
        done = _count(self.collectives, "collective")
        if self.gradient_bytes:
            done = f"{_size(self.gradient_bytes)} of gradients"
        return f"world size {self.world_size} {where}, {self.backend}, {done}"

    def as_json(self) -> dict[str, Any]:
        """The form of `runs` in the JSON document."""
        return {
            "world_size": self.world_size, "ranks": list(self.ranks), "hosts": self.hosts,
            "backend": self.backend, "collectives": self.collectives, "gradient_bytes": self.gradient_bytes,
            "proven": self.is_proven,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a command's processes were."""

    what: str
    """One sentence."""
    code: str = ""
    """Of the problem, or empty when the command was distributed."""
    fix: str = ""
    runs: tuple[Run, ...] = ()
    """Those of more than one rank, in the order of their starts."""
    alone: int = 0
    """Processes that trained without another."""
    warnings: tuple[Problem, ...] = ()


def verdict(records: Iterable[Record]) -> Verdict:
    """Judge the records of one command."""
    listed = list(records)
    ranks = [record for record in listed if "rank" in record]
    in_a_group = {(record["node"], record["pid"]) for record in ranks}
    outside = [record for record in listed if "stage" in record and _process(record) not in in_a_group]
    alone = [record for record in outside if record["stage"] == "alone"]
    alone += [record for record in ranks if record["world_size"] == 1]
    runs = _runs([record for record in ranks if record["world_size"] > 1])
    if runs:
        return _of_runs(runs, len(alone))
    if alone:
        return _of_lonely(len(alone))
    return _of_nothing({record["stage"] for record in outside})


def _runs(ranks: Sequence[Record]) -> tuple[Run, ...]:
    met: dict[object, list[Record]] = {}
    for record in ranks:
        met.setdefault(record.get("meeting") or tuple(record["peers"]), []).append(record)
    return tuple(sorted((_run(group) for group in met.values()), key=lambda run: run.began))


def _run(group: Sequence[Record]) -> Run:
    return Run(
        world_size=group[0]["world_size"],
        ranks=tuple(sorted({record["rank"] for record in group})),
        silent=tuple(sorted({record["rank"] for record in group if not record["collectives"]})),
        hosts=len({record["node"] for record in group}),
        backend=group[0]["backend"],
        collectives=min(record["collectives"] for record in group),
        gradient_bytes=sum(record["gradient_bytes"] for record in group),
        began=min(record["started"] for record in group),
        ended=max(record["started"] + record["seconds"] for record in group),
        is_over=any(record.get("state") == "exit" for record in group),
        warnings=tuple(Problem(**{**found, "log": ()}) for found in proof.warnings([dict(r) for r in group])),
    )


def _of_runs(runs: tuple[Run, ...], alone: int) -> Verdict:
    proven = [run for run in runs if run.is_proven]
    # what broke off before a proven run began was an attempt at it
    lacking = [
        run
        for run in runs
        if not run.is_proven and (run.is_over or not any(p.began >= run.ended for p in proven))
    ]
    shown, code, fix = "one run of " + str(runs[0]), "", ""
    if lacking:
        shown, code, fix = _of_lacking(lacking[0])
    elif any(a.began < b.ended and b.began < a.ended for a, b in combinations(proven, 2)):
        sizes = ", ".join(str(run.world_size) for run in proven)
        shown = f"{len(proven)} separate runs at the same time, of world size {sizes}"
        code, fix = "not-distributed", RECIPES
    elif len(proven) > 1:
        shown = f"{len(proven)} runs, one after the other: " + "; ".join(map(str, proven))
    else:
        shown = "one run of " + str(proven[0])
    if alone and not code:
        shown += f"; beside it {_count(alone, 'process')} trained alone"
        code, fix = "not-distributed", RECIPES
    warnings = tuple(warning for run in proven for warning in run.warnings)
    return Verdict(what=shown, code=code, fix=fix, runs=runs, alone=alone, warnings=warnings)


def _of_lacking(run: Run) -> tuple[str, str, str]:
    if len(run.ranks) < run.world_size:
        what = f"{len(run.ranks)} of the {run.world_size} ranks of a run left a record"
        return what, "proof-incomplete", "name a directory that all hosts share with --proof-dir; " + _UNSEEN
    if len(run.silent) == run.world_size:
        what = f"{run.world_size} ranks met, but none completed a collective on the whole group"
    else:
        what = f"{run.world_size} ranks met, but {len(run.silent)} of them completed no collective with all"
    return what, "not-distributed", "wrap the model in DistributedDataParallel, or reduce its gradients"


def _of_lonely(alone: int) -> Verdict:
    what = "one run of world size 1: a single process trained, alone"
    if alone > 1:
        what = f"{alone} separate runs of world size 1: each process trained alone"
    return Verdict(what=what, code="not-distributed", fix=RECIPES, alone=alone)


def _of_nothing(stages: set[str]) -> Verdict:
    if "torch" in stages:
        what = "no process trained: torch was imported, but no optimizer stepped and no group was joined"
        fix = ""
    elif stages:
        what, fix = "no process trained: nothing imported torch", _UNSEEN
    else:
        what, fix = "no process trained: the command started no Python that could be seen", _UNSEEN
    return Verdict(what=what, code="nothing-trained", fix=fix)


def _process(record: Record) -> tuple[str, int]:
    return record["node"], record["pid"]


def _count(number: int, noun: str) -> str:
    plural = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{plural if number != 1 else ''}"


def _size(number: int) -> str:
    """`310 MB`: three digits, powers of 1000."""
    value, units = float(number), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.3g} {units[0]}"
