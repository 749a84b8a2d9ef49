"""Runs git with a deadline: no prompt, no helper, nothing but https, nothing of the caller's repository.

A checkout may be somebody else's, so no program that its configuration names is run: no hook, no monitor, no
gpg. Filters alone can't be switched off; the one command that runs them (`status`) leaves git's own question
of the owner as it is: `git(…, only_own=True)`.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TIMED_OUT = 124
_DROPPED = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
)
# What only the user's own credentials can reach, the machines can't: no helper may answer.
_SETTINGS = (
    "-c",
    "credential.helper=",
    "-c",
    "core.askPass=",
    "-c",
    "core.fsmonitor=",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "log.showSignature=false",
    "-c",
    "protocol.version=2",
)
_ANY_OWNER = ("-c", "safe.directory=*")


class GitMissing(Exception):
    """There is no git on this machine."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What git said."""

    code: int
    """Exit status, TIMED_OUT when it was ended."""
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Standard output as text, without the last line's end."""
        return self.out.decode("utf-8", "replace").rstrip("\n")

    @property
    def reason(self) -> str:
        """The one line of what git wrote that says why it failed."""
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        fatal = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
        line = (fatal or lines or [f"exit {self.code}"])[0]
        line = re.sub(r"^(fatal|error|remote): ", "", line)
        line = re.sub(r"^unable to access '[^']*': ", "", line)
        return re.sub(r"//[^/\s@]*@", "//…@", line).rstrip(".")

    @property
    def is_rewritten(self) -> bool:
        """Whether the user's own url.….insteadOf made another transport of an https address."""
        return bool(re.search(r"transport '[^']*' not allowed", self.err))

    @property
    def asks_login(self) -> bool:
        """Whether the host wants to know who asks."""
        return bool(re.search(r"Username|prompts disabled|Authentication failed|error: 40[13]", self.err))

    @property
    def says_no(self) -> bool:
        """Whether the host answered, and there is nothing for everybody."""
        nothing = r"not found|error: 404|is this a git repository|does not appear to be a git"
        return self.asks_login or bool(re.search(nothing, self.err))


def git(*arguments: str, directory: Path, timeout_s: float, only_own: bool = False) -> Answer:
    """Run git in `directory`; raises GitMissing. All processes of a git that takes too long are killed.

    `only_own` lets git refuse a checkout of another user.
    """
    command = ["git", *_SETTINGS, *(() if only_own else _ANY_OWNER), *arguments]
    try:
        process = subprocess.Popen(
            command, cwd=directory, env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise GitMissing from error
    with process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _kill(process)
            process.communicate()
            return Answer(TIMED_OUT, b"", f"no answer within {timeout_s:g} s")
        except BaseException:  # Ctrl-C: a session of its own does not hear it
            _kill(process)
            raise
    return Answer(process.returncode, out, err.decode("utf-8", "replace"))


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in _DROPPED}
    return kept | {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GIT_ALLOW_PROTOCOL": "https",
        "GIT_OPTIONAL_LOCKS": "0",
    }


def _kill(process: subprocess.Popen[bytes]) -> None:
    if not hasattr(os, "killpg"):  # Windows
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
