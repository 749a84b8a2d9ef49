"""The gate's judgement: what machines tell of themselves in, the first culprit or a table out. Pure.

`facts` are those of survey.py, one dict for each machine by rank; what a machine does not tell is not judged.
"""

from __future__ import annotations

from typing import Any, Callable, Sequence

from .console import node_name
from .failure import problem

ALL_PAIRS = 32  # machines up to which each tries all others
MAX_SKEW_S = 30.0  # certificates and the order of log lines bear this much
_GIB, _MIB = 2**30, 2**20
_RANK_BYTES = 350 * _MIB  # a rank that has imported torch
_SAME = "start all machines from the same template and image"
_ALIKE = {
    "commit": ("commit-differs", "trains another commit", _SAME),
    "python": ("python-differs", "has another Python", _SAME),
    "torch": ("torch-differs", "has another torch", "pin torch in requirements.txt"),
    "lock": ("lock-differs", "has other packages", _SAME),
    "ranks": ("ranks-differ", "would run another number of ranks", "say how many with --nproc-per-node"),
}


def difference(facts: Sequence[dict[str, Any]], heard: Sequence[float]) -> tuple[int, dict[str, Any]] | None:
    """The first machine that differs from the master or lacks something, with its problem; else None.

    The order: commit, Python, torch, lock, ranks, clock, disk, memory, GPUs. A local version label of torch
    (`+cpu`) is no difference: nodes with and without a GPU may train together. Only nodes of one kind have
    the same lock. `heard`: the coordinator's clock in seconds, any epoch, when each machine's facts came.
    """
    for key, (code, sentence, fix) in _ALIKE.items():
        for rank, each in enumerate(facts):
            like = next(one for one in facts if key != "lock" or one.get("kind") == each.get("kind"))
            actual, expected = (str(one.get(key, "")).partition("+")[0] or "none" for one in (each, like))
            if actual != expected:
                return rank, _found(
                    code, f"{node_name(rank)} {sentence}: {actual} instead of {expected}", fix
                )
    clock = _clock(_skews(facts, heard))
    if clock:
        return clock
    for code, (lacks, fix) in _NEEDED.items():
        for rank, each in enumerate(facts):
            what = lacks(each)
            if what:
                return rank, _found(code, f"{node_name(rank)} {what}", fix)
    return None


def partners(rank: int, nnodes: int) -> list[int]:
    """The machines that machine `rank` tries; whom it tries tries it.

    All others up to `ALL_PAIRS` machines, beyond that its neighbours 1, 2, 4 … 128 further on both sides.
    """
    if nnodes <= ALL_PAIRS:
        near = set(range(nnodes))
    else:
        near = {(rank + side * 2**power) % nnodes for power in range(8) for side in (1, -1)}
    return sorted(near - {rank})


def unreachable(
    reports: dict[int, dict[str, str]], places: Sequence[str]
) -> tuple[int, dict[str, Any]] | None:
    """The machine that most others can't reach, or that can't reach most others, and its problem.

    `reports`: by the rank that tried, {rank: why} for all that it could not reach. `places`: by rank,
    `worker-1 at 10.8.0.12`. When one direction between two machines is closed, its end is named.
    """
    failed = [(rank, int(other), why) for rank, report in reports.items() for other, why in report.items()]
    if not failed:
        return None
    if len(failed) == sum(len(partners(rank, len(places))) for rank in range(len(places))):
        rank, what = 0, f"no machine reaches another: {places[failed[0][1]]}, {failed[0][2]}"
    else:
        sides = [side for one in failed for side in one[:2]]
        targets = [one[1] for one in failed]
        rank = max(set(sides), key=lambda side: (sides.count(side), targets.count(side), side))
        into, out = ([one for one in failed if one[end] == rank] for end in (1, 0))
        worse, verb = (into, "be reached by") if len(into) >= len(out) else (out, "reach")
        who = f"{len(worse)} machines" if len(worse) > 1 else places[sum(worse[0][:2]) - rank]
        what = f"{places[rank]} can't {verb} {who}: {worse[0][2]}"
    fix = "let the cluster's machines reach each other on all TCP ports: security group, host firewall"
    return rank, _found("port-closed", what, fix)


def table(facts: Sequence[dict[str, Any]], names: Sequence[str], heard: Sequence[float] = ()) -> list[str]:
    """A heading and one aligned line for each machine; a clock is told as its distance from the master's.

    A machine without facts has only its name, which may say more: `worker-2 (last heard in source, 4 s ago)`.
    """
    skews = _skews(facts, heard)
    rows = [_HEADING]
    for rank, each in enumerate(facts):
        if each:
            got = {**each, "name": names[rank], "commit": str(each.get("commit", ""))[:7]}
            got["clock"] = f"{skews[rank]:+.1f} s" if rank in skews else ""
            for key in ("disk", "memory"):
                got[key] = f"{each.get(key, 0) / _GIB:.1f} GiB"
            rows.append([str(got.get(key, "")) or "-" for key in _HEADING])
    widths = [max(map(len, column)) for column in zip(*rows)]  # noqa: B905 - 3.10
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return lines + [names[rank] for rank, each in enumerate(facts) if not each]


_HEADING = [
    "name", "address", "interface", "mtu", "clock", "python", "torch", "ranks", "gpus", "disk", "memory",
    "commit",
]  # fmt: skip


def _found(code: str, what: str, fix: str) -> dict[str, Any]:
    return problem(code, what, fix=fix, stage="rendezvous")


def _skews(facts: Sequence[dict[str, Any]], heard: Sequence[float]) -> dict[int, float]:
    """Seconds by which each clock is ahead of the master's; the way here takes the same for all of them."""
    ahead = {rank: facts[rank]["clock"] - at for rank, at in enumerate(heard) if "clock" in facts[rank]}
    return {rank: skew - ahead[0] for rank, skew in ahead.items()} if 0 in ahead else {}


def _clock(skews: dict[int, float]) -> tuple[int, dict[str, Any]] | None:
    """The first clock that is far from the master's; the master's own when most of several differ from it."""
    wrong = [rank for rank, skew in skews.items() if abs(skew) > MAX_SKEW_S]
    if not wrong:
        return None
    rank, whose = wrong[0], "the master's"
    skew = skews[rank]
    if len(wrong) > 1 and 2 * len(wrong) > len(skews):
        rank, skew, whose = 0, -skew, "the others'"
    what = f"{node_name(rank)}'s clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} {whose}"
    return rank, _found("clock-differs", what, "let the image's chrony or NTP reach a time server")


def _lacks_disk(each: dict[str, Any]) -> str:
    free = each.get("disk", _GIB)
    return f"has {free / _GIB:.1f} GiB of free disk" if free < _GIB else ""


def _lacks_memory(each: dict[str, Any]) -> str:
    needed = each.get("ranks", 1) * _RANK_BYTES
    free = each.get("memory", needed)
    if not each.get("torch") or free >= needed:
        return ""
    return f"has {free // _MIB} MiB of free memory, and its ranks of torch take {needed // _MIB}"


def _lacks_gpu(each: dict[str, Any]) -> str:
    return str(each.get("gpu_problem", ""))


_NEEDED: dict[str, tuple[Callable[[dict[str, Any]], str], str]] = {
    "disk-short": (_lacks_disk, "choose a flavor with a larger disk"),
    "memory-short": (_lacks_memory, "choose a flavor with more memory"),
    "gpu-unusable": (_lacks_gpu, "choose the index with --torch-index, or an image with another driver"),
}
