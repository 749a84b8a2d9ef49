"""`python -m bench.engines`: the same training through every engine, in turn; writes docs/engines.md.

    python -m bench.engines              five rounds, one and two ranks, on this machine
    python -m bench.engines --quick      one round of one epoch, into .build/benchmark/quick/
    python -m bench.engines --report     the page from the results that are there

One round runs each engine once, in an order that moves on by one with every round. 1: a run failed.
"""

# ruff: noqa: T201 -- the only printing

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import engines_page, machine
from bench.__main__ import PLACE, data_root
from bench.commands import HIDDEN, HIDDEN_NAMES, ROOT
from bench.run import family

if TYPE_CHECKING:
    from collections.abc import Iterator

NET, EPOCHS, ROUNDS, WORLDS = "dense-128", 3, 5, (1, 2)
DEADLINE_S = 600.0
LOOK_S = 0.5  # between two looks at the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One program of the payload."""

    name: str
    environment: str
    """Of cloud/bootstrap.py."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One run."""

    engine: Engine
    python: str
    data: Path
    """Directory with MNIST in it."""
    epochs: int
    world: int = 1
    round: int = 0
    """Also the seed."""


ENGINES = (
    Engine(name="torch", environment="test"),
    Engine(name="lightning", environment="test"),
    Engine(name="ray", environment="ray"),
    Engine(name="tensorflow", environment="tensorflow"),
)


def main(arguments: list[str]) -> int:
    """Run the rounds, write the page; an exit code."""
    options = _parse(arguments)
    rounds, epochs = (1, 1) if options.quick else (options.rounds, EPOCHS)
    place = PLACE / "quick" if options.quick else PLACE
    place.mkdir(parents=True, exist_ok=True)
    path = place / "engines.jsonl"
    failed = 0
    if not options.report:
        path.unlink(missing_ok=True)
        pythons = {engine.environment: python_of(engine.environment) for engine in ENGINES}
        for found in _measured(pythons, data_root(), rounds, epochs):
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
            failed += "why" in found
            print(engines_page.line(found), flush=True)
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    page = engines_page.write(records, place if options.quick else ROOT / "docs")
    print(f"\n{page}" + ("   quick: these figures say nothing" if options.quick else ""))
    return int(bool(failed))


def python_of(environment: str) -> str:
    """The Python of an environment, made if need be."""
    made = [sys.executable, str(ROOT / "cloud" / "bootstrap.py"), environment]
    return subprocess.run(made, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _measured(pythons: dict[str, str], data: Path, rounds: int, epochs: int) -> Iterator[dict[str, Any]]:
    """All runs; the very first of each engine only warms the disk's cache."""
    for engine in ENGINES:
        _one(Task(engine=engine, python=pythons[engine.environment], data=data, epochs=1))
    for number in range(rounds):
        for world in WORLDS:
            for engine in (*ENGINES[number % len(ENGINES) :], *ENGINES[: number % len(ENGINES)]):
                python = pythons[engine.environment]
                yield _one(
                    Task(
                        engine=engine, python=python, data=data, epochs=epochs, world=world, round=number + 1
                    )
                )


def _one(task: Task) -> dict[str, Any]:
    head = {
        "engine": task.engine.name, "world": task.world, "round": task.round, "net": NET,
        "epochs": task.epochs,
        "machine": machine.describe(), "others_busy_cores": machine.others_busy_cores(),
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="hotrun-bench-") as name:
        place = Path(name)
        began = time.monotonic()
        peak, codes = _run(commands(task), place)
        seconds = time.monotonic() - began
        result = place / "run-0" / "result.json"
        if any(codes) or not result.exists():
            said = "".join(path.read_text("utf-8", "replace") for path in sorted(place.glob("*.out")))
            return {**head, "why": f"exit codes {codes}: {said.strip()[-300:]}"}
        return {**head, "process_seconds": seconds, "peak_pss_bytes": peak, **json.loads(result.read_text())}


def commands(task: Task) -> list[list[str]]:
    """The command line of each process that is started by hand; most engines start the others themselves."""
    engine, world, seed, epochs = task.engine.name, task.world, task.round, task.epochs
    program = {"lightning": "main.py", "torch": "torch_ddp.py", "ray": "ray_train.py",
               "tensorflow": "tensorflow_mwms.py"}[engine]  # fmt: skip
    start = [task.python, str(ROOT / "payload" / program)]
    if engine == "lightning":
        strategy = ["--trainer.strategy", "ddp"] if world > 1 else []
        return [[
            *start, "fit", "--model.net", NET, "--data.name", "mnist", "--data.root", str(task.data),
            "--data.validation", "0", "--trainer.max_epochs", str(epochs), "--seed_everything", str(seed),
            "--trainer.accelerator", "cpu", "--trainer.devices", str(world), *strategy,
        ]]  # fmt: skip
    words = ["--net", NET, "--data", "mnist", "--root", str(task.data), "--validation", "0"]
    words += ["--epochs", str(epochs), "--seed", str(seed), "--device", "cpu"]
    if engine == "torch":
        return [[*start, *words, "--world-size", str(world)]]
    if engine == "ray":
        return [[*start, *words, "--workers", str(world)]]
    if world == 1:
        return [[*start, *words]]
    workers = ",".join(f"127.0.0.1:{port}" for port in _free_ports(world))
    return [[*start, *words, "--workers", workers, "--index", str(index)] for index in range(world)]


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _run(lines: list[list[str]], place: Path) -> tuple[int, list[int | None]]:
    """The most memory that all processes together held, in bytes, and the exit codes; None: too long."""
    kept = {
        key: value for key, value in os.environ.items()
        if not key.startswith(HIDDEN) and key not in HIDDEN_NAMES
    }  # fmt: skip
    processes: list[subprocess.Popen[bytes]] = []
    peak, deadline = 0, time.monotonic() + DEADLINE_S
    try:
        for index, line in enumerate(lines):
            environ = {**kept, "HOTRUN_RUN_DIR": str(place / f"run-{index}")}
            with (place / f"{index}.out").open("wb") as output:
                processes.append(
                    subprocess.Popen(line, env=environ, cwd=place, stdin=subprocess.DEVNULL, stdout=output,
                                     stderr=output, start_new_session=True)
                )  # fmt: skip
        while None in (codes := [process.poll() for process in processes]) and time.monotonic() < deadline:
            peak = max(peak, sum(map(_pss_bytes, family(process.pid for process in processes))))
            if any(codes):
                break
            time.sleep(LOOK_S)
        return peak, codes
    finally:
        for pid in family(process.pid for process in processes if process.poll() is None):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in processes:
            process.wait()


def _pss_bytes(pid: int) -> int:
    """A process's memory, its part of what several share included; 0 for one that is gone, proc(5)."""
    with contextlib.suppress(OSError):
        for row in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if row.startswith("Pss:"):
                return int(row.split()[1]) * 1024
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.engines", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="%(default)s")
    parser.add_argument("--quick", action="store_true", help="one round of one epoch")
    parser.add_argument("--report", action="store_true", help="the page from the results that are there")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
