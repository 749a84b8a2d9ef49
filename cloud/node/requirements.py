"""The user's requirements file -> a lock with hashes, and what can't have hashes."""

from __future__ import annotations

import difflib
import hashlib
import re
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from . import uv
from .context import Context
from .failure import StageFailed

_INDEX = "# index: "
_UNHASHED = "# without hashes: "
_PROBE_S = 15.0  # for the CPU index of torch to answer
_COMMON = (
    "torch",
    "torchvision",
    "torchaudio",
    "lightning",
    "pytorch-lightning",
    "numpy",
    "pandas",
    "scikit-learn",
    "matplotlib",
    "tensorboard",
    "jsonargparse",
    "transformers",
    "datasets",
    "tensorflow",
    "ray",
)


@dataclass(frozen=True)
class Lock:
    """A lock's text: pins with hashes, and in comments how to find them and what has no hash."""

    text: str
    index_words: tuple[str, ...]
    unhashed: tuple[str, ...]

    @classmethod
    def read(cls, text: str) -> Lock:
        """Parse what `resolved` wrote."""
        lines = text.splitlines()
        index = next((line[len(_INDEX) :] for line in lines if line.startswith(_INDEX)), "")
        unhashed = tuple(line[len(_UNHASHED) :] for line in lines if line.startswith(_UNHASHED))
        return cls(text, tuple(shlex.split(index)), unhashed)


def file(directory: Path, engine: str) -> Path:
    """requirements-ENGINE.txt where there is one, else requirements.txt. Raises StageFailed without."""
    family = engine.partition("-")[0]
    for name in (f"requirements-{family}.txt", "requirements.txt"):
        if (directory / name).is_file():
            return directory / name
    raise StageFailed(
        "requirements-not-found",
        f"there is no requirements.txt in {directory.name or '.'} at this commit",
        fix="correct the answer to the third question, or commit the file",
    )


def digest(lock: str) -> str:
    """What names an environment: SHA-256 of the lock."""
    return hashlib.sha256(lock.encode()).hexdigest()


def local(path: Path) -> list[list[str]]:
    """Words for `uv pip install` of each requirement that lies in the repository itself."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.partition(" #")[0].split()
        if len(words) > 1 and words[0] in ("-e", "--editable"):
            found.append(["-e", words[1]])
        elif words and (words[0] == "." or words[0].startswith(("./", "../", ".["))):
            found.append([words[0]])
    return found


def resolved(context: Context, program: Path, path: Path, has_gpu: bool, deadline: float) -> str:
    """The lock's text for this kind of node. Raises StageFailed with the file and line at fault."""
    index_words = _index_words(context, program, path, has_gpu)
    command = [
        "pip",
        "compile",
        "--quiet",
        "--generate-hashes",
        "--no-header",
        "--no-annotate",
        "--python",
        sys.executable,
    ]
    output = context.own_directory / "resolved.txt"
    try:
        words = [*command, *index_words, "--output-file", str(output), path.name]
        uv.run(context, program, words, None, deadline, cwd=path.parent)
    except StageFailed as error:
        name = error.problem.get("requirement", "")
        raise _placed(error, name, path) if name else error from None
    kept, unhashed = _split(output.read_text())
    head = [_INDEX + shlex.join(index_words)] + [_UNHASHED + line for line in unhashed]
    return "\n".join(head) + "\n" + kept


def _index_words(context: Context, program: Path, path: Path, has_gpu: bool) -> list[str]:
    """Where torch comes from: an index that was named, CPU wheels where offered, or the usual index."""
    wanted = context.job.torch_index
    if wanted == "cpu":
        return ["--torch-backend", "cpu"]
    if wanted != "auto":
        return ["--index", wanted]
    if has_gpu or not re.search("torch|lightning", path.read_text(encoding="utf-8")):
        return []
    trial = context.own_directory / "torch.txt"
    trial.write_text("torch\n")
    words = [
        "pip",
        "compile",
        "--quiet",
        "--no-deps",
        "--torch-backend",
        "cpu",
        "--python",
        sys.executable,
        str(trial),
    ]
    env = {
        "UV_HTTP_TIMEOUT": "5",
        "UV_HTTP_RETRIES": "0",
        "UV_CACHE_DIR": str(uv.cache(context)),
        "UV_NO_CONFIG": "1",
    }
    try:
        code, _ = context.execute([str(program), *words], deadline=time.monotonic() + _PROBE_S, env=env)
    except StageFailed:
        code = 1
    context.log.write(
        f"CPU wheels of torch: {'offered' if code == 0 else 'not offered, taking the usual index'}\n"
    )
    return ["--torch-backend", "cpu"] if code == 0 else []


def _split(text: str) -> tuple[str, list[str]]:
    """Pins with hashes stay; local paths go (each node has its own); versions from git are kept apart."""
    kept, unhashed = [], []
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        if " @ git+" in stripped:
            unhashed.append(stripped.rstrip(" \\"))
        elif not (stripped.startswith(("-e ", "./", "../", "/")) or stripped == "." or "file://" in stripped):
            kept.append(line)
    return "".join(kept), unhashed


def _placed(error: StageFailed, name: str, path: Path) -> StageFailed:
    """The same failure with the line of the requirements file, and the near miss of an unknown name."""
    found, wanted = error.problem, _bare(name)
    lines = path.read_text(encoding="utf-8").splitlines()
    number = next((number for number, line in enumerate(lines, 1) if _bare(line) == wanted), 0)
    if number:
        found["where"] = f"{path.name}:{number}"
    near = difflib.get_close_matches(wanted, _COMMON, 1)
    if near and near[0] != wanted:
        found["what"] += f"; did you mean {near[0]}?"
    return error


def _bare(requirement: str) -> str:
    """A requirement's name alone, in the index's spelling."""
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0].lower().replace("_", "-")
