#!/usr/bin/env python3
"""Runs the levels of tests one after the other, each as its own pytest, and prints what each took.

    python3 tests/levels.py                all levels but those that are only run by name
    python3 tests/levels.py unit heat      these
    python3 tests/levels.py --strict …     a skip counts as a failure unless .ci/allowed-skips explains it
    python3 tests/levels.py --again 6 …    where at most 6 tests of a level failed, those run once more, by themselves;
                                           what passes then is named at the end and counts as passed

A level that fails does not stop the next. The last line reads like pytest's. Standard library only.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEVELS = {  # name -> (folders, environment, what it is)
    "unit": (("unit", "golden", "structure"), "test", "rules, golden files, imports"),
    "heat": (("heat",), "heat", "the real Heat engine, in process"),
    "node": (("node",), "test", "the node program"),
    "payload": (("payload",), "test", "training for real"),
    "ssh": (("ssh",), "test", "machines asked and fetched from over a real sshd"),
    "prove": (("prove",), "test", "other launchers under hotrun prove"),
    "rehearse": (("rehearse",), "test", "templates rehearsed for real"),
    "ray": (("engines/ray",), "ray", "Ray, and templates rehearsed with it"),
    "tensorflow": (("engines/tensorflow",), "tensorflow", "TensorFlow, and templates rehearsed with it"),
    "browser": (("browser",), "openstack", "this program's own pages, by a browser"),
    "slurm": (("slurm",), "test", "job scripts on a real Slurm, raised for them"),
    "faults": (("faults",), "test", "rehearsals in which something goes wrong"),
    "openstack": (("openstack",), "openstack", "a real OpenStack, raised for it where none is up"),
    "alone": (("openstack",), "openstack", "the same, when its services are stopped, or measured"),
    "horizon": (("horizon",), "openstack", "its dashboard, by a browser"),
}
BY_NAME = {
    "browser",
    "ray",
    "tensorflow",
    "slurm",
    "faults",
    "openstack",
    "alone",
    "horizon",
}  # long, or with Debian's packages: run when named
_IN_THE_LAB = ("-m", "tests.openstack.lab", "run", "--")
AROUND = {"openstack": _IN_THE_LAB, "alone": _IN_THE_LAB, "horizon": ("-m", "tests.horizon")}  # starts pytest
FLAGS = {  # of a level's pytest: tests of a cloud wait more than they work, so two run at a time
    "openstack": ("-n", "2", "--dist", "loadgroup", "-m", "not alone"),
    "alone": ("-m", "alone"),
}
MISLEADING = {"PYTHONPATH", "PYTHONHOME", "PYTEST_ADDOPTS"}
REPORTS = ROOT / ".build" / "reports"
SOME_FAILED = 1  # pytest's own exit code, when nothing worse happened
COUNTED = ("passed", "failed", "errors", "skipped")


@dataclass(frozen=True)  # read by the python3 of the machine, which may be older than 3.11
class Outcome:
    """What one level ended with."""

    level: str
    counts: dict[str, int]
    seconds: float = 0.0
    exit_code: int = 0
    skips: tuple[str, ...] = ()
    """`test: reason` of every test that was skipped."""
    failed: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    """Tests that passed at the second try only."""


def main(arguments: list[str]) -> int:
    """Run the levels that are asked for; 1 when one of them failed."""
    parser = argparse.ArgumentParser(
        prog="python3 tests/levels.py", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("levels", nargs="*", metavar="LEVEL", help=", ".join(LEVELS))
    parser.add_argument(
        "--strict", action="store_true", help="fail on skips that .ci/allowed-skips does not explain"
    )
    parser.add_argument(
        "--again",
        type=int,
        default=0,
        metavar="N",
        help="run what failed once more, where it is at most N tests",
    )
    options, passed_on = parser.parse_known_args(arguments)
    unknown = [name for name in options.levels if name not in LEVELS]
    if unknown:
        parser.error(f"no level is called {unknown[0]}; there are {', '.join(LEVELS)}")
    pythons: dict[str, str] = {}
    names = options.levels or [name for name in LEVELS if name not in BY_NAME]
    outcomes = [run(name, pythons, passed_on, options.again) for name in names]
    unexplained = unexplained_skips(outcomes) if options.strict else []
    print(table(outcomes))
    for skip in unexplained:
        print(f"skipped without an explanation in .ci/allowed-skips: {skip}")
    for test in (test for outcome in outcomes for test in outcome.again):
        print(f"failed once, passed at the second try: {test}")
    print(last_line(outcomes))
    return int(bool(unexplained) or any(outcome.exit_code for outcome in outcomes))


def run(level: str, pythons: dict[str, str], arguments: list[str], again: int) -> Outcome:
    """Run one level in its environment, which is made first where it is missing; `again`: see --again."""
    folders, environment, title = LEVELS[level]
    print(f"\n== {level}: {title}", flush=True)
    python = pythons.get(environment) or make(environment)
    if not python:
        return Outcome(level, {"errors": 1}, exit_code=1)
    pythons[environment] = python
    paths = [f"tests/{folder}" for folder in folders if any((ROOT / "tests" / folder).glob("test_*.py"))]
    if not paths:
        print("no tests yet")
        return Outcome(level, {})
    around = [python, *AROUND[level]] if level in AROUND else []
    command = [*around, python, "-m", "pytest", "-q", *paths, *FLAGS.get(level, ()), *arguments]
    shutil.rmtree(REPORTS / f"{level}.cache", ignore_errors=True)
    first = tried(level, python, command, f"{level}.xml")
    if first.exit_code != SOME_FAILED or len(first.failed) > again:
        return first
    print(f"\n== {level}: what failed, once more, by itself", flush=True)
    return together(first, tried(level, python, [*command, "--last-failed"], f"{level}.again.xml"))


def tried(level: str, python: str, command: list[str], name: str) -> Outcome:
    """Run pytest, and read its report of this name."""
    began, report = time.monotonic(), REPORTS / name
    REPORTS.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    command = [*command, f"--junitxml={report}", "-o", f"cache_dir={REPORTS / level}.cache"]
    code = subprocess.run(command, cwd=ROOT, env=clean_environment(python), check=False).returncode
    return replace(read(level, report), seconds=time.monotonic() - began, exit_code=code)


def together(first: Outcome, second: Outcome) -> Outcome:
    """A level whose failed tests were run once more: it passed if all of them did then."""
    seconds = first.seconds + second.seconds
    if second.exit_code or second.counts != {**dict.fromkeys(COUNTED, 0), "passed": len(first.failed)}:
        return replace(first, seconds=seconds)
    counts = {**first.counts, "failed": 0, "errors": 0}
    counts["passed"] += len(first.failed)
    return replace(first, seconds=seconds, exit_code=0, counts=counts, failed=(), again=first.failed)


def make(environment: str) -> str:
    """Make an environment and return its Python, or empty."""
    command = [sys.executable, str(ROOT / "cloud" / "bootstrap.py"), environment]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout.strip()


def clean_environment(python: str) -> dict[str, str]:
    """The environment without what would change which code is tested; the level's own tools are last on PATH."""
    kept = {key: value for key, value in os.environ.items() if key not in MISLEADING}
    return {**kept, "PATH": os.pathsep.join((kept.get("PATH", os.defpath), str(Path(python).parent)))}


