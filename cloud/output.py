"""A template's text -> a file, written whole or not at all, and never over somebody else's work."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from cloud.errors import Problem, RequestError
from cloud.template import provenance

_ANOTHER = "name another file with --out"


def check(path: Path, is_forced: bool) -> None:
    """Raise RequestError when `path` can't or must not be written."""
    if path.is_dir():
        raise RequestError(_unwritable(path, "is a directory", "name a file in it"))
    if not path.exists():
        if not path.parent.is_dir():
            raise RequestError(
                _unwritable(path, "lies in a directory that is not there", f"mkdir -p {path.parent}")
            )
        return
    if is_forced or not path.is_file() or path.stat().st_size == 0:
        return
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            is_ours = provenance.is_ours(file.readline())
    except OSError as error:
        raise RequestError(_unwritable(path, f"can't be read: {_reason(error)}", _ANOTHER)) from error
    if not is_ours:
        what = f"{path} exists and was not made by hotrun"
        fix = "name another file with --out, or replace it with --force"
        raise RequestError(Problem(code="output-not-ours", what=what, fix=fix))


def write(path: Path, text: str, is_forced: bool) -> None:
    """Write `text` to `path`: complete, or the file stays as it was. Raises RequestError."""
    check(path, is_forced)
    try:
        if path.exists() and not path.is_file():  # a pipe or a device has no old content to keep
            path.write_text(text, encoding="utf-8")
        else:
            _replace(path.resolve(), text)
    except OSError as error:
        raise RequestError(_unwritable(path, f"can't be written: {_reason(error)}", _ANOTHER)) from error


def _replace(path: Path, text: str) -> None:
    """Behind a symbolic link the link stays and the file it names is replaced."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


def _unwritable(path: Path, what: str, fix: str) -> Problem:
    return Problem(code="output-unwritable", what=f"{path} {what}", fix=fix)
