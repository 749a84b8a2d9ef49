"""Numbers and texts of a run -> TensorBoard's event files, by tf.summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from show.events import MISSING, Events

if TYPE_CHECKING:
    from pathlib import Path


class TensorFlowEvents(Events):
    """As show.events, without torch: what is given is kept until `flush`."""

    def _open(self) -> None:
        import tensorflow as tf

        try:
            import tensorboard  # noqa: F401  # what tf.summary.scalar and text are made of
        except ImportError:
            self._is_missing = True
            print(MISSING, flush=True)
            return
        for stale in self.directory.glob("events.out.tfevents.*"):  # a resumed run writes its epochs again
            stale.unlink(missing_ok=True)
        self._writer = _Writer(tf, self.directory)


class _Writer:
    """The calls of torch's SummaryWriter that Events makes."""

    def __init__(self, tf: Any, directory: Path) -> None:
        self._summary = tf.summary
        self._file = tf.summary.create_file_writer(str(directory))

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        with self._file.as_default():
            self._summary.scalar(tag, value, step=step)

    def add_text(self, tag: str, markdown: str) -> None:
        with self._file.as_default():
            self._summary.text(tag, markdown, step=0)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()