def read(level: str, report: Path) -> Outcome:
    """Counts, skips and failures of a JUnit report; a missing one is an error."""
    if not report.exists():
        return Outcome(level, {"errors": 1})
    counts = dict.fromkeys(COUNTED, 0)
    skips, failed = [], []
    for case in ET.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        kinds = {child.tag: child for child in case}
        kind = next((tag for tag in ("error", "failure", "skipped") if tag in kinds), "")
        counts[{"error": "errors", "failure": "failed", "skipped": "skipped"}.get(kind, "passed")] += 1
        if kind == "skipped":
            skips.append(f"{name}: {kinds['skipped'].get('message')}")
        elif kind:
            failed.append(name)
    return Outcome(level, counts, skips=tuple(skips), failed=tuple(failed))


def unexplained_skips(outcomes: list[Outcome]) -> list[str]:
    """Skips whose line no pattern of .ci/allowed-skips finds."""
    lines = (ROOT / ".ci" / "allowed-skips").read_text(encoding="utf-8").splitlines()
    patterns = [
        line.partition("  #")[0].strip() for line in lines if line.strip() and not line.startswith("#")
    ]
    skips = (skip for outcome in outcomes for skip in outcome.skips)
    return [skip for skip in skips if not any(re.search(pattern, skip) for pattern in patterns)]


def table(outcomes: list[Outcome]) -> str:
    """One row per level."""
    rows = [f"\n{'level':10}" + "".join(f"{name:>9}" for name in COUNTED) + f"{'seconds':>10}"]
    for outcome in outcomes:
        counts = "".join(f"{outcome.counts.get(name, 0):>9}" for name in COUNTED)
        rows.append(f"{outcome.level:10}{counts}{outcome.seconds:>10.1f}")
    return "\n".join(rows)


def last_line(outcomes: list[Outcome]) -> str:
    """The sum in pytest's words."""
    total = {name: sum(outcome.counts.get(name, 0) for outcome in outcomes) for name in COUNTED}
    words = [f"{total[name]} {name}" for name in ("failed", "errors", "passed", "skipped") if total[name]]
    seconds = sum(outcome.seconds for outcome in outcomes)
    return f"===== {', '.join(words) or 'no tests ran'} in {seconds:.2f}s ====="


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
