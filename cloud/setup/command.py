"""A command of an installer -> its end, or one sentence why not. Standard library; Python 3.7 can read it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


class CannotMake(Exception):
    """One sentence why there is no environment, with the command that helps."""


def say(text: str) -> None:
    """Write one line of progress."""
    print("hotrun: " + text, file=sys.stderr, flush=True)


def pip_line(package: str) -> str:
    """What to type to install a package beside this program, whichever environment it is in."""
    return f"{shlex.quote(sys.executable or 'python3')} -m pip install {shlex.quote(package)}"


def run(
    command: list[str],
    what: str,
    environ: dict[str, str] | None = None,
    show: bool = False,
    limit_s: float | None = None,
) -> None:
    """Run a command without stdin, its output kept for the error, or shown; a tick a second at a terminal.

    Raises CannotMake with the last line of the output that names an error, or after `limit_s` seconds.
    """
    env = {key: value for key, value in os.environ.items() if key not in _MISLEADING}
    env.update(environ or {})
    with tempfile.TemporaryFile() as output:
        target = sys.stderr if show else output
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=target, stderr=target, env=env)
        try:
            _watch(child, what, tick=sys.stderr.isatty() and not show, limit_s=limit_s)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        output.seek(0)
        lines = [
            line.strip() for line in output.read().decode("utf-8", "replace").splitlines() if line.strip()
        ]
    if child.returncode:
        errors = [line for line in lines if "error" in line.lower()] or lines or ["see above"]
        if any(_UNREACHABLE.search(line) for line in lines):
            errors = ["the package index can't be reached; with a network, a proxy or a mirror it goes on"]
        again = os.path.join(ROOT, "cloud", "bootstrap.py")
        raise CannotMake(
            f"{what} can't be installed: {errors[-1]}\n  once that is mended, type: python3 {again}"
        )


_UNREACHABLE = re.compile(  # pip's and uv's words; they then call the package unknown, which misleads
    r"failed to (resolve|establish)|name resolution|dns error|network is unreachable"
    r"|connection refused|timed out",
    re.IGNORECASE,
)
_MISLEADING = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PIP_USER",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "__PYVENV_LAUNCHER__",
)


def _watch(child: subprocess.Popen[bytes], what: str, tick: bool, limit_s: float | None) -> None:
    began = time.monotonic()
    while True:
        try:
            child.wait(timeout=1)
        except subprocess.TimeoutExpired:
            if limit_s is not None and time.monotonic() - began > limit_s:
                raise CannotMake(f"{what} can't be installed: not done after {limit_s:.0f} s") from None
            if tick:
                print(f"\r  {what} … {time.monotonic() - began:.0f} s ", end="", file=sys.stderr, flush=True)
            continue
        if tick:
            print("\r" + " " * (len(what) + 16) + "\r", end="", file=sys.stderr, flush=True)
        return
