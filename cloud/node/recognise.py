"""A program's syntax trees -> which engine it is written for, and what it hard-codes. Pure.

Nothing is executed or imported. Names are followed through imports, into the repository's own modules too.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any, Iterator

from . import hardcoded
from .adapt import differs, settings
from .failure import problem
from .hardcoded import HardCoded
from .job import Job
from .names import MAX_DEPTH, Program, Read, Source

__all__ = ("HardCoded", "Recognition", "conflicts", "misfit", "reason", "recognise", "refusal")
# The module a name comes from decides; the first match in this order wins.
_ENGINES = (
    ("ray", (), ("ray",)),
    ("lightning-cli", ("LightningCLI",), ("pytorch_lightning", "lightning")),
    ("lightning", ("Trainer", "Fabric"), ("pytorch_lightning", "lightning", "lightning_fabric")),
    ("tensorflow", (), ("tensorflow", "tf_keras", "keras")),
    ("torch", ("init_process_group", "DistributedDataParallel", "DDP"), ("torch",)),
)


@dataclass(frozen=True)
class Recognition:
    """What an entrypoint is written for."""

    engine: str
    """lightning-cli, lightning, torch, ray, tensorflow or python."""
    line: int
    """Line of the evidence, 1 where there is none."""
    evidence: str
    """What was found there, for a person: `Trainer`, `init_process_group`."""
    hard_coded: tuple[HardCoded, ...] = ()
    file: str = ""
    """Path of the evidence in the repository; the entrypoint's where there is none."""

    @property
    def where(self) -> str:
        """`file:line` of the line to look at: the first hard-coded setting, else the evidence."""
        return self.hard_coded[0].where if self.hard_coded else f"{self.file}:{self.line}"


def recognise(source: str, filename: str, read: Read = lambda path: None) -> Recognition:
    """Read `source` and say what it is written for; `read(path)`: another file of the repository, or None.

    The file that is nearest to the entrypoint decides. Raises SyntaxError, with file and line, when the
    entrypoint is not Python.
    """
    program = Program(source, filename, read)
    hard_coded = tuple(each for file in program.files for each in hardcoded.found(program, file))
    for depth in range(MAX_DEPTH + 1):
        uses = [
            (file.path, *use) for file in program.files if file.depth == depth for use in _uses(program, file)
        ]
        for engine, wanted, modules in _ENGINES:
            for path, line, origin in uses:
                library, evidence = origin.split(".")[0], origin.rpartition(".")[2]
                if library in modules and (not wanted or evidence in wanted):
                    return Recognition(engine, line, evidence, hard_coded, path)
    return Recognition("python", 1, "no training library found", hard_coded, filename)


def misfit(engine: str, seen: str) -> bool:
    """Whether a program that is `seen` to be written for one engine can't run under `engine`.

    Programs of torch and Lightning are started alike, those of Ray and TensorFlow each in a way of their own.
    """
    families = {name.partition("-")[0] for name in (engine, seen)}
    return len(families) > 1 and seen != "python" and bool(families & {"ray", "tensorflow"})


def conflicts(recognition: Recognition, nnodes: int, nproc: int, has_gpu: bool) -> list[HardCoded]:
    """Hard-coded settings with which this cluster would not train as one.

    `nproc`: ranks on each node. The arguments that a LightningCLI is given win over its trainer_defaults, and
    a port that is the same everywhere does no harm.
    """
    wanted, world_size = settings(nnodes, nproc, has_gpu), nnodes * nproc

    def is_one(each: HardCoded) -> bool:
        if each.owner in ("Trainer", "Fabric"):
            return differs(each.name, each.value, wanted)
        return (world_size > 1 and each.owner != "trainer_defaults") and {
            "world_size": str(each.value) != str(world_size), "rank": True, "master_port": False,
            "local_rank": nproc > 1 or str(each.value) != "0", "nccl_socket_ifname": nnodes > 1 and has_gpu,
        }.get(each.name.lower(), nnodes > 1)  # fmt: skip

    return [each for each in recognition.hard_coded if is_one(each)]


def reason(each: HardCoded, nnodes: int, nproc: int, has_gpu: bool) -> str:
    """Why a setting stands against this cluster."""
    return {
        "num_nodes": f"there are {nnodes} machines", "devices": f"ranks on each machine: {nproc}",
        "accelerator": f"the machines have {'CUDA GPUs' if has_gpu else 'no GPU'}",
        "strategy": f"{nnodes * nproc} ranks are to train as one",
    }.get(each.name, "every machine gets its own value from the launcher")  # fmt: skip


def refusal(
    job: Job, recognition: Recognition, nnodes: int, nproc: int, has_gpu: bool
) -> dict[str, Any] | None:
    """The problem for which the gate refuses a program that would not train as one; None lets it pass."""
    found = conflicts(recognition, nnodes, nproc, has_gpu)
    if not found or "yes" in (job.adapt, job.allow_single):
        return None
    first, more = found[0], f" ({len(found) - 1} more in the log)" if found[1:] else ""
    return problem(
        "hard-coded", f"{first.text} is set, but {reason(first, nnodes, nproc, has_gpu)}{more}",
        where=first.where, fix=f"{first.edit}; or generate with --adapt",
        log=[f"{each.where}: {each.text}: {each.edit}" for each in found],
    )  # fmt: skip


def _uses(program: Program, file: Source) -> Iterator[tuple[int, str]]:
    """(line, dotted origin) of everything called or subclassed, then of everything imported."""
    for node in file.nodes:
        if isinstance(node, ast.Call):
            targets = [node.func]
        elif isinstance(node, ast.ClassDef):
            targets = node.bases
        else:
            continue
        yield from ((node.lineno, program.origin(file, target)) for target in targets)
    for node in file.nodes if not file.depth else ():  # further on an import alone tells little
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = getattr(node, "module", None)
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}" if module else alias.name
