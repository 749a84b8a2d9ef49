"""Questions to a cloud -> their answers, several asked at a time; waiting for them can be interrupted."""

from __future__ import annotations

import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING, Any

from cloud.stack.api import CloudError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SAY_EVERY_S = 2.0
AT_A_TIME = 4  # questions; more gains nothing, and some clouds count


def asked(
    questions: Mapping[str, Callable[[], Any]], say: Callable[[str], None]
) -> tuple[dict[str, Any], dict[str, CloudError]]:
    """Ask several questions at a time; each has its deadline in the cloud's own patience.

    What is raised here meanwhile, as by Ctrl-C, leaves at once: no other question is begun then.
    """
    found: dict[str, Any] = {}
    failed: dict[str, CloudError] = {}
    began = time.monotonic()
    names: dict[Future[Any], str] = {Future(): name for name in questions}
    turns, waiting = threading.Semaphore(AT_A_TIME), set(names)
    try:
        for future, name in names.items():  # no ThreadPoolExecutor: Python's end waits for its threads
            threading.Thread(target=_ask, args=(future, questions[name], turns), daemon=True).start()
        while waiting:
            done, waiting = wait(waiting, timeout=SAY_EVERY_S, return_when=FIRST_COMPLETED)
            for future in done:
                try:
                    found[names[future]] = future.result()
                except CloudError as error:
                    failed[names[future]] = error
            if not done:
                late = ", ".join(sorted(names[future] for future in waiting))
                say(f"waiting for the cloud's answer, {time.monotonic() - began:.0f} s so far: {late}")
    finally:
        for future in names:
            future.cancel()
    if questions and len(failed) == len(questions):
        raise next(iter(failed.values()))
    return found, failed


def _ask(future: Future[Any], question: Callable[[], Any], turns: threading.Semaphore) -> None:
    with turns:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(question())
            except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
                future.set_exception(error)
