"""What Ray says when something goes wrong -> one sentence for a person. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import ray.exceptions
from keep.checkpoints import CheckpointError
from machine.memory import MemoryShortError
from ranks.exact import DisagreementError
from ranks.order import OrderError
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError
from recipe import ChoiceError
from show.report import ReportError
from sources.files import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

OURS = (ChoiceError, OrderError, DataError, ReportError, CheckpointError, MemoryShortError)
_VERSIONS = re.compile(
    r"cluster was started with:\s*Ray: (\S+)\s*Python: (\S+)\s*"
    r"This process on .*? was started with:\s*Ray: (\S+)\s*Python: (\S+)",
    re.DOTALL,
)
_DEAD = (ray.exceptions.RayActorError, ray.exceptions.NodeDiedError, ray.exceptions.WorkerCrashedError,
         ray.exceptions.OutOfMemoryError)  # fmt: skip
_LOST = re.compile(r"connection (?:closed|reset)|timed out|health check", re.IGNORECASE)


class ClusterError(RuntimeError):
    """There is no cluster that could train this; the message is for the user."""


class LostError(RuntimeError):
    """A worker or its machine was lost while it trained; the message is for the user."""


class BrokenError(RuntimeError):
    """Something in a worker that nobody foresaw; the message begins with its traceback."""


def refused(error: Exception, address: str, said: str = "") -> str:
    """Why a cluster, that at `address` or one of this machine's own, can't be had; `said`: by Ray's C++."""
    at = f"RAY_ADDRESS {address}" if address else "a Ray of this machine's own"
    text = str(error)
    if isinstance(error, ray.exceptions.AuthenticationError) or "InvalidAuthToken" in text + said:
        return (f"{at}: the token is missing or another one; RAY_AUTH_TOKEN, or the file that "
                "RAY_AUTH_TOKEN_PATH names, must be the same on all machines")  # fmt: skip
    versions = _VERSIONS.search(text)
    if versions:
        theirs, python, ours, own_python = versions.groups()
        return (
            f"{at} runs Ray {theirs} on Python {python}, this program has Ray {ours} on Python {own_python}; "
            "both must be the same: start both from the same requirements"
        )
    if "Address already in use" in text or "address already in use" in text:
        return f"{at}: a port that it needs is taken by another program: {first_line(text)}"
    return f"{at} can't be used: {first_line(text) or type(error).__name__}"


def failed(error: Exception) -> Exception:
    """What `fit` raised -> the exception to end with: one of OURS, LostError, BrokenError."""
    if isinstance(error, WorkerGroupError):
        return _of_workers(error.worker_failures)
    if isinstance(error, ControllerError):
        error = error.controller_failure
    for known in (error, getattr(error, "cause", None)):
        if isinstance(known, OURS):
            return known
    if isinstance(error, ray.exceptions.RayError):
        return LostError(f"the connection to Ray was lost: {first_line(str(error))}")
    return BrokenError(f"{error}\n{type(error).__name__} in Ray Train: {first_line(str(error))}")


def _of_workers(failures: Mapping[int, Exception]) -> Exception:
    """The one failure of several that the others follow from."""
    found = {rank: cause(error) for rank, error in sorted(failures.items())}
    for kind in (OURS, DisagreementError):
        for error in found.values():
            if isinstance(error, kind):
                return error
    broken = [rank for rank, error in found.items() if not _is_lost(error)]
    if broken:
        error, text = found[broken[0]], getattr(failures[broken[0]], "_traceback_str", "")
        what = f"worker {broken[0]} ended with {type(error).__name__}: {first_line(str(error))}"
        return BrokenError(f"{text}\n{what}".strip())
    dead = [str(rank) for rank, error in found.items() if isinstance(error, _DEAD)] or list(map(str, found))
    who = f"worker {dead[0]}" if len(dead) == 1 else f"workers {', '.join(dead)}"
    return LostError(
        f"{who} went away in mid-training: killed, out of memory, or the machine with it. "
        "--resume auto goes on from the newest checkpoint, --max-failures 1 lets Ray do so once by itself"
    )


def cause(error: BaseException) -> BaseException:
    """What Ray's wrappers hold."""
    for name in ("_base_exc", "health_check_failure", "cause"):
        inner = getattr(error, name, None)
        if isinstance(inner, BaseException):
            return cause(inner)
    return error


def _is_lost(error: BaseException) -> bool:
    """A dead worker, or one that only noticed that another one is."""
    has_noticed = "gloo" in str(error).lower() and bool(_LOST.search(str(error)))
    return isinstance(error, _DEAD) or has_noticed or type(error).__name__.startswith("WorkerHealthCheck")


def first_line(text: str) -> str:
    """The first line with words in it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:300] if lines else ""
