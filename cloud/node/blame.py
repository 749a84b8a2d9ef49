"""A rank that ended badly -> whose fault it is, in one sentence, with the line of the user's program."""

from __future__ import annotations

import re
import signal
from typing import Sequence

from . import survey
from .context import Context
from .failure import StageFailed
from .process import Child

# What a rank says when a peer went away: it is a victim, not the culprit (gloo, NCCL, the store; TensorFlow's
# coordination service; Ray).
_OF_PEER = re.compile(
    r"Connection closed by peer|Connection reset by peer|connectFullMesh|Broken pipe|Timed out waiting \d+ms"
    r"|DistNetworkError|DistStoreError|NCCL communicator was aborted|remote process exited|Socket closed"
    r"|Collective ops is aborted|UnavailableError|health check failed|DiedError|WorkerCrashedError"
)
_TRACEBACK = "Traceback (most recent call last):"
_RANK = re.compile(r"^\[rank\d+\]: ?")  # torch puts it before every line of a traceback
_PLACE = re.compile(r'File "([^"]+)", line (\d+)')


def is_of_peer(child: Child) -> bool:
    """Whether it only ended because another one had."""
    child.finish_reading()
    return child.returncode == 1 and bool(_OF_PEER.search(exception(list(child.tail))))


def exception(lines: Sequence[str]) -> str:
    """`ValueError: boom`: the line that follows the frames of the last traceback; empty without one."""
    plain = [_RANK.sub("", line) for line in lines]
    begins = [index for index, line in enumerate(plain) if line.endswith(_TRACEBACK)]
    if not begins:
        return ""
    after = (line for line in plain[begins[-1] + 1 :] if line and not line[0].isspace())
    return next(after, "")


def failure(context: Context, child: Child, who: str) -> StageFailed:
    """Why `who`, as in `rank 3`, ended."""
    code, tail = child.returncode or 0, list(child.tail)
    said = exception(tail)
    of_peer, own_fix, error = is_of_peer(child), "correct the program, commit, push, generate again", said
    if code < 0:
        error = ""  # an exception that was printed earlier did not end it
        name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
        what = f"ended by {name}"
        if name == "SIGKILL" and survey.oom_kills() > context.found["oom_kills"]:
            what = error = "the machine's memory was full, and the kernel ended it (out of memory)"
            own_fix = "choose a flavor with more memory, or a smaller batch"
    else:
        what = said or f"ended with exit code {code}"
    return StageFailed(
        "program-failed", f"{who}: {what}"[:400], log=tail, of_peer=of_peer,
        error="" if of_peer else error,
        where=_user_line(context, tail) if said else "",
        fix="another machine ended first: start again" if of_peer else own_fix,
    )  # fmt: skip


def _user_line(context: Context, tail: Sequence[str]) -> str:
    """`file:line` of the innermost frame in the user's own code."""
    root = str(context.layout.checkout(context.run)) + "/"
    for line in reversed(tail):
        match = _PLACE.search(line)
        if match and match.group(1).startswith(root):
            return f"{match.group(1)[len(root) :]}:{match.group(2)}"
    return ""
