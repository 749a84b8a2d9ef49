"""Boot script + node program -> the user data of every machine, the job's place still open.

Pure: reads only the program's own files. Heat puts the job in the place of `JOB_TOKEN`; no
line of the archive holds that token or an end of a heredoc.
"""

from __future__ import annotations

import re
import shlex

import jinja2

from cloud import assets
from cloud.template import archive, kept

JOB_TOKEN = "@@JOB@@"  # noqa: S105  # a place, not a secret
MAX_USER_DATA_BYTES = 49_149  # 65,535 base64 characters, nova's servers schema; more makes stacks undeletable
MAX_BODY_BYTES = 45_186  # leaves 3,963 for the job, what it takes at worst, 800 of them the signal's
_ARCHIVE = re.compile(r"<<'HOTRUN_NODE'\n(.*?)\nHOTRUN_NODE\n", re.DOTALL)
_SHA256 = re.compile(r"^program_sha256=([0-9a-f]{64})$", re.MULTILINE)


def boot_text(packed: kept.Packed | None = None) -> str:
    """Return the boot script of every machine, `JOB_TOKEN` in the job's place.

    `packed`: the node program with other parts than the usual ones, or another one.
    """
    packed = packed or kept.packed()
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # shell, not HTML; every value is filtered
    )  # fmt: skip
    environment.filters["sh"] = lambda value: shlex.quote(str(value))
    environment.filters["heredoc"] = _heredoc
    environment.filters["unquoted"] = _unquoted
    script = environment.from_string(assets.BOOT_SCRIPT.read_text(encoding="utf-8"))
    return script.render(
        sha256=packed.sha256, unpack=packed.decoder, archive=packed.lines, token=JOB_TOKEN,
    )  # fmt: skip


def _heredoc(line: str) -> str:
    """Return a line of a quoted heredoc; ValueError for one that would end it or be replaced by Heat."""
    if "HOTRUN_" in line or JOB_TOKEN in line or line != line.strip():
        msg = f"the archive has a line that can't stand in the boot script: {line[:40]}"
        raise ValueError(msg)
    return line


def _unquoted(text: str) -> str:
    """Return Python text for between two single quotes of the shell; ValueError for a text that has one.

    Where Horizon would change two characters, they stand in two literals, one behind the other.
    """
    if "'" in text:
        raise ValueError("the decoder has a single quote, which would end it in the boot script")
    return re.sub(archive.CHANGED_BY_HORIZON, '""', text)


def program_sha256(boot: str) -> str:
    """Return the SHA-256 that a boot text expects of its node program's text, empty when it names none."""
    found = _SHA256.search(boot)
    return found[1] if found else ""


def program_text(boot: str) -> str:
    """Return the archive of a boot text as it stands there, empty when it has none."""
    found = _ARCHIVE.search(boot)
    return found[1] if found else ""


def node_program(boot: str) -> dict[str, bytes]:
    """Unpack the program that a boot text carries: path -> content.

    Raises ValueError with one sentence when the archive is missing, damaged or not the one that was packed.
    """
    return kept.files(*_program(boot))


def require_node_program(boot: str) -> None:
    """Raise ValueError as `node_program` does, without unpacking where that need not be."""
    kept.require(*_program(boot))


def _program(boot: str) -> tuple[str, str]:
    packed, expected = program_text(boot), program_sha256(boot)
    if not packed or not expected:
        raise ValueError("the boot script has lost the node program or its SHA-256")
    return packed, expected


def with_job(boot: str, job: str) -> str:
    """Return the user data: the boot text with the job in its place."""
    return boot.replace(JOB_TOKEN, job)


def sizes(boot: str, job: str = "", worst_job: str = "") -> dict[str, int]:
    """Return what each part of the user data takes, in bytes, in the order it is shown."""
    program = len(program_text(boot).encode())
    body = len(with_job(boot, "").encode())
    line, worst = len(job.encode()), len(worst_job.encode())
    return {
        "boot script": body - program,
        "node program": program,
        "job line": line,
        "job line at worst": worst,
        "total": body + line,
        "total at worst": body + worst,
        "limit": MAX_USER_DATA_BYTES,
    }
