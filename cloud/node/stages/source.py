"""source: the master clones the repository and pins the commit, workers take the master's checkout.

Nothing of the repository is executed here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import time
from importlib import import_module
from pathlib import Path

from ..context import Context
from ..failure import StageFailed

_TRIES, _PAUSE_S = 10, 6.0  # a first boot's name server and router may be minutes late
_REHEARSAL_TRIES, _REHEARSAL_PAUSE_S = 2, 1.0
_FIXES = {
    "No space left": ("disk-full", "choose a flavor with a larger disk"),
    "resolve host": (
        "repository-unreachable",
        "give machines a name server and a way out; offline, rehearse a checkout: --source DIR",
    ),
}


def run(context: Context, deadline: float) -> str:
    """Have the checkout of this run. Returns the commit, for the console."""
    _have_git(context, deadline)
    added = "".join(
        f", {part}: {import_module(f'..{part}', __package__).add(context, deadline)}"
        for part in _CARRIED
        if getattr(context.job, part)
    )
    link, checkout = context.connected(), context.layout.checkout(context.run)
    archive, marker = (context.layout.run(context.run) / name for name in ("source.tar", "commit"))
    coordinator = context.coordinator
    if marker.is_file():  # an earlier start of this run was here
        commit = marker.read_text()
        if coordinator is not None:
            coordinator.publish("source", {"commit": commit})
    elif coordinator is not None:
        shutil.rmtree(checkout, ignore_errors=True)
        commit = _clone(context, checkout, deadline)
        _require_files(context, checkout)
        with tarfile.open(archive, "w") as tar:
            tar.add(checkout, "src")
        coordinator.store.keep_shared_file("source", archive)
        coordinator.publish("source", {"commit": commit})
    else:
        commit = link.published("source", deadline)["commit"]
        link.fetch("source", archive)
        safely = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}  # Python 3.9 may not know it
        with tarfile.open(archive) as tar:
            tar.extractall(checkout.parent, **safely)  # type: ignore[arg-type]  # noqa: S202 - the master made it
        archive.unlink()
    context.found["commit"] = _git(context, checkout, "rev-parse", "HEAD")
    if context.found["commit"] != commit:
        raise StageFailed(
            "commit-differs", f"{context.identity.name} has {context.found['commit']} instead of {commit}"
        )
    marker.write_text(commit)
    return f"{commit[:12]}{added}"


_CARRIED = ("swap", "share")  # modules that come along only where they are asked for


def _have_git(context: Context, deadline: float) -> None:
    context.layout.home.mkdir(parents=True, exist_ok=True)
    missing = context.host.missing_packages()
    if missing:
        if context.host.is_rehearsal:
            raise StageFailed(
                "package-missing", f"this machine lacks {' and '.join(missing)}",
                fix=f"sudo apt install {' '.join(missing)}",
            )  # fmt: skip
        install(context, missing, deadline)
    lines = ["[safe]", "directory = *", "[core]", "hooksPath = /dev/null", "[advice]", "detachedHead = false"]
    if os.environ.get("HOTRUN_GITCONFIG"):
        lines += ["[include]", f"path = {os.environ['HOTRUN_GITCONFIG']}"]
    _gitconfig(context).parent.mkdir(parents=True, exist_ok=True)
    _gitconfig(context).write_text("\n".join(lines) + "\n")


def install(context: Context, missing: list[str], deadline: float) -> None:
    """Install OS packages; StageFailed `package-missing` with the last lines of their manager."""
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        context.host.install(
            missing, lambda command: context.execute(command, deadline=deadline, env=quiet), deadline
        )
    except RuntimeError as error:
        raise StageFailed(
            "package-missing", f"{missing} could not be installed", log=str(error).splitlines()
        ) from error


def _clone(context: Context, checkout: Path, deadline: float) -> str:
    repo, ref = context.job.repo, context.job.ref
    quick = context.host.is_rehearsal
    tries, pause_s = (_REHEARSAL_TRIES, _REHEARSAL_PAUSE_S) if quick else (_TRIES, _PAUSE_S)
    for attempt in range(1, tries + 1):
        code, tail = _run_git(context, deadline, "clone", "--no-checkout", "--", repo, str(checkout))
        if code == 0:
            break
        if attempt == tries or not _may_pass(tail):
            raise _unreachable(repo, tail)
        context.waiting(f"trying to clone again: {_cause(tail)}")
        time.sleep(pause_s)
    commit = _commit(context, checkout, ref, deadline)
    code, tail = _run_git(context, deadline, "-C", str(checkout), "checkout", "--quiet", "--detach", commit)
    if code == 0 and (checkout / ".gitmodules").exists():
        code, tail = _run_git(
            context, deadline, "-C", str(checkout), "submodule", "update", "--init", "--recursive"
        )
    if code != 0:
        raise StageFailed("checkout-failed", f"{commit[:12]} can't be checked out: {_cause(tail)}", log=tail)
    return commit


def _unreachable(repo: str, tail: list[str]) -> StageFailed:
    fix = "correct the address; a private repository needs a mirror that machines can read"
    found = [each for words, each in _FIXES.items() if any(words in line for line in tail)]
    code, fix = found[0] if found else ("repository-unreachable", fix)
    return StageFailed(code, f"{repo} can't be cloned: {_cause(tail)}", log=tail, fix=fix)


def _commit(context: Context, checkout: Path, ref: str, deadline: float) -> str:
    """The commit that `ref` means at the host: a branch before a tag before a commit."""
    candidates = (
        [f"refs/remotes/origin/{ref}", f"refs/tags/{ref}", ref]
        if ref
        else ["refs/remotes/origin/HEAD", "HEAD"]
    )
    for fetched in (False, True):
        for candidate in candidates:
            commit = _git(
                context,
                checkout,
                "rev-parse",
                "--verify",
                "--quiet",
                "--end-of-options",
                candidate + "^{commit}",
            )
            if commit:
                return commit
        if ref and not fetched:  # a commit that no branch holds: some hosts give it when asked by name
            _run_git(context, deadline, "-C", str(checkout), "fetch", "--quiet", "origin", ref)
    raise StageFailed(
        "ref-not-found", f"{context.job.repo} has no branch, tag or commit {ref or 'HEAD'}",
        fix="push it, or generate the template again",
    )  # fmt: skip


def _require_files(context: Context, checkout: Path) -> None:
    if not (checkout / context.job.program_path).is_file():
        raise StageFailed(
            "entrypoint-not-found", f"{context.job.program_path} is not in the repository at this commit",
            where=context.job.program_path, fix="correct the answers to the last two questions",
        )  # fmt: skip


def _git(context: Context, checkout: Path, *arguments: str) -> str:
    """Output of a quick git command, empty when it fails."""
    command = ["git", "-C", str(checkout), *arguments]
    env = context.base_environment(_git_environment(context))
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.strip() if done.returncode == 0 else ""


def _run_git(context: Context, deadline: float, *arguments: str) -> tuple[int, list[str]]:
    return context.execute(["git", *arguments], deadline=deadline, env=_git_environment(context))


def _git_environment(context: Context) -> dict[str, str]:
    return {
        "GIT_CONFIG_GLOBAL": str(_gitconfig(context)), "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true",
        "GIT_ALLOW_PROTOCOL": "https:file" if os.environ.get("HOTRUN_GITCONFIG") else "https",
    }  # fmt: skip


def _gitconfig(context: Context) -> Path:
    return context.layout.tools / "gitconfig"


def _may_pass(tail: list[str]) -> bool:
    """Whether trying again can help: the network, not the address."""
    text = "\n".join(tail).lower()
    return any(words in text for words in _PASSING)


_PASSING = (
    "timed out", "reset by peer", "temporary failure", "early eof", "connection refused",
    "could not resolve host", "couldn't connect", "returned error: 50", "network is unreachable",
)  # fmt: skip


def _cause(tail: list[str]) -> str:
    """git's own reason: its first `fatal:` or `error:` line."""
    for line in tail:
        for prefix in ("fatal: ", "error: ", "remote: "):
            if line.startswith(prefix):
                return line[len(prefix) :]
    return tail[-1] if tail else "git said nothing"
