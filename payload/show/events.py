"""Numbers and texts of a run -> TensorBoard's event files; a sentence where TensorBoard is not installed.

Its writer is imported at the first flush: 0.05 s and 6 MiB resident on top of torch (0.4 s from a cold disk;
torch 2.15.0, tensorboard 2.21.0).
"""

from __future__ import annotations

import sys
import types
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MISSING = "TensorBoard events are not written: pip install tensorboard"


class Events:
    """What is given is kept until `flush`. Events of an earlier run in `directory` are superseded."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._scalars: list[tuple[str, float, int]] = []
        self._texts: list[tuple[str, str]] = []
        self._writer: Any = None
        self._is_missing = False

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Tag -> value at a step, here the epoch."""
        self._scalars += [(tag, value, step) for tag, value in values.items()]

    def text(self, tag: str, markdown: str) -> None:
        """A text without a step."""
        self._texts.append((tag, markdown))

    def flush(self) -> None:
        """Write what was given so far. Raises OSError. Without TensorBoard: says so, once."""
        scalars, texts, self._scalars, self._texts = self._scalars, self._texts, [], []
        if self._is_missing or not (scalars or texts):
            return
        if self._writer is None:
            self._open()
        if self._writer is None:
            return
        for tag, markdown in texts:
            self._writer.add_text(tag, markdown)
        for tag, value, step in scalars:
            self._writer.add_scalar(tag, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Flush, and end the writer's thread."""
        self.flush()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # other people's modules being imported
                # NOTE: TensorBoard imports TensorFlow for its file functions where it is installed (seconds,
                # hundreds of MB). Its compat/__init__.py leaves that if a module of this name is there.
                sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
                from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self._is_missing = True
            print(MISSING, flush=True)
            return
        # purge_step: TensorBoard forgets what earlier files of the directory have from step 0 on. A resumed
        # run writes its restored epochs again, as in metrics.csv.
        self._writer = SummaryWriter(str(self.directory), purge_step=0)
