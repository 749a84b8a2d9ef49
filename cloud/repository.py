"""A job's repository -> its commit, and what its files say. The only part of generation that runs git.

https address    git ls-remote, then the commit's listing and two files; without an answer: a note, and go on
local path       the same from the checkout's own objects; an https origin takes the path's place
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.errors import Problem
from cloud.git.command import TIMED_OUT, Answer, GitMissing, git
from cloud.git.entrypoint import examine, parse_listing
from cloud.git.refs import Refs, parse_refs
from cloud.request import addresses, rules

if TYPE_CHECKING:
    from cloud.model import Job
    from cloud.node.recognise import Recognition

REFS_TIMEOUT_S = 10.0  # a host that answers does so within two
FILES_TIMEOUT_S = 20.0  # names of all files, and the text of one
LOCAL_TIMEOUT_S = 20.0
_LATER = "the master pins the ref when it boots"


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


@dataclass(slots=True)
class _Notes:
    """Findings in the making."""

    problems: list[Problem] = field(default_factory=list)
    branch: str = ""
    age: str = ""
    recognition: Recognition | None = None

    def note(self, code: str, what: str, fix: str = "") -> None:
        self.problems.append(Problem(code=code, level="note", what=what, fix=fix))

    def error(self, code: str, what: str, fix: str = "") -> None:
        self.problems.append(Problem(code=code, what=what, fix=fix))


def inspect(job: Job, nnodes: int = 1) -> tuple[Job, Findings]:
    """Resolve the ref, read the entrypoint, and return the job with its commit.

    Raises nothing for what is wrong with the repository: errors are among the findings' problems.
    """
    notes = _Notes()
    try:
        found = _local(job, nnodes, notes) if job.is_local else _remote(job, nnodes, notes)
    except GitMissing:
        found = job
        if job.is_local:
            notes.error("git-missing", "git is not installed on this machine, and repo is a local path")
        else:
            notes.note("git-missing", f"git is not installed on this machine: {_LATER}")
    return found, Findings(
        problems=tuple(notes.problems), branch=notes.branch, age=notes.age, recognition=notes.recognition
    )


def _remote(job: Job, nnodes: int, notes: _Notes) -> Job:
    with tempfile.TemporaryDirectory(prefix="hotrun-") as scratch:
        directory = Path(scratch)
        answer = git(
            "ls-remote", "--symref", "--", job.repo, "HEAD", "refs/heads/*", "refs/tags/*",
            directory=directory, timeout_s=REFS_TIMEOUT_S,
        )  # fmt: skip
        if answer.code:
            _not_listed(job, answer, notes)
            return job
        commit = _resolved(job, parse_refs(answer.text), notes)
        if not commit:
            return job
        found = replace(job, commit=commit)
        if _fetched(found, directory, notes):
            _examined(found, directory, nnodes, notes)
        return found


def _not_listed(job: Job, answer: Answer, notes: _Notes) -> None:
    """A host that says no is an error; one that says nothing is a note."""
    refused = re.search(
        r"not found|could not read Username|terminal prompts disabled|Authentication failed|error: 40[134]"
        r"|is this a git repository|does not appear to be a git",
        answer.err,
    )
    if answer.code == TIMED_OUT or not refused:
        notes.note("host-silent", f"the host did not answer ({answer.reason}): {_LATER}")
        return
    login = re.search(r"Username|prompts disabled|Authentication|error: 40[13]", answer.err)
    if login:
        what = f"repo is {job.repo}, and its host asks for a login: it is private, or not there"
    else:
        what = f"repo is {job.repo}, but there is no git repository"
    notes.error("repo-not-found", what, "check the address; the machines reach only what anybody can read")


def _resolved(job: Job, refs: Refs, notes: _Notes) -> str:
    """The commit that the ref means on the host, or empty with an error noted."""
    name, commit = refs.resolve(job.ref)
    notes.branch = name
    if commit:
        return commit
    if not refs.commits:
        notes.error("repo-empty", f"repo is {job.repo}, which has no commit yet", "commit and git push")
    elif re.fullmatch(r"[0-9a-f]{4,39}", job.ref):
        what = f"ref is {job.ref}, which is no branch or tag; a commit needs all 40 digits"
        notes.error("ref-not-found", what, f"git rev-parse {job.ref}")
    else:
        fix = rules.near(job.ref, refs.names) or f"it has {', '.join(refs.names[:5])}"
        notes.error(
            "ref-not-found",
            f"ref is {rules.shown(job.ref)}, but the repository has no such branch or tag",
            fix,
        )
    return ""


def _fetched(job: Job, directory: Path, notes: _Notes) -> bool:
    """Bring the commit and its listing; the files' contents follow one by one when they are read."""
    steps = (
        ("init", "--quiet", "--bare"),
        ("remote", "add", "origin", job.repo),
        ("fetch", "--quiet", "--depth=1", "--no-tags", "--filter=blob:none", "origin", job.commit),
    )
    for step in steps:
        answer = git(*step, directory=directory, timeout_s=FILES_TIMEOUT_S)
        if answer.code:
            if "not our ref" in answer.err:
                notes.error(
                    "ref-not-found", f"ref is {job.commit}, but the repository has no such commit", "git push"
                )
            else:
                notes.note(
                    "files-not-read", f"the files were not read here ({answer.reason}); the machines will"
                )
            return False
    return True


