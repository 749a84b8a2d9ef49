"""A job's repository -> its commit, and what its files say. The only part of generation that runs git.

https address    git ls-remote, then the commit's listing and two files; without an answer: a note, and go on
local path       the same from the checkout's own objects; an https origin takes the path's place
tree without git the path and its files as they are; there is no commit
"""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.errors import Problem
from cloud.git import tree
from cloud.git.command import TIMED_OUT, Answer, GitMissing, git
from cloud.git.entrypoint import examine, parse_listing
from cloud.git.refs import Refs, parse_refs
from cloud.request import addresses, rules
from cloud.request.settings import CARRIED_ENGINES

if TYPE_CHECKING:
    from cloud.model import Job
    from cloud.node.recognise import Recognition

REFS_TIMEOUT_S = 10.0  # a host that answers does so within two
TIMEOUT_S = 20.0  # names of all files, or the text of one
FOLLOW_S = 20.0  # for the files that the entrypoint imports: a host sends them one by one
MAX_FILES = 100_000  # of a tree without git; listing them takes half a second
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
    stand_in: str = ""
    """Directory that a rehearsal must be given as its source; empty where it needs none."""


@dataclass(slots=True)
class _Notes:
    """Findings in the making."""

    problems: list[Problem] = field(default_factory=list)
    branch: str = ""
    age: str = ""
    recognition: Recognition | None = None
    stand_in: str = ""

    def note(self, code: str, what: str, fix: str = "") -> None:
        self.problems.append(Problem(code=code, level="note", what=what, fix=fix))

    def error(self, code: str, what: str, fix: str = "") -> None:
        self.problems.append(Problem(code=code, what=what, fix=fix))

    def unread(self, answer: Answer) -> None:
        self.note("files-not-read", f"the files were not read here ({answer.reason}); the machines will")


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
    if notes.recognition and job.engine == "auto" and notes.recognition.engine in CARRIED_ENGINES:
        found = replace(found, engine=notes.recognition.engine)  # the template must carry it
    return found, Findings(
        problems=tuple(notes.problems), branch=notes.branch, age=notes.age, recognition=notes.recognition,
        stand_in=notes.stand_in,
    )  # fmt: skip


def _remote(job: Job, nnodes: int, notes: _Notes) -> Job:
    with tempfile.TemporaryDirectory(prefix="hotrun-") as scratch:
        directory = Path(scratch)
        _in(directory, "init", "--quiet", "--bare")
        # The longest prefix wins: the user's own insteadOf must not make ssh of the address.
        _in(directory, "config", f"url.{job.repo}.insteadOf", job.repo)
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
    if answer.is_rewritten:
        what = f"the host was not asked, as git's insteadOf rewrites its address here ({answer.reason})"
        notes.note("address-rewritten", f"{what}: {_LATER}", "git config --get-regexp 'url.*insteadof'")
        return
    if answer.code == TIMED_OUT or not answer.says_no:
        notes.note("host-silent", f"the host did not answer ({answer.reason}): {_LATER}")
        return
    if answer.asks_login:
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
        what = f"ref is {rules.shown(job.ref)}, but the repository has no such branch or tag"
        notes.error("ref-not-found", what, fix)
    return ""


def _fetched(job: Job, directory: Path, notes: _Notes) -> bool:
    """Bring the commit and its listing; the files' contents follow one by one when they are read."""
    steps = (
        ("remote", "add", "origin", job.repo),
        ("fetch", "--quiet", "--depth=1", "--no-tags", "--filter=blob:none", "origin", job.commit),
    )
    for step in steps:
        answer = _in(directory, *step)
        if answer.code:
            if "not our ref" in answer.err:
                what = f"ref is {job.commit}, but the repository has no such commit"
                notes.error("ref-not-found", what, "git push")
            else:
                notes.unread(answer)
            return False
    return True


