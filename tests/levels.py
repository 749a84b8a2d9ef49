#!/usr/bin/env python3
"""Runs the levels of tests one after the other, each as its own pytest, and prints what each took.

    python3 tests/levels.py                all levels but those that are only run by name
    python3 tests/levels.py unit heat      these
    python3 tests/levels.py --strict …     a skip counts as a failure unless .ci/allowed-skips explains it

A level that fails does not stop the next. The last line reads like pytest's. Standard library only.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
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
COUNTED = ("passed", "failed", "errors", "skipped")


@dataclass(frozen=True)  # read by the python3 of the machine, which may be older than 3.11
class Outcome:
    """What one level ended with."""

    level: str
    counts: dict[str, int]
    seconds: float
    exit_code: int
    skips: tuple[str, ...]
    """`test: reason` of every test that was skipped."""


def main(arguments: list[str]) -> int:
    """Run the levels that are asked for; 1 when one of them failed."""
    parser = argparse.ArgumentParser(
        prog="python3 tests/levels.py", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("levels", nargs="*", metavar="LEVEL", help=", ".join(LEVELS))
    parser.add_argument(
        "--strict", action="store_true", help="fail on skips that .ci/allowed-skips does not explain"
    )
    options, passed_on = parser.parse_known_args(arguments)
    unknown = [name for name in options.levels if name not in LEVELS]
    if unknown:
        parser.error(f"no level is called {unknown[0]}; there are {', '.join(LEVELS)}")
    pythons: dict[str, str] = {}
    names = options.levels or [name for name in LEVELS if name not in BY_NAME]
    outcomes = [run(name, pythons, passed_on) for name in names]
    unexplained = unexplained_skips(outcomes) if options.strict else []
    print(table(outcomes))
    for skip in unexplained:
        print(f"skipped without an explanation in .ci/allowed-skips: {skip}")
    print(last_line(outcomes))
    return int(bool(unexplained) or any(outcome.exit_code for outcome in outcomes))


def run(level: str, pythons: dict[str, str], arguments: list[str]) -> Outcome:
    """Run one level in its environment, which is made first where it is missing."""
    folders, environment, title = LEVELS[level]
    print(f"\n== {level}: {title}", flush=True)
    report = ROOT / ".build" / "reports" / f"{level}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    python = pythons.get(environment) or make(environment)
    if not python:
        return Outcome(level=level, counts={"errors": 1}, seconds=0.0, exit_code=1, skips=())
    pythons[environment] = python
    began = time.monotonic()
    paths = [f"tests/{folder}" for folder in folders if any((ROOT / "tests" / folder).glob("test_*.py"))]
    if not paths:
        print("no tests yet")
        return Outcome(level=level, counts={}, seconds=0.0, exit_code=0, skips=())
    around = [python, *AROUND[level]] if level in AROUND else []
    command = [
        *around,
        python,
        "-m",
        "pytest",
        "-q",
        f"--junitxml={report}",
        *paths,
        *FLAGS.get(level, ()),
        *arguments,
    ]
    code = subprocess.run(command, cwd=ROOT, env=clean_environment(python), check=False).returncode
    counts, skips = read(report)
    return Outcome(level=level, counts=counts, seconds=time.monotonic() - began, exit_code=code, skips=skips)


def make(environment: str) -> str:
    """Make an environment and return its Python, or empty."""
    command = [sys.executable, str(ROOT / "cloud" / "bootstrap.py"), environment]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout.strip()


def clean_environment(python: str) -> dict[str, str]:
    """The environment without what would change which code is tested; the level's own tools are last on PATH."""
    kept = {key: value for key, value in os.environ.items() if key not in MISLEADING}
    return {**kept, "PATH": os.pathsep.join((kept.get("PATH", os.defpath), str(Path(python).parent)))}


def read(report: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """Counts and skips of a JUnit report; a missing one is an error."""
    if not report.exists():
        return {"errors": 1}, ()
    counts = dict.fromkeys(COUNTED, 0)
    skips = []
    for case in ET.parse(report).getroot().iter("testcase"):
        kinds = {child.tag: child for child in case}
        kind = next((tag for tag in ("error", "failure", "skipped") if tag in kinds), "")
        counts[{"error": "errors", "failure": "failed", "skipped": "skipped"}.get(kind, "passed")] += 1
        if kind == "skipped":
            skips.append(f"{case.get('classname')}.{case.get('name')}: {kinds['skipped'].get('message')}")
    return counts, tuple(skips)


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
