"""A job's repository -> its commit, and what its files say. The only part of generation that runs git.

host.py      https address: git ls-remote, then the listing and two files; without an answer: a note, go on
checkout.py  local path: the same from its own objects; an https origin takes the path's place.
             A tree without git: the path and its files as they are; there is no commit
findings.py  what both fill in
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloud.git.command import GitMissing
from cloud.repository.checkout import looked_at
from cloud.repository.findings import Findings, Notes
from cloud.repository.host import LATER, asked
from cloud.request.settings import CARRIED_ENGINES

if TYPE_CHECKING:
    from cloud.model import Job

__all__ = ["Findings", "inspect"]


def inspect(job: Job, nnodes: int = 1) -> tuple[Job, Findings]:
    """Resolve the ref, read the entrypoint, and return the job with its commit.

    Raises nothing for what is wrong with the repository: errors are among the findings' problems.
    """
    notes = Notes()
    try:
        found = looked_at(job, nnodes, notes) if job.is_local else asked(job, nnodes, notes)
    except GitMissing:
        found = job
        if job.is_local:
            notes.error("git-missing", "git is not installed on this machine, and repo is a local path")
        else:
            notes.note("git-missing", f"git is not installed on this machine: {LATER}")
    if notes.recognition and job.engine == "auto" and notes.recognition.engine in CARRIED_ENGINES:
        found = replace(found, engine=notes.recognition.engine)  # the template must carry it
    return found, Findings(
        problems=tuple(notes.problems), branch=notes.branch, age=notes.age, recognition=notes.recognition,
        stand_in=notes.stand_in,
    )  # fmt: skip
