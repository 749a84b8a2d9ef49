"""The workers of a strategy -> numbers and words that all of them know. Every function here is a barrier."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mwms.cluster import Cluster

T = TypeVar("T")

LETTERS = 600  # of a worker's sentence that the others get to read
BYTES = 6  # of a digest that a float64 holds exactly


class DisagreementError(RuntimeError):
    """Workers that should hold the same hold different things; the message names them."""


class Together:
    """Sums and words over the workers, in float64."""

    def __init__(self, strategy: Any, cluster: Cluster) -> None:
        self.strategy, self.cluster = strategy, cluster

    @property
    def is_chief(self) -> bool:
        """Whether this is worker 0, which writes the files of the run."""
        return self.cluster.index == 0

    @property
    def replicas(self) -> int:
        """Devices that train, over all workers."""
        return int(self.strategy.num_replicas_in_sync)

    def summed(self, mine: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of the arrays of all workers, on every worker; of one shape."""
        whole = self._total(np.asarray(mine, np.float64).ravel())
        return np.asarray(whole).reshape(np.shape(mine))

    def rows(self, mine: list[float]) -> NDArray[np.float64]:
        """What each worker gives, on every worker, a row for each; as many numbers on all of them."""
        rows_WK = np.zeros((self.cluster.size, len(mine)))
        rows_WK[self.cluster.index] = mine
        return self.summed(rows_WK)

    def words(self, mine: str) -> list[str]:
        """A sentence of each worker, on every worker."""
        letters = mine.encode()[:LETTERS].ljust(LETTERS, b"\0")
        rows_WK = self.rows([float(letter) for letter in letters])
        return [bytes(row.astype(np.uint8)).rstrip(b"\0").decode(errors="replace") for row in rows_WK]

    def agree(self, what: str, digest: str) -> None:
        """Raise DisagreementError, on all workers alike, unless all have the same digest as worker 0."""
        found_W = self.rows([number_of(digest)])[:, 0]
        apart = [index for index, number in enumerate(found_W) if number != found_W[0]]
        if apart:
            names = " and ".join(self.cluster.called(index) for index in apart)
            raise DisagreementError(f"{what}: {names} has others than worker 0; all must be started alike")

    def alike(self, work: Callable[[], T]) -> T:
        """What `work` returns on this worker, when it has ended on all of them: a barrier.

        A RuntimeError of one worker, as errors for users are, ends it on all: ElsewhereError on the others.
        """
        failure, result = None, None
        try:
            result = work()
        except RuntimeError as error:
            failure = error
        told = self.words(str(failure) or type(failure).__name__ if failure else "")
        if failure is not None:
            raise failure
        failed = [index for index, text in enumerate(told) if text]
        if failed:
            raise ElsewhereError(f"{self.cluster.called(failed[0])}: {told[failed[0]]}")
        return cast("T", result)

    @cached_property
    def _total(self) -> Any:
        import tensorflow as tf

        strategy, local = self.strategy, self.replicas // self.cluster.size

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float64)])  # type: ignore[untyped-decorator]
        def total(values: Any) -> Any:
            def of_replica(values: Any) -> Any:
                context = tf.distribute.get_replica_context()
                is_first = tf.equal(
                    context.replica_id_in_sync_group % local, 0
                )  # one replica speaks for a worker
                return context.all_reduce(tf.distribute.ReduceOp.SUM, values * tf.cast(is_first, tf.float64))

            return strategy.experimental_local_results(strategy.run(of_replica, args=(values,)))[0]

        return total


class ElsewhereError(RuntimeError):
    """Another worker failed; the message is its own."""


def number_of(digest: str) -> float:
    """The beginning of a digest as a number that no float64 rounds."""
    return float(int(digest[: 2 * BYTES], 16))
