"""uv, pinned by hash: made by pip in a small environment, kept in the cache for all nodes that share it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import Sequence

from .context import Context
from .failure import StageFailed

VERSION = "0.13.8"
_HASHES = {
    "x86_64": "e18a57b8b352eb7c8feb317b9f6f533c8f0ad9673fd6cf34bbe3cf1a9f6a8984",
    "aarch64": "0b3e8b1a4f5e405e31e2ff33de8af4744831e9f7338539671efbd8c3c94e791d",
}


def cache(context: Context) -> Path:
    """uv's cache: the rehearsal's choice, or this machine's own."""
    return Path(os.environ.get("UV_CACHE_DIR") or context.layout.state / "cache/uv")


def program(context: Context, deadline: float) -> Path:
    """The uv program, made if it is not there yet. Raises StageFailed with pip's own words."""
    path = cache(context) / f"hotrun-uv-{VERSION}-{platform.machine()}" / "uv"
    if path.exists():
        return path
    boot = context.layout.tools / "uv"
    shutil.rmtree(boot, ignore_errors=True)
    digest = _HASHES.get(platform.machine())
    if digest is None:
        raise StageFailed(
            "architecture", f"no pinned uv for {platform.machine()}: {' and '.join(_HASHES)} are known"
        )
    wanted = context.layout.tools / "uv.txt"
    wanted.write_text(f"uv=={VERSION} --hash=sha256:{digest}\n")
    pip = [str(boot / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    for command in (
        [sys.executable, "-m", "venv", str(boot)],
        [*pip, "--require-hashes", "--only-binary=:all:", "-r", str(wanted)],
    ):
        code, tail = context.execute(command, deadline=deadline)
        if "No space left on device" in "\n".join(tail):
            raise explained(tail)
        if code != 0:
            raise StageFailed(
                "index-unreachable",
                f"uv can't be installed: {tail[-1] if tail else ''}",
                log=tail,
                fix="machines need a way to the package index: a router, a proxy, or a mirror",
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name("uv.part")
    shutil.copy2(boot / "bin/uv", partial)
    partial.replace(path)
    return path


def run(
    context: Context,
    uv: Path,
    words: Sequence[str],
    environment: Path | None,
    deadline: float,
    *,
    cwd: Path | None = None,
) -> list[str]:
    """Run uv to success and return its lines. Raises StageFailed, naming the requirement where uv does."""
    env = {
        "UV_CACHE_DIR": str(cache(context)),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "UV_NO_CONFIG": "1",
    }
    if environment is not None:
        env["VIRTUAL_ENV"] = str(environment)
    code, tail = context.execute([str(uv), *words], deadline=deadline, env=env, cwd=cwd)
    if code != 0:
        raise explained(tail)
    return tail


def explained(tail: Sequence[str]) -> StageFailed:
    """uv's last lines -> the requirement at fault, where they name one."""
    text = " ".join(line.strip(" ×╰─▶│├") for line in tail)
    for pattern, code, sentence, fix in _CAUSES:
        match = re.search(pattern, text)
        if match:
            name = match.group(1)
            return StageFailed(
                code, sentence.format(name), fix=fix.format(name), log=list(tail), requirement=name
            )
    return StageFailed("environment-failed", text[-300:] or "uv said nothing", log=list(tail))


_CAUSES = (
    (
        r"[Bb]ecause (\S+) was not found in the package registry",
        "requirement-not-found",
        "{}: no such package on the index",
        "correct the name of {}, commit, push, generate again",
    ),
    (
        r"[Bb]ecause there (?:is|are) no versions? of (\S+?)(?=[ ,])",
        "requirement-not-found",
        "{}: the index has no such version",
        "correct the version of {}, commit, push, generate again",
    ),
    (
        r"[Bb]ecause only (\S+?)[<>=!~][^ ]* is available",
        "requirement-not-found",
        "{}: the index has no such version",
        "correct the version of {}, commit, push, generate again",
    ),
    (
        r"current Python version \(\S+\) does not satisfy (Python\S+)",
        "python-too-old",
        "this image's Python is not what the requirements need: {}",
        "choose an image with {}",
    ),
    (
        r"(failed to lookup address|error sending request|[Dd]ns error|Connection refused|timed out)",
        "index-unreachable",
        "the package index does not answer: {}",
        "machines need a way to it: a router, a proxy, or a mirror",
    ),
    (r"(No space left on device)", "disk-full", "the disk is full: {}", "choose a flavor with a larger disk"),
    (
        r"Failed to build `?([^`\s]+)",
        "requirement-build-failed",
        "{} has no wheel for this machine and can't be built",
        "choose a version of {} with wheels",
    ),
)
