"""Cluster -> the text of job.sbatch. Pure: reads only the program's own files."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from typing import TYPE_CHECKING

import jinja2

from cloud import assets
from cloud.slurm import program
from cloud.template import provenance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.model import Cluster

LIMIT_S = 90  # before the time limit: for a checkpoint, and for the requeue


def text(cluster: Cluster) -> str:
    """Return job.sbatch; the same for the same cluster."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # shell, not HTML; every value is filtered
    )  # fmt: skip
    environment.filters["sh"] = lambda value: shlex.quote(str(value))
    packed = program.packed()
    return environment.from_string(assets.JOB_SCRIPT.read_text(encoding="utf-8")).render(
        provenance=provenance.head(cluster).rstrip("\n"), options=list(options(cluster)),
        name=job_name(cluster), digest=digest(cluster), sha256=packed.sha256, nodes=cluster.nnodes,
        wants_gpu="yes" if cluster.slurm.gpus else "no", modules=cluster.slurm.modules, job=job_line(cluster),
        archive=packed.lines,
    )  # fmt: skip


def is_ours(content: str) -> bool:
    """Whether a file's beginning is that of a job of this program."""
    return any(provenance.is_ours(line) for line in content.splitlines()[1:2])


def options(cluster: Cluster) -> Iterator[str]:
    """Yield what stands behind #SBATCH, a line each; every value has passed request/slurm.py."""
    asked = cluster.slurm
    yield f"--job-name={job_name(cluster)}"
    yield f"--nodes={cluster.nnodes}"
    yield "--ntasks-per-node=1"
    for flag, value in {
        "partition": asked.partition, "account": asked.account, "qos": asked.qos, "time": asked.time,
        "mem": asked.mem, "cpus-per-task": asked.cpus_per_task or "", "gpus-per-node": asked.gpus,
        "constraint": asked.constraint, "nodelist": asked.nodelist,
    }.items():  # fmt: skip
        if value:
            yield f"--{flag}={value}"
    yield "--output=hotrun-%j.log"
    yield "--open-mode=append"
    yield f"--signal=B:USR1@{LIMIT_S}"
    yield "--requeue"


def job_name(cluster: Cluster) -> str:
    """Return `digits-train`: repository and entrypoint in characters that a path and a queue bear."""
    words = (cluster.job.repo, cluster.job.entrypoint)
    parts = [re.sub(r"\.(git|py)$", "", word.rstrip("/").rpartition("/")[2]) for word in words]
    kept = [re.sub(r"[^A-Za-z0-9_]+", "-", part).strip("-")[:24] for part in parts]
    return "-".join(part for part in kept if part) or "training"


def digest(cluster: Cluster) -> str:
    """Return what names all that is prepared: twelve digits of what it depends on."""
    job = cluster.job
    parts = [job.repo, job.pinned_ref, job.requirements, job.entrypoint, job.engine, job.torch_index]
    parts += [str(bool(cluster.slurm.gpus)), *cluster.slurm.modules]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def job_line(cluster: Cluster) -> str:
    """Return the job as the node program reads it: JSON with a line for each key, ASCII."""
    job = cluster.job
    found = {
        "repo": job.repo, "ref": job.pinned_ref,
        "requirements": job.requirements, "entrypoint": job.entrypoint,
        "args": job.args, "setup": job.setup, "env": list(job.env), "engine": job.engine,
        "nproc_per_node": job.nproc_per_node, "torch_index": job.torch_index, "restarts": job.restarts,
        "allow_single": "yes" if job.allow_single else "no", "adapt": "yes" if job.adapt else "no",
        "master": "", "secret": "",
    }  # fmt: skip
    lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in found.items())
    return "{\n  " + ",\n  ".join(lines) + "\n}"
