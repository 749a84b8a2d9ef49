"""Ranks of the payload's programs, each a process of its own that begins, trains and can be killed as on a node.

They are forked from a server that has torch and Lightning imported: what takes a fresh Python four seconds is
done once. Everything after the imports is the real program, from its first line on. Pictures, which another
fresh Python draws in two seconds, are left out unless asked for.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import TypeVar

import pytest

from tests.payload.left import Left
from tests.ports import free_port

T = TypeVar("T")

PAYLOAD = Path(__file__).resolve().parents[2] / "payload"
MAIN, PLAIN = "main.py", "torch_ddp.py"
DEADLINE_S = 240
PRELOADED = ["torch", "torch._dynamo", "torch.distributed.elastic", "torch.nn.parallel", "numpy", "jsonargparse",
             "pytorch_lightning.cli", "pytorch_lightning.strategies", "torch.utils.tensorboard"]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks(Left):
    """Started ranks. Rank R works in `directory`, has DIRECTORY/R as HOTRUN_RUN_DIR, prints into R.out and R.err."""

    directory: Path
    processes: list[ForkServerProcess]

    def wait(self) -> list[int | None]:
        """Exit codes, by rank; none is left running."""
        deadline = time.monotonic() + DEADLINE_S
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))
        return self.kill()

    def kill(self) -> list[int | None]:
        """SIGKILL for all that still run; exit codes, by rank."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.join()
        return [process.exitcode for process in self.processes]

    def finish(self) -> Ranks:
        """Wait, and fail the test unless every rank ended well."""
        codes = self.wait()
        texts = "\n".join(self.out(rank) + self.err(rank) for rank in range(len(codes)))
        assert codes == [0] * len(codes), texts
        return self

    def is_running(self) -> bool:
        """Whether any rank does."""
        return any(process.is_alive() for process in self.processes)

    def out(self, rank: int = 0) -> str:
        """What a rank printed."""
        return (self.directory / f"{rank}.out").read_text()

    def err(self, rank: int = 0) -> str:
        """What a rank complained of."""
        return (self.directory / f"{rank}.err").read_text()

    @property
    def run(self) -> Path:
        """Where rank 0 writes."""
        return self.directory / "0"


def start(
    directory: Path, program: str, *words: str, world: int = 1, command: str = "fit", draws: bool = False,
    words_of: Mapping[int, Sequence[str]] | None = None, **environment: str,
) -> Ranks:  # fmt: skip
    """Start `world` ranks as as many nodes would; one alone as a person would, but for HOTRUN_RUN_DIR.

    `words_of` are further words for single ranks. An `environment` value "" takes the variable away.
    """
    port, processes = str(free_port()), []
    directory.mkdir(parents=True, exist_ok=True)
    for rank in range(world):
        place = _place(rank, world, port) if world > 1 else {}
        place = {**place, "HOTRUN_RUN_DIR": str(directory / str(rank)), **environment}
        line = [*_launch_words(program, command, world), *words, *(words_of or {}).get(rank, ())]
        values = {key: value for key, value in clean_environment(**place).items() if value}
        process = _server().Process(target=_rank, args=(program, line, values, directory, rank, draws))
        process.start()
        processes.append(process)
    return Ranks(directory=directory, processes=processes)


def fresh(directory: Path, program: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a person types in `directory`: a fresh Python, nothing imported."""
    return subprocess.run([sys.executable, str(PAYLOAD / program), *words], cwd=directory, text=True, check=False,
                          env=clean_environment(**environment), capture_output=True, timeout=DEADLINE_S)  # fmt: skip


def on_ranks(world: int, function: Callable[..., T], *arguments: object) -> list[T | str]:
    """What `function(rank, *arguments)` of a module returns on each of `world` ranks of a gloo group.

    In place of an exception comes its name and text.
    """
    port, pipes, processes = str(free_port()), [], []
    for rank in range(world):
        here, there = _server().Pipe(duplex=False)
        place = clean_environment(**_place(rank, world, port))
        processes.append(
            _server().Process(target=_member, args=(function, rank, world, arguments, place, there))
        )
        processes[-1].start()
        there.close()
        pipes.append(here)
    ranks = Ranks(directory=Path(), processes=processes)
    try:
        answers = [pipe.recv() if pipe.poll(DEADLINE_S) else "TimeoutError" for pipe in pipes]
        ranks.wait()
    finally:
        ranks.kill()
    return answers


def clean_environment(**extra: str) -> dict[str, str]:
    """This process's, without what a launcher sets, with a place for bytecode; one thread."""
    ours = (
        "RANK",
        "WORLD_SIZE",
        "LOCAL_RANK",
        "LOCAL_WORLD_SIZE",
        "GROUP_RANK",
        "NODE_RANK",
        "MASTER_ADDR",
        "MASTER_PORT",
    )
    kept = {k: v for k, v in os.environ.items()
            if k not in ours and not k.startswith(("HOTRUN_", "TORCHEL", "PL_"))}  # fmt: skip
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling Lightning and torch takes longer than the training
    store = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept.setdefault("PYTHONPYCACHEPREFIX", str(store / "hotrun" / "bytecode"))
    return {**kept, "OMP_NUM_THREADS": "1", **extra}


def _place(rank: int, world: int, port: str) -> dict[str, str]:
    """The variables of a node with one rank."""
    return {"RANK": str(rank), "GROUP_RANK": str(rank), "NODE_RANK": str(rank), "WORLD_SIZE": str(world),
            "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
            "TORCHELASTIC_RUN_ID": "test", "HOTRUN_NNODES": str(world), "GLOO_SOCKET_IFNAME": "lo"}  # fmt: skip


def _launch_words(program: str, command: str, world: int) -> list[str]:
    """What a node puts before the words of a person."""
    if program == PLAIN:
        return ["--device", "cpu"]
    many = ["--trainer.strategy", "ddp", "--trainer.num_nodes", str(world), "--trainer.devices", "1"]
    return [command, "--trainer.accelerator", "cpu", *(many if world > 1 else [])]


@cache
def _server() -> multiprocessing.context.ForkServerContext:
    """Starts the server, in the environment that its imports need."""
    with pytest.MonkeyPatch.context() as patch:
        for key, value in clean_environment().items():
            patch.setenv(key, value)
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONWARNINGS", "ignore")  # those of other people's modules
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        multiprocessing.forkserver.ensure_running()
    return context


def _member(  # noqa: PLR0917  # a process takes them in order
    function: Callable[..., object], rank: int, world: int, arguments: tuple[object, ...],
    environment: dict[str, str], answers: Connection,
) -> None:  # fmt: skip
    """Become a rank that calls one function: runs in the forked process."""
    import torch.distributed as dist

    os.environ.update(environment)
    if world > 1:
        dist.init_process_group("gloo")
    try:
        answer = function(rank, *arguments)
    except Exception as error:  # noqa: BLE001  # it is the answer
        answer = f"{type(error).__name__}: {error}"
    answers.send(answer)
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()


def _rank(  # noqa: PLR0917  # as above
    program: str, words: list[str], environment: dict[str, str], directory: Path, rank: int, draws: bool
) -> None:
    """Become one rank: runs in the forked process."""
    for name, number in (("out", 1), ("err", 2)):
        file = os.open(directory / f"{rank}.{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    sys.argv[:] = [str(PAYLOAD / program), *words]
    sys.path.insert(0, str(PAYLOAD))
    if not draws:
        import pictures

        pictures.draw_in_child = lambda *_, **__: None
    runpy.run_path(sys.argv[0], run_name="__main__")