def _local(job: Job, nnodes: int, notes: _Notes) -> Job:
    path = Path(job.repo)
    if not path.is_dir():
        kind = "a file" if path.exists() else "not there"
        fix = "write the repository's https:// address, or the directory of a checkout"
        notes.error("repo-not-found", f"repo is {rules.shown(job.repo)}, which is {kind}", fix)
        return job
    root = _in(path, "rev-parse", "--show-toplevel")
    bare = "must be run in a work tree" in root.err
    if "not a git repository" in root.err and not (path / ".git").exists():
        _tree(job, path, nnodes, notes)
        return job
    if root.code and not bare:
        is_foreign = "dubious ownership" in root.err  # git before 2.38 takes no -c for it
        fix = f"git config --global --add safe.directory {job.repo}" if is_foreign else ""
        notes.error("repo-not-found", f"repo is {job.repo}, but git says: {root.reason}", fix)
        return job
    directory = path if bare else Path(root.text)
    commit = _in(directory, "rev-parse", "--verify", "--quiet", f"{job.ref or 'HEAD'}^{{commit}}")
    if commit.code:
        what = f"ref is {job.ref}, but {directory} has no such branch, tag or commit"
        if job.ref:
            notes.error("ref-not-found", what, rules.near(job.ref, _local_names(directory)))
        else:
            notes.error("repo-empty", f"repo is {directory}, which has no commit yet", "git commit")
        return job
    notes.branch = job.ref or _in(directory, "rev-parse", "--abbrev-ref", "HEAD").text
    found = replace(job, repo=str(directory), commit=commit.text)
    found = replace(found, repo=_published(found, directory, notes))
    if not bare:
        _dirty(directory, notes)
    _examined(found, directory, nnodes, notes)
    return found


def _tree(job: Job, path: Path, nnodes: int, notes: _Notes) -> None:
    """Read the files of an unpacked archive as they are; only a rehearsal can use them, as a snapshot."""
    if job.ref:
        what = f"ref is {job.ref}, but {path} is not in git: it has no branch, tag or commit"
        notes.error("ref-not-found", what, "leave out --ref")
        return
    notes.stand_in = str(path)
    what = f"{path} is not in git, so there is no commit: rehearse --source {path} makes a snapshot of it"
    notes.note("tree-without-git", what)
    listing = dict(islice(tree.files(path), MAX_FILES + 1))
    if len(listing) > MAX_FILES:
        notes.note("files-not-read", f"{path} has more than {MAX_FILES:,} files: they were not read here")
        return

    def read(name: str) -> bytes | None:
        try:
            return (path / name).read_bytes()
        except OSError:
            return None

    notes.recognition, problems = examine(job, listing, read, nnodes)
    notes.problems += problems


def _local_names(directory: Path) -> list[str]:
    return _in(directory, "for-each-ref", "--format=%(refname:short)").text.splitlines()


def _published(job: Job, directory: Path, notes: _Notes) -> str:
    """The https address of the checkout's origin, or the path itself when it has none."""
    origin = _in(directory, "config", "--get", "remote.origin.url").text
    address = addresses.https_form(origin)
    if not address:
        return str(directory)
    how = "" if origin == address else ", rewritten from the origin of this checkout"
    notes.note("repo-from-origin", f"repo is {address}{how}; rehearse --source {directory} needs no network")
    if not _in(directory, "branch", "--remotes", "--contains", job.commit).text.strip():
        what = f"commit {job.commit[:7]} is not on {address} yet, and the machines clone it from there"
        notes.problems.append(Problem(code="commit-not-pushed", level="warning", what=what, fix="git push"))
        notes.stand_in = str(directory)
    return address


def _dirty(directory: Path, notes: _Notes) -> None:
    status = git("status", "--porcelain", directory=directory, timeout_s=TIMEOUT_S, only_own=True)
    changed = status.text.splitlines()
    if changed:
        files = "1 file is" if len(changed) == 1 else f"{len(changed):,} files are"
        notes.note("tree-dirty", f"{files} changed here and not committed: the machines get the commit")


def _examined(job: Job, directory: Path, nnodes: int, notes: _Notes) -> None:
    notes.age = _in(directory, "log", "-1", "--format=%cr", job.commit).text
    listed = _in(directory, "ls-tree", "-r", "-z", job.commit)
    if listed.code:
        notes.unread(listed)
        return

    until = time.monotonic() + FOLLOW_S

    def read(path: str) -> bytes | None:
        if time.monotonic() > until:
            return None
        answer = _in(directory, "cat-file", "blob", f"{job.commit}:{path}")
        return None if answer.code else answer.out

    notes.recognition, problems = examine(job, parse_listing(listed.out), read, nnodes)
    notes.problems += problems


def _in(directory: Path, *words: str) -> Answer:
    return git(*words, directory=directory, timeout_s=TIMEOUT_S)
