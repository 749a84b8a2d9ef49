"""A directory that stands in for the repository's address, by git's own `insteadOf`; it stays untouched.

Only commits are used. A tree without .git is copied and committed beside the machines' roots.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloud.errors import Problem, ProblemsFound
from cloud.rehearse.roots import remove

if TYPE_CHECKING:
    from pathlib import Path

SKIPPED = (".git", ".venv", ".build", "runs", "__pycache__", "node_modules")
_GIT_TIMEOUT_S = 300
_SNAPSHOT_DATE = "2000-01-01T00:00:00Z"  # the same tree makes the same commit

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Source:
    """What the machines clone instead of the job's address."""

    directory: Path
    commit: str


def gitconfig(path: Path, repo: str, source: Source | None) -> Path:
    """Write the gitconfig that machines include: any owner's repository, and the stand-in if any."""
    lines = ["[safe]", "\tdirectory = *"]
    if source is not None:
        address = _quoted(source.directory.as_uri())
        lines += [f"[url {address}]", f"\tinsteadOf = {_quoted(repo)}"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def prepare(directory: Path, scratch: Path, say: Say) -> Source:
    """The repository at `directory` and its HEAD; `scratch` takes a gitconfig and, if needed, a snapshot.

    Raises ProblemsFound for no directory, no commit, or what git says.
    """
    if not directory.is_dir():
        raise _problem(
            "source-missing", f"{directory} is no directory", "name a checkout or an unpacked archive"
        )
    directory = directory.resolve()
    config = gitconfig(scratch / "source.gitconfig", "", None)
    if not _is_repository(directory):
        return _snapshot(directory, scratch / "snapshot", config, say)
    commit = _git(config, directory, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if commit is None:
        raise _problem("source-no-commit", f"{directory} has no commit yet", "git commit first")
    changed = (_git(config, directory, "status", "--porcelain", "--untracked-files=no") or "").splitlines()
    say(f"the repository is {directory} at {commit[:7]}")
    if changed:
        say(f"uncommitted changes are not used: {', '.join(line[2:].strip() for line in changed[:3])}"
            + (f" and {len(changed) - 3} more" if len(changed) > 3 else ""))  # fmt: skip
    return Source(directory, commit)


def _snapshot(directory: Path, copy: Path, config: Path, say: Say) -> Source:
    remove(copy)
    try:
        shutil.copytree(directory, copy, symlinks=True, ignore=shutil.ignore_patterns(*SKIPPED))
    except (shutil.Error, OSError) as error:
        reason = error.args[0][0][2] if isinstance(error, shutil.Error) else str(error)
        raise _problem(
            "source-unreadable", f"{directory} can't be copied: {reason}", "make it readable"
        ) from error
    size = sum(path.lstat().st_size for path in copy.rglob("*"))
    _must(config, copy, "init", "--quiet", "--initial-branch=main")
    _must(config, copy, "add", "--all", "--force", ".")
    who = ("-c", "user.name=hotrun", "-c", "user.email=hotrun@localhost", "-c", "commit.gpgSign=false")
    _must(
        config, copy, *who, "commit", "--quiet", "--allow-empty", "--no-verify", "--message", f"{directory}"
    )
    commit = _must(config, copy, "rev-parse", "HEAD")
    say(f"the repository is a snapshot of {directory} ({size / 1e6:,.1f} MB, without {', '.join(SKIPPED)})")
    return Source(copy, commit)


def _is_repository(directory: Path) -> bool:
    return (directory / ".git").exists() or all(
        (directory / part).exists() for part in ("HEAD", "objects", "refs")
    )


def _git(config: Path, directory: Path, *command: str) -> str | None:
    """What git printed, or None when it failed; no lock is taken, no configuration read but ours."""
    done = _run(config, directory, *command)
    return done.stdout.strip() if done.returncode == 0 else None


def _must(config: Path, directory: Path, *command: str) -> str:
    done = _run(config, directory, *command)
    if done.returncode != 0:
        raise _problem("source-unreadable", f"git {command[0]} in {directory}: {done.stderr.strip()}", "")
    return done.stdout.strip()


def _run(config: Path, directory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ |= {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8"}
    environ |= {"GIT_AUTHOR_DATE": _SNAPSHOT_DATE, "GIT_COMMITTER_DATE": _SNAPSHOT_DATE}
    return subprocess.run(
        ["git", "--no-optional-locks", "-C", str(directory), *command],
        env=environ, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        timeout=_GIT_TIMEOUT_S,
    )  # fmt: skip


def _quoted(value: str) -> str:
    """A string as gitconfig quotes it."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _problem(code: str, what: str, fix: str) -> ProblemsFound:
    return ProblemsFound(Problem(code=code, what=what, where="flag --source", fix=fix))
