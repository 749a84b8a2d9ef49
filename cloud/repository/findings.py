"""What is learnt about a repository, and how a commit's files are read by git, wherever its objects lie."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloud.errors import Problem
from cloud.git.command import Answer, git
from cloud.git.entrypoint import examine, parse_listing

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.model import Job
    from cloud.node.recognise import Recognition

TIMEOUT_S = 20.0  # names of all files, or the text of one
FOLLOW_S = 20.0  # for the files that the entrypoint imports: a host sends them one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was learnt about the job's repository."""

    problems: tuple[Problem, ...] = ()
    """Errors, warnings and notes, in the order they were met."""
    branch: str = ""
    """Name of what was resolved, for a person."""
    age: str = ""
    """How long ago the commit was made: `2 days ago`; empty when it is not known."""
    recognition: Recognition | None = None
    """What the entrypoint is written for; None when it was not read."""
    stand_in: str = ""
    """Directory that a rehearsal must be given as its source; empty where it needs none."""


@dataclass(slots=True)
class Notes:
    """Findings in the making."""

    problems: list[Problem] = field(default_factory=list)
    branch: str = ""
    age: str = ""
    recognition: Recognition | None = None
    stand_in: str = ""

    def note(self, code: str, what: str, fix: str = "") -> None:
        """Keep a note."""
        self.problems.append(Problem(code=code, level="note", what=what, fix=fix))

    def error(self, code: str, what: str, fix: str = "") -> None:
        """Keep an error."""
        self.problems.append(Problem(code=code, what=what, fix=fix))

    def unread(self, answer: Answer) -> None:
        """The host or git did not show the files."""
        self.note("files-not-read", f"the files were not read here ({answer.reason}); the machines will")


def examined(job: Job, directory: Path, nnodes: int, notes: Notes) -> None:
    """Note the age of the job's commit, and what its files say."""
    notes.age = within(directory, "log", "-1", "--format=%cr", job.commit).text
    listed = within(directory, "ls-tree", "-r", "-z", job.commit)
    if listed.code:
        notes.unread(listed)
        return

    until = time.monotonic() + FOLLOW_S

    def read(path: str) -> bytes | None:
        if time.monotonic() > until:
            return None
        answer = within(directory, "cat-file", "blob", f"{job.commit}:{path}")
        return None if answer.code else answer.out

    notes.recognition, problems = examine(job, parse_listing(listed.out), read, nnodes)
    notes.problems += problems


def within(directory: Path, *words: str) -> Answer:
    """git in a directory, with the time that a listing may take."""
    return git(*words, directory=directory, timeout_s=TIMEOUT_S)
