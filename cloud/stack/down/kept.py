"""What this computer remembers of one very stack, made where it remembers nothing."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from cloud.errors import Problem, ProblemsFound
from cloud.stack import record
from cloud.stack.record import Record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cloud.stack.api import Cloud, Resource, Stack


def of(cloud: Cloud, stack: Stack, runs_dir: Path) -> Record:
    """Return the record of this very stack, new where there is none. Raises ProblemsFound `other-cloud`.

    Of an earlier stack of this name only the ids stay: what was fetched of it says nothing of this one.
    """
    kept = record.read(runs_dir, stack.name)
    if kept is None:
        return Record(cloud=cloud.label, name=stack.name, template_sha256="", stack_id=stack.id)
    if kept.stack_id != stack.id:
        if kept.cloud != cloud.label:
            raise ProblemsFound(other_cloud(kept, cloud.label, runs_dir))
        return dataclasses.replace(
            kept, stack_id=stack.id, run="", fetched_run="", fetched_runs=(), deleted=""
        )
    return kept


def written(cloud: Cloud, stack: Stack, resources: Sequence[Resource], runs_dir: Path) -> Record:
    """Return the record of this very stack with all its ids, on the disk. Raises RequestError."""
    kept = record.claim(runs_dir, cloud.label, stack.name, stack.id)
    grown = kept.grow(resources)
    if grown is not kept:
        record.write(runs_dir, grown)
    return grown


def other_cloud(kept: Record, label: str, runs_dir: Path) -> Problem:
    """Return why the record of another cloud is no help."""
    what = f"{record.directory(runs_dir, kept.name)} remembers a stack of {kept.cloud}, and this is {label}"
    fix = "log in there (OS_CLOUD), or name another place with --runs-dir"
    return Problem(code="other-cloud", what=what, fix=fix)
