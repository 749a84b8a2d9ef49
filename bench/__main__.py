"""`python -m bench`: measure, then write docs/performance.md and its plots.

    python -m bench                     everything that is not in .build/benchmark/results.jsonl yet
    python -m bench --fresh             everything anew
    python -m bench --quick             each thing once, with few steps, into .build/benchmark/quick/
    python -m bench --only ray,links    these groups
    python -m bench --report            the page from the results that are there

A missed target is said, and is no failure: exit code 0. 1: a run failed. 2: not understood. 130: interrupted.
"""

# ruff: noqa: T201 -- the only printing, besides the peers' own

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench import machine
from bench.commands import ROOT
from bench.plan import Group, Turn, estimate_s, turns
from bench.report import screen, write
from bench.results import Results, code_hash
from bench.run import impossible, record
from bench.table import COMPARISONS, GROUPS
from bench.verdicts import verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = (
    ROOT / ".build" / "benchmark"
)  # beside .build/bench, the environment, which is thrown away when pins change
QUICK_S = 8.0  # of a quick run
LOUD = 0.3  # cores that others keep busy, above which a figure is in doubt


def main(arguments: list[str]) -> int:
    """Run what is asked for; an exit code."""
    options = _parse(arguments)
    place = PLACE / "quick" if options.quick else PLACE
    path = place / "results.jsonl"
    place.mkdir(parents=True, exist_ok=True)
    with _alone(place / "lock"):
        if options.fresh:
            path.unlink(missing_ok=True)
        results = Results(path, code_hash())
        if results.others:
            print(f"{results.others} results of another state of payload/ or bench/peers/ are left out")
        failed = 0
        if not options.report:
            failed = measure(results, _chosen(options), data_root(), is_quick=options.quick)
        target = place if options.quick else ROOT / "docs"
        records = results.of([turn for group in GROUPS for turn in turns(group)])
        page = write(records, target)
    print("\n" + screen(verdicts(COMPARISONS, records)))
    print(f"\n{page}" + ("   quick: these figures say nothing" if options.quick else ""))
    return int(bool(failed))


def measure(results: Results, groups: list[Group], data: Path, *, is_quick: bool) -> int:
    """Run what is not in the results yet, group by group; how many runs failed."""
    planned = [turn for group in groups for turn in _planned(group, is_quick=is_quick)]
    left = [turn for turn in planned if not results.has(turn)]
    seconds = len(left) * QUICK_S if is_quick else estimate_s(left)
    print(
        f"{len(left)} runs of {len(planned)} are left: about {max(1, round(seconds / 60))} min on two cores"
    )
    if left and not is_quick:
        _warm_up(left, data)
    failed = 0
    for number, turn in enumerate(left, 1):
        found = {**record(turn, data, is_quick=is_quick), "machine": machine.describe()}
        results.add(found)
        failed += "output" in found
        which = f"{turn.group:9} round {turn.round + 1}  {turn.contender.name:26}"
        print(f"{number:3}/{len(left)}  {which} {_line(found)}", flush=True)
    return failed


def _planned(group: Group, *, is_quick: bool) -> list[Turn]:
    every = turns(group)
    return [turn for turn in every if turn.round == 0 and turn.contender.is_quick] if is_quick else every


def _warm_up(left: list[Turn], data: Path) -> None:
    """Each program once, uncounted: bytecode is written, libraries are in the page cache."""
    first = {turn.contender.program: turn for turn in reversed(left) if not turn.contender.link}
    for program, turn in first.items():
        print(f"warming up {program}", flush=True)
        if not impossible(turn):
            record(turn, data, is_quick=True)


def _line(found: dict[str, object]) -> str:
    """A record in a few words."""
    if found.get("reason"):
        tail = str(found.get("output", "")).strip().splitlines()[-1:]
        return f"not measured: {found['reason']}" + (f": {tail[0]}" if tail else "")
    train, wall, accuracy = (float(str(found.get(key) or 0))
                             for key in ("train_seconds", "wall_seconds", "test_accuracy"))  # fmt: skip
    busy = float(str(found.get("others_busy_cores") or 0))
    doubt = f"   others keep {busy:.1f} cores busy" if busy > LOUD else ""
    return f"training {train:6.2f} s  process {wall:6.2f} s  accuracy {100 * accuracy:5.2f} %{doubt}"


def data_root() -> Path:
    """MNIST, where the tests keep it too; fetched by the payload's own program if it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    root = Path(os.environ.get("HOTRUN_TEST_DATA") or cache / "hotrun" / "data")
    fetch = [sys.executable, str(ROOT / "payload" / "fetch.py"), "mnist", str(root)]
    done = subprocess.run(fetch, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.stdout.strip() or "MNIST can't be fetched")
    return root


def _chosen(options: argparse.Namespace) -> list[Group]:
    return [group for group in GROUPS if not options.only or group.name in options.only]


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two benchmarks at once would measure each other."""
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit("another benchmark runs in this checkout")
        yield


def _parse(arguments: list[str]) -> argparse.Namespace:
    names = [group.name for group in GROUPS]
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    quick = os.environ.get("BENCH_QUICK", "") not in ("", "0")
    parser.add_argument("--quick", action="store_true", default=quick, help="few steps; also BENCH_QUICK=1")
    parser.add_argument("--fresh", action="store_true", help="forget the results that are there")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--only", default="", metavar="GROUP,…", help=", ".join(names))
    options = parser.parse_args(arguments)
    options.only = [name for name in options.only.split(",") if name]
    unknown = [name for name in options.only if name not in names]
    if unknown:
        parser.error(f"no group is called {unknown[0]}; there are {', '.join(names)}")
    return options


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the contender and its namespaces go too
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on", file=sys.stderr)
        sys.exit(130)
