"""An https address -> the commit that its host tells, and its files as far as it sends them."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.git.command import TIMED_OUT, Answer, git
from cloud.git.refs import Refs, parse_refs
from cloud.repository.findings import Notes, examined, within
from cloud.request import rules

if TYPE_CHECKING:
    from cloud.model import Job

REFS_TIMEOUT_S = 10.0  # a host that answers does so within two
LATER = "the master pins the ref when it boots"


def asked(job: Job, nnodes: int, notes: Notes) -> Job:
    """The job with its commit; as it was where the host tells none, with the reason noted."""
    with tempfile.TemporaryDirectory(prefix="hotrun-") as scratch:
        directory = Path(scratch)
        within(directory, "init", "--quiet", "--bare")
        # The longest prefix wins: the user's own insteadOf must not make ssh of the address.
        within(directory, "config", f"url.{job.repo}.insteadOf", job.repo)
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
            examined(found, directory, nnodes, notes)
        return found


def _not_listed(job: Job, answer: Answer, notes: Notes) -> None:
    """A host that says no is an error; one that says nothing is a note."""
    if answer.is_rewritten:
        what = f"the host was not asked, as git's insteadOf rewrites its address here ({answer.reason})"
        notes.note("address-rewritten", f"{what}: {LATER}", "git config --get-regexp 'url.*insteadof'")
        return
    if answer.code == TIMED_OUT or not answer.says_no:
        notes.note("host-silent", f"the host did not answer ({answer.reason}): {LATER}")
        return
    if answer.asks_login:
        what = f"repo is {job.repo}, and its host asks for a login: it is private, or not there"
    else:
        what = f"repo is {job.repo}, but there is no git repository"
    notes.error("repo-not-found", what, "check the address; the machines reach only what anybody can read")


def _resolved(job: Job, refs: Refs, notes: Notes) -> str:
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


def _fetched(job: Job, directory: Path, notes: Notes) -> bool:
    """Bring the commit and its listing; the files' contents follow one by one when they are read."""
    steps = (
        ("remote", "add", "origin", job.repo),
        ("fetch", "--quiet", "--depth=1", "--no-tags", "--filter=blob:none", "origin", job.commit),
    )
    for step in steps:
        answer = within(directory, *step)
        if answer.code:
            if "not our ref" in answer.err:
                what = f"ref is {job.commit}, but the repository has no such commit"
                notes.error("ref-not-found", what, "git push")
            else:
                notes.unread(answer)
            return False
    return True
