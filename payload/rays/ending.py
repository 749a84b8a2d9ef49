"""What Ray's C++ does to a process around it: lines on stderr, and its end."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import TYPE_CHECKING

import ray

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

FITTING = threading.Event()  # whether a thread is in TorchTrainer.fit


@contextlib.contextmanager
def leaving() -> Iterator[None]:
    """End the process with the exit code of what is done inside; at once, where a thread is still in `fit`.

    NOTE: That thread waits in Ray's C++, which ends the process with 1 when Ray is shut down below it. Ray
    has no way to call the waiting off. So its processes are ended, and then this one, without ray.shutdown.
    """
    try:
        yield
    except SystemExit as end:
        if not FITTING.is_set():
            raise
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        node = ray._private.worker._global_node  # noqa: SLF001  # there is no public way
        if node is not None and node.head:  # one that was only connected to has started no process
            node.kill_all_processes(check_alive=False, allow_graceful=False)
        os._exit(code)


@contextlib.contextmanager
def without(pattern: re.Pattern[bytes]) -> Iterator[list[bytes]]:
    """Lines on this process's stderr, also those of C++, but for some, which are collected."""
    dropped: list[bytes] = []
    reading, writing = os.pipe()
    stderr = os.dup(2)

    def pass_on() -> None:
        with os.fdopen(reading, "rb") as lines:
            for line in lines:
                if pattern.search(line):
                    dropped.append(line)
                else:
                    os.write(stderr, line)

    thread = threading.Thread(target=pass_on, daemon=True)
    thread.start()
    os.dup2(writing, 2)
    os.close(writing)
    try:
        yield dropped
    finally:
        os.dup2(stderr, 2)
        thread.join(1)
