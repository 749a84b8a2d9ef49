"""torchvision's mirrors -> files of a data set. Imports torchvision, and with it torch, when it is asked.

A machine without a way out shall not wait: the mirrors are asked first, all at once, and those that do not
answer within PROBE_S are left alone.
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from sources.files import DataError, Say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TITLE = "torchvision's mirrors"
PROBE_S = 5.0  # for all mirrors together
MIRROR_TIMEOUT_S = 30.0  # of one read from a mirror that had answered


def mnist(directory: Path, say: Say) -> None:
    """Write MNIST's four files into `directory`."""
    from torchvision.datasets import MNIST  # here, not above: half a second, and only the first run needs it

    _idx_files("mnist", MNIST, "11.6 MB", directory, say)


def fashion_mnist(directory: Path, say: Say) -> None:
    """Write Fashion-MNIST's four files into `directory`."""
    from torchvision.datasets import FashionMNIST

    _idx_files("fashion-mnist", FashionMNIST, "30.9 MB", directory, say)


def cifar10(directory: Path, say: Say) -> None:
    """Unpack CIFAR-10 as `directory`/cifar-10-batches-py."""
    from torchvision.datasets import CIFAR10

    if not _answering([CIFAR10.url]):
        raise DataError(f"{CIFAR10.url} did not answer within {PROBE_S:.0f} s")
    say(f"cifar10: fetching 170 MB from {CIFAR10.url} into {directory.parent}")
    _quietly(lambda: CIFAR10(root=str(directory), download=True))


def _idx_files(name: str, dataset: Any, size: str, directory: Path, say: Say) -> None:
    """Let one of torchvision's classes fetch into `directory`, from the mirrors that answer at first."""
    last = dataset.resources[-1][0]
    answered = _answering([mirror + last for mirror in dataset.mirrors])
    mirrors = [mirror for mirror in dataset.mirrors if mirror + last in answered]
    if not mirrors:
        raise DataError(f"none answered within {PROBE_S:.0f} s")
    say(f"{name}: fetching {size} from {mirrors[0]} into {directory.parent}")
    # torchvision puts the files into its raw_folder, and reads them there to see whether they are whole
    source = type(dataset.__name__, (dataset,), {"mirrors": mirrors, "raw_folder": str(directory)})
    _quietly(lambda: source(root=str(directory), download=True))


def _quietly(work: Callable[[], object]) -> None:
    """Without progress bars, which are made for a terminal, and with a time-out for each read."""
    with _timeout(MIRROR_TIMEOUT_S), contextlib.redirect_stderr(io.StringIO()):
        work()


@contextlib.contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _answering(addresses: list[str]) -> set[str]:
    """The addresses that answer a HEAD request within PROBE_S, all asked at once.

    In threads, because the look-up of a host name knows no time-out.
    """
    answered: set[str] = set()

    def ask(address: str) -> None:
        request = urllib.request.Request(address, method="HEAD")  # noqa: S310  # torchvision's own list
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=PROBE_S):  # noqa: S310
            answered.add(address)

    threads = [threading.Thread(target=ask, args=(address,), daemon=True) for address in addresses]
    deadline = time.monotonic() + PROBE_S
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return set(answered)
