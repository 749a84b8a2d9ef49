"""plan: what all nodes told (look) -> what an attempt is: addresses, ports, ranks, checkpoint; as JSON.

`decided` is pure. A finding that stops the job is a problem, as of any stage.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Sequence

from ..console import node_name
from ..context import write_json
from ..engines import ONE_RANK_A_NODE, WITH_SERVICE
from ..failure import StageFailed
from ..job import Job
from . import look, places, record
from .places import FAILED

_HOURS = 24 * 365.0  # Slurm's own time limit ends a job


@dataclass(frozen=True)
class Asked:
    """What is known before anybody looks."""

    nnodes: int
    engine: str
    shared: bool
    run: str
    attempt: int
    kind: str
    """What was prepared: `gpu-x86_64-py3.11`, `cpu-…`."""


def main(words: Sequence[str]) -> int:
    """`plan FILE`, the lines of all nodes; prints the plan, or ends the job with what is wrong."""
    memory, job = record.remembered(), places.the_job()
    prepared = places.prepared()
    asked = Asked(
        int(os.environ["SLURM_JOB_NUM_NODES"]), prepared["engine"],
        os.environ[places.OURS + "SHARED"] == "yes", f"slurm-{os.environ['SLURM_JOB_ID']}", memory.attempt,
        prepared["kind"],
    )  # fmt: skip
    try:
        told = read(Path(words[0]).read_text(encoding="utf-8"))
        go = decided(told, asked, job)
    except StageFailed as error:
        record.end(record.Standing(memory, _known(words[0])), error.problem)
        return FAILED
    memory.has_begun = True
    if go["resume"]:
        for recovery in memory.recoveries[-1:]:
            recovery["resumed"] = go["resume"]["name"]
        memory.newest = max(memory.newest, go["resume"]["number"])
    record.remember(memory)
    write_json(places.run_directory() / "go.json", go)
    record.write(record.Standing(memory, told), "running", [])
    print(json.dumps(go))
    return 0


def _known(path: str) -> list[dict[str, Any]]:
    try:
        return read(Path(path).read_text(encoding="utf-8"))
    except (OSError, StageFailed):
        return []


def read(text: str) -> list[dict[str, Any]]:
    """The nodes' lines by rank; what else was printed there is passed over."""
    found = []
    for line in text.splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict) and "rank" in told:
            found.append(told)
    return sorted(found, key=lambda told: int(told["rank"]))


def decided(told: Sequence[dict[str, Any]], asked: Asked, job: Job) -> dict[str, Any]:
    """The plan of an attempt. Raises StageFailed with the node that can't take part."""
    _require_all(told, asked)
    told = [{**each, "gpus": each["gpus"] if asked.kind.startswith("gpu") else 0} for each in told]
    nproc = _ranks(told, asked, job)
    block = _block(told, "free", look.first_port, look.BLOCKS)
    services = 0
    if asked.engine in WITH_SERVICE:
        free = _block(told, "free_services", look.first_service_port, look.SERVICE_BLOCKS)
        services = look.first_service_port(free)
    resume = _resume(told, asked)
    return {
        "run": asked.run, "attempt": asked.attempt, "addresses": [each["address"] for each in told],
        "hosts": [each["host"] for each in told], "interfaces": [each["interface"] for each in told],
        "port": look.first_port(block), "talk_port": look.first_port(block) + look.TALK, "nproc": nproc,
        "has_gpu": all(each["gpus"] for each in told) and job.torch_index != "cpu", "resume": resume,
        "left_s": _HOURS * 3600, "shared": asked.shared, "began": time.time(), "service_ports": services,
    }  # fmt: skip


def _require_all(told: Sequence[dict[str, Any]], asked: Asked) -> None:
    here = {each["rank"] for each in told}
    missing = [node_name(rank) for rank in range(asked.nnodes) if rank not in here]
    if missing:
        raise _failed("nodes-missing", f"{', '.join(missing[:5])} did not answer", fix="look at sinfo -R")
    for each in told:
        if each["problem"]:
            what = f"{node_name(each['rank'])} ({each['host']}): {each['problem']}"
            fix = "prepare on a node of that kind: srun --nodes=1 bash job.sbatch --prepare"
            raise _failed("environment-failed", what, fix=fix, node=node_name(each["rank"]))


def _ranks(told: Sequence[dict[str, Any]], asked: Asked, job: Job) -> int:
    """Ranks on each node: as asked, else one for each GPU, else one."""
    if asked.engine in ONE_RANK_A_NODE:
        return 1
    if job.nproc_per_node.isdigit():
        return int(job.nproc_per_node)
    for each in told:
        if each["gpus"] != told[0]["gpus"]:
            name = node_name(each["rank"])
            what = f"{name} ({each['host']}) has {each['gpus']} GPUs, and master {told[0]['gpus']}"
            raise _failed("ranks-differ", what, fix="say how many ranks with --nproc-per-node", node=name)
    return max(1, int(told[0]["gpus"]))


def _block(told: Sequence[dict[str, Any]], key: str, first_port: Callable[[int], int], count: int) -> int:
    """The first of `count` blocks of ports in which all nodes can listen. Raises StageFailed for none."""
    free: set[int] = set.intersection(*(set(each[key]) for each in told))
    if not free:
        ports = ", ".join(str(first_port(block)) for block in range(count))
        what = f"none of the ports {ports}, or not those behind it, is free on all nodes"
        fix = "submit it again, with sbatch --exclusive where other jobs run on its nodes"
        raise _failed("port-taken", what, fix=fix)
    return min(free)


def _resume(told: Sequence[dict[str, Any]], asked: Asked) -> dict[str, Any] | None:
    held = [(number, name, sha256) for each in told for name, number, sha256 in each["held"]]
    if not held:
        return None
    number, name, sha256 = max(held)
    holders = [each["rank"] for each in told if [name, number, sha256] in each["held"]]
    everybody = list(range(len(told)))
    return {
        "name": name, "number": number, "sha256": sha256, "holders": everybody if asked.shared else holders,
    }  # fmt: skip


def _failed(code: str, what: str, *, fix: str, node: str = "master") -> StageFailed:
    return StageFailed(code, what, fix=fix, node=node, stage="rendezvous")
