"""A local path -> its commit and its https origin; or its files as they are, where there is no git."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.errors import Problem
from cloud.git import tree
from cloud.git.command import git
from cloud.git.entrypoint import examine
from cloud.repository.findings import TIMEOUT_S, Notes, examined, within
from cloud.request import addresses, rules

if TYPE_CHECKING:
    from cloud.model import Job

MAX_FILES = 100_000  # of a tree without git; listing them takes half a second


def looked_at(job: Job, nnodes: int, notes: Notes) -> Job:
    """The job with its commit, and with the origin's address where it has one; reasons are noted."""
    path = Path(job.repo)
    if not path.is_dir():
        kind = "a file" if path.exists() else "not there"
        fix = "write the repository's https:// address, or the directory of a checkout"
        notes.error("repo-not-found", f"repo is {rules.shown(job.repo)}, which is {kind}", fix)
        return job
    root = within(path, "rev-parse", "--show-toplevel")
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
    commit = within(directory, "rev-parse", "--verify", "--quiet", f"{job.ref or 'HEAD'}^{{commit}}")
    if commit.code:
        what = f"ref is {job.ref}, but {directory} has no such branch, tag or commit"
        if job.ref:
            notes.error("ref-not-found", what, rules.near(job.ref, _local_names(directory)))
        else:
            notes.error("repo-empty", f"repo is {directory}, which has no commit yet", "git commit")
        return job
    notes.branch = job.ref or within(directory, "rev-parse", "--abbrev-ref", "HEAD").text
    found = replace(job, repo=str(directory), commit=commit.text)
    found = replace(found, repo=_published(found, directory, notes))
    if not bare:
        _dirty(directory, notes)
    examined(found, directory, nnodes, notes)
    return found


def _tree(job: Job, path: Path, nnodes: int, notes: Notes) -> None:
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
    return within(directory, "for-each-ref", "--format=%(refname:short)").text.splitlines()


def _published(job: Job, directory: Path, notes: Notes) -> str:
    """The https address of the checkout's origin, or the path itself when it has none."""
    origin = within(directory, "config", "--get", "remote.origin.url").text
    address = addresses.https_form(origin)
    if not address:
        return str(directory)
    how = "" if origin == address else ", rewritten from the origin of this checkout"
    notes.note("repo-from-origin", f"repo is {address}{how}; rehearse --source {directory} needs no network")
    if not within(directory, "branch", "--remotes", "--contains", job.commit).text.strip():
        what = f"commit {job.commit[:7]} is not on {address} yet, and the machines clone it from there"
        notes.problems.append(Problem(code="commit-not-pushed", level="warning", what=what, fix="git push"))
        notes.stand_in = str(directory)
    return address


def _dirty(directory: Path, notes: Notes) -> None:
    status = git("status", "--porcelain", directory=directory, timeout_s=TIMEOUT_S, only_own=True)
    changed = status.text.splitlines()
    if changed:
        files = "1 file is" if len(changed) == 1 else f"{len(changed):,} files are"
        notes.note("tree-dirty", f"{files} changed here and not committed: the machines get the commit")
