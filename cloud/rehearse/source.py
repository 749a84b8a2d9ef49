"""A directory that stands in for the repository's address, by git's own `insteadOf`; it stays untouched.

Only commits are used. A tree without .git is copied and committed beside the machines' roots.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cloud.errors import Problem, ProblemsFound
from cloud.git import tree
from cloud.git.command import Answer, GitMissing, git
from cloud.rehearse.roots import remove

_GIT_TIMEOUT_S = 300
_SNAPSHOT_BY = "hotrun <hotrun@localhost> 946684800 +0000"  # the same tree makes the same commit
_PINNED = re.compile(r"[0-9a-f]{40}")
_TRUSTED = ("system", "global", "command")  # scopes of the person's own configuration
_AS_IT_IS = "* -filter -text -ident -working-tree-encoding\n"  # stronger than a tree's .gitattributes

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
    if not _is_repository(directory):
        return _snapshot(directory, scratch / "snapshot", say)
    answer = _git(directory, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if answer.code:
        raise _problem("source-no-commit", f"{directory} has no commit yet", "git commit first")
    commit = answer.text
    say(f"the repository is {directory} at {commit[:7]}")
    changed = _changed(directory)
    if changed:
        say(f"uncommitted changes are not used: {', '.join(line[2:].strip() for line in changed[:3])}"
            + (f" and {len(changed) - 3} more" if len(changed) > 3 else ""))  # fmt: skip
    return Source(directory, commit)


def say_if_moved(repo: str, ref: str, say: Say) -> None:
    """A template pins a commit; say it when the repository is a path here that has gone on since."""
    directory = Path(repo)
    if not directory.is_absolute() or not _PINNED.fullmatch(ref):
        return
    head = _git(directory, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if head.code == 0 and head.text != ref:
        now = f"{directory} is at {head.text[:7]} now"
        say(f"the template pins {ref[:7]}, and {now}: generate again, or add --source")


def _changed(directory: Path) -> list[str]:
    """Lines of `git status`, without the programs that the directory's own configuration calls filters."""
    listed = _git(directory, "config", "--show-scope", "--null", "--name-only", "--get-regexp", "^filter\\.")
    if listed.code not in (0, 1):  # 1: there are none
        return []
    fields = listed.text.split("\0")
    names = {name for scope, name in zip(fields[::2], fields[1::2], strict=False) if scope not in _TRUSTED}
    filters = {name.rpartition(".")[0] for name in names}
    off = [f"{name}.{key}" for name in sorted(filters) for key in ("clean=", "process=", "required=false")]
    settings = [word for setting in off for word in ("-c", setting)]
    status = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty")
    return _git(directory, *settings, *status).text.splitlines()


def _snapshot(directory: Path, copy: Path, say: Say) -> Source:
    remove(copy)

    def skipped(parent: str, names: list[str]) -> list[str]:
        here = tree.skipped(directory, parent)
        return [name for name in names if name in here]

    try:
        shutil.copytree(directory, copy, symlinks=True, ignore=skipped)
    except (shutil.Error, OSError) as error:
        reason = error.args[0][0][2] if isinstance(error, shutil.Error) else str(error)
        raise _problem(
            "source-unreadable", f"{directory} can't be copied: {reason}", "make it readable"
        ) from error
    size = sum(path.lstat().st_size for path in copy.rglob("*"))
    without = ", ".join((*tree.SKIPPED_AT_THE_TOP, *tree.SKIPPED))
    say(f"the repository is a snapshot of {directory} ({size / 1e6:,.1f} MB, without {without})")
    return Source(copy, _committed(copy, f"{directory}\n"))


def _committed(copy: Path, message: str) -> str:
    """Commit the whole tree without its author's hooks, filters, signature or clock."""
    _must(copy, "init", "--quiet", "--initial-branch=main", "--template=")
    (copy / ".git/info").mkdir(exist_ok=True)
    (copy / ".git/info/attributes").write_text(_AS_IT_IS, encoding="ascii")
    _must(copy, "add", "--all", "--force", ".")
    tree = _must(copy, "write-tree")
    content = copy / ".git/snapshot-commit"
    text = f"tree {tree}\nauthor {_SNAPSHOT_BY}\ncommitter {_SNAPSHOT_BY}\n\n{message}"
    content.write_bytes(text.encode("utf-8", "surrogateescape"))
    commit = _must(copy, "hash-object", "-t", "commit", "-w", "--no-filters", str(content))
    _must(copy, "update-ref", "refs/heads/main", commit)
    return commit


def _is_repository(directory: Path) -> bool:
    return (directory / ".git").exists() or _is_bare(directory)


def _is_bare(directory: Path) -> bool:
    return all((directory / part).exists() for part in ("HEAD", "objects", "refs"))


def _git(directory: Path, *command: str) -> Answer:
    """What git says about the repository at `directory`, whoever owns it; no other one is looked for."""
    is_bare = not (directory / ".git").exists() and _is_bare(directory)
    own = directory if is_bare else directory / ".git"
    place = (f"--git-dir={own}", f"--work-tree={directory}")
    try:
        return git(*place, *command, directory=directory, timeout_s=_GIT_TIMEOUT_S)
    except GitMissing as error:
        what = "git is not installed here, and every machine needs it"
        raise _problem("program-missing", what, "install git") from error


def _must(directory: Path, *command: str) -> str:
    answer = _git(directory, *command)
    if answer.code:
        raise _problem("source-unreadable", f"git {command[0]} in {directory}: {answer.reason}", "")
    return answer.text.strip()


def _quoted(value: str) -> str:
    """A string as gitconfig quotes it."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _problem(code: str, what: str, fix: str) -> ProblemsFound:
    return ProblemsFound(Problem(code=code, what=what, where="flag --source", fix=fix))
