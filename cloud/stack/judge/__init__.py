"""What a stack takes x what the cloud has -> what is well and what is not. Pure: all was asked before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.errors import Problem
from cloud.stack.judge.leases import leases
from cloud.stack.judge.machines import flavors
from cloud.stack.judge.names import image, key, network, overlap
from cloud.stack.judge.quota import quotas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.stack.judge.case import Case, Finding, Judge


def name(case: Case) -> Iterator[Finding]:
    """No stack of this name is there."""
    found = case.answers.stack
    if found is None:
        return
    fix = "another --name"
    if found.is_ours:
        what = f"name {case.name} is a stack of yours already ({found.status}), and `up` goes on with it"
        yield Problem(code="stack-exists", level="warning", what=what, where="flag --name", fix=fix)
    else:
        what = f"name {case.name} is taken by a stack that hotrun did not make ({found.status})"
        yield Problem(code="stack-name-taken", what=what, where="flag --name", fix=fix)


def login(case: Case) -> Iterator[Finding]:
    """The login may make stacks."""
    if case.answers.is_application_credential:
        yield Problem(
            code="application-credential-may-fail",
            level="warning",
            what="the login is an application credential, and many clouds let those make no stacks",
            fix="if `up` is refused, log in with a password or your institution (OIDC)",
        )


JUDGES: tuple[Judge, ...] = (name, login, image, key, network, flavors, leases, quotas, overlap)
_IN_ONE_LINE = (image, key, network)


def judge(case: Case) -> tuple[list[str], list[Problem]]:
    """Return sentences about what is well, and every problem, in the order of the judges."""
    well: list[str] = []
    named: list[str] = []
    problems: list[Problem] = []
    for one in JUDGES:
        for finding in one(case):
            if isinstance(finding, Problem):
                problems.append(finding)
            else:
                (named if one in _IN_ONE_LINE else well).append(finding)
    return ([", ".join(named)] if named else []) + well, problems