def _local(job: Job, nnodes: int, notes: _Notes) -> Job:
    path = Path(job.repo)
    if not path.is_dir():
        kind = "a file" if path.exists() else "not there"
        fix = "write the repository's https:// address, or the directory of a checkout"
        notes.error("repo-not-found", f"repo is {rules.shown(job.repo)}, which is {kind}", fix)
        return job
    root = git("rev-parse", "--show-toplevel", directory=path, timeout_s=LOCAL_TIMEOUT_S)
    bare = "must be run in a work tree" in root.err
    if root.code and not bare:
        fix = f"git -C {job.repo} init, then commit" if "not a git repository" in root.err else ""
        notes.error("repo-not-found", f"repo is {job.repo}, but git says: {root.reason}", fix)
        return job
    directory = path if bare else Path(root.text)
    wanted = job.ref or "HEAD"
    commit = git(
        "rev-parse",
        "--verify",
        "--quiet",
        f"{wanted}^{{commit}}",
        directory=directory,
        timeout_s=LOCAL_TIMEOUT_S,
    )
    if commit.code:
        what = f"ref is {job.ref}, but {directory} has no such branch, tag or commit"
        if job.ref:
            notes.error("ref-not-found", what, rules.near(job.ref, _local_names(directory)))
        else:
            notes.error("repo-empty", f"repo is {directory}, which has no commit yet", "git commit")
        return job
    head = git("rev-parse", "--abbrev-ref", "HEAD", directory=directory, timeout_s=LOCAL_TIMEOUT_S).text
    notes.branch = job.ref or head
    found = replace(job, repo=str(directory), commit=commit.text)
    found = replace(found, repo=_published(found, directory, notes))
    if not bare:
        _dirty(directory, notes)
    _examined(found, directory, nnodes, notes)
    return found


def _local_names(directory: Path) -> list[str]:
    listed = git("for-each-ref", "--format=%(refname:short)", directory=directory, timeout_s=LOCAL_TIMEOUT_S)
    return listed.text.splitlines()


def _published(job: Job, directory: Path, notes: _Notes) -> str:
    """The https address of the checkout's origin, or the path itself when it has none."""
    origin = git("config", "--get", "remote.origin.url", directory=directory, timeout_s=LOCAL_TIMEOUT_S).text
    address = addresses.https_form(origin)
    if not address:
        return str(directory)
    how = "" if origin == address else ", rewritten from the origin of this checkout"
    notes.note("repo-from-origin", f"repo is {address}{how}; rehearse --source {directory} needs no network")
    on_remote = git(
        "branch", "--remotes", "--contains", job.commit, directory=directory, timeout_s=LOCAL_TIMEOUT_S
    )
    if not on_remote.text.strip():
        what = f"commit {job.commit[:7]} is not on {address} yet, and the machines clone it from there"
        notes.problems.append(Problem(code="commit-not-pushed", level="warning", what=what, fix="git push"))
    return address


def _dirty(directory: Path, notes: _Notes) -> None:
    changed = git("status", "--porcelain", directory=directory, timeout_s=LOCAL_TIMEOUT_S).text.splitlines()
    if changed:
        files = "1 file is" if len(changed) == 1 else f"{len(changed):,} files are"
        notes.note("tree-dirty", f"{files} changed here and not committed: the machines get the commit")


def _examined(job: Job, directory: Path, nnodes: int, notes: _Notes) -> None:
    notes.age = git(
        "log", "-1", "--format=%cr", job.commit, directory=directory, timeout_s=LOCAL_TIMEOUT_S
    ).text
    listed = git("ls-tree", "-r", "-z", job.commit, directory=directory, timeout_s=FILES_TIMEOUT_S)
    if listed.code:
        notes.note("files-not-read", f"the files were not read here ({listed.reason}); the machines will")
        return

    def read(path: str) -> bytes | None:
        answer = git(
            "cat-file", "blob", f"{job.commit}:{path}", directory=directory, timeout_s=FILES_TIMEOUT_S
        )
        return None if answer.code else answer.out

    notes.recognition, problems = examine(job, parse_listing(listed.out), read, nnodes)
    notes.problems += problems
