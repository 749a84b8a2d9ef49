"""The net, its optimizer and one step of them under a strategy; weights out and in; predictions.

N images, K classes, W workers. What is called on every worker together says so.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from keep.checkpoints import CheckpointError
from ranks.order import judged_chunks
from ranks.predictions import Predictions
from recipe import BETAS, recipe_of, schedule

from mwms.kept import read
from mwms.together import DisagreementError, Together

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from recipe import Run

    from mwms.images import Table

    Arrays = dict[str, NDArray[Any]]

OPTIMIZER = "optimizer."  # begins the names of its arrays in a checkpoint; those of weights are LAYER.NAME


def dense_128(shape: tuple[int, ...], classes: int) -> keras.Model:
    """Images in [0, 1], to logits. Keras knows the variables by the layers' names."""
    return keras.Sequential([
        keras.layers.Input(shape),
        keras.layers.Flatten(name="flat"),
        keras.layers.Dense(128, activation="relu", name="hidden"),
        keras.layers.Dense(classes, name="logits"),
    ])  # fmt: skip


class Trapezoid(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras has no types
    """The learning rate of recipe.schedule: up in a line, down in a line to 0."""

    def __init__(self, run: Run, steps: int) -> None:
        warm_up = recipe_of(run.net).warm_up
        self.values = tf.constant([run.lr * schedule(step, steps, warm_up) for step in range(steps + 1)])

    def __call__(self, step: Any) -> Any:
        """Of the step that comes."""
        return tf.gather(self.values, tf.minimum(tf.cast(step, tf.int32), len(self.values) - 1))


class Learner:
    """The net and what trains it, one copy on each replica of the strategy."""

    def __init__(
        self, together: Together, run: Run, shape: tuple[int, ...], classes: int, *, steps: int
    ) -> None:
        self.together, self.strategy, self.run = together, together.strategy, run
        keras.utils.set_random_seed(run.seed)
        with self.strategy.scope():
            self.net = dense_128(shape, classes)
            self.rate = Trapezoid(run, max(1, steps))
            self.optimizer = keras.optimizers.Adam(self.rate, beta_1=BETAS[0], beta_2=BETAS[1])
            self.optimizer.build(self.net.trainable_variables)

    @cached_property
    def step(self) -> Any:
        """A function of a distributed iterator: one step on all replicas. This worker's sum of losses.

        Called on every worker alike: the optimizer adds up the gradients of all replicas.
        """
        net, optimizer, strategy = self.net, self.optimizer, self.strategy

        def on_replica(images: Any, labels: Any, weight: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(losses(net(scaled(images), training=True), labels))
                counted = loss * weight
            gradients = tape.gradient(counted, net.trainable_variables)
            optimizer.apply_gradients(zip(gradients, net.trainable_variables, strict=True))
            return loss

        @tf.function  # type: ignore[untyped-decorator]  # as all of TensorFlow
        def step(iterator: Any) -> Any:
            found = strategy.run(on_replica, args=next(iterator))
            return tf.add_n(strategy.experimental_local_results(found))

        return step

    @cached_property
    def _judged(self) -> Any:
        net = self.net

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def judged(images: Any, labels: Any) -> Any:
            logits_NK = net(scaled(images), training=False)
            found_NK = tf.nn.softmax(logits_NK)
            return tf.argmax(found_NK, 1), tf.reduce_max(found_NK, 1), losses(logits_NK, labels)

        return judged

    def predict(self, table: Table) -> Predictions:
        """Predict every image once over all workers: a barrier. Called on every worker.

        A float depends on the batch that it is computed in, so images are cut into chunks of one size in data
        order, whatever the number of workers. Raises DisagreementError if an image was not predicted once.
        """
        found = np.zeros((4, len(table)))  # class, probability, loss, times; all but one worker add 0
        cluster = self.together.cluster
        for first, end in judged_chunks(len(table), cluster.size, cluster.index):
            part = table.part(first, end)
            columns = self._judged(tf.constant(np.asarray(part.images)), tf.constant(part.labels))
            found[:3, first:end] = [column.numpy() for column in columns]
            found[3, first:end] = 1
        classes, probabilities, lost, times = self.together.summed(found)
        if not (times == 1).all():
            strays = int((times != 1).sum())
            raise DisagreementError(f"{strays:,} of {len(table):,} images were not predicted exactly once")
        return Predictions(labels=table.labels, classes=classes.astype(np.int64), loss=float(lost.mean()),
                           probabilities=probabilities.astype(np.float32))  # fmt: skip

    def weights(self) -> Arrays:
        """By name: hidden.kernel, hidden.bias and so on."""
        return {name: np.asarray(variable.numpy()) for name, variable in self._variables().items()}

    def last_rate(self) -> float:
        """The learning rate of the step that was last."""
        return float(self.rate(self.steps_done - 1))

    @property
    def steps_done(self) -> int:
        """Optimizer steps, those before a resume included."""
        return int(self.optimizer.iterations.numpy())

    def checksum(self) -> str:
        """SHA-256 of the weights: name, type, shape and bytes of each, in the order of their names."""
        digest = hashlib.sha256()
        for name, array in sorted(self.weights().items()):
            digest.update(f"{name} {array.dtype} {list(array.shape)}\n".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def arrays(self) -> Arrays:
        """Weights and all that the optimizer remembers."""
        remembered = {f"{OPTIMIZER}{number}": np.asarray(variable.numpy())
                      for number, variable in enumerate(self.optimizer.variables)}  # fmt: skip
        return {**self.weights(), **remembered}

    def restore(self, arrays: Mapping[str, NDArray[Any]], *, weights_only: bool = False) -> None:
        """The opposite of `arrays`, on this worker. Raises CheckpointError for arrays of another net."""
        wanted = dict(self._variables())
        if not weights_only:
            wanted |= {f"{OPTIMIZER}{n}": variable for n, variable in enumerate(self.optimizer.variables)}
        for name, variable in wanted.items():
            if name not in arrays or tuple(arrays[name].shape) != tuple(variable.shape):
                raise CheckpointError(
                    f"weights of another net: {name} of {tuple(variable.shape)} is not there"
                )
        for name, variable in wanted.items():
            variable.assign(arrays[name])

    def load(self, path: Path) -> None:
        """The weights of a model.keras or of a checkpoint, on this worker. Raises CheckpointError."""
        if not path.exists():
            raise CheckpointError(f"--predict {path}: there is no such file")
        if path.suffix != ".keras":
            self.restore(read(path), weights_only=True)
            return
        try:
            self.net.load_weights(path)
        except (OSError, ValueError, KeyError) as error:
            reason = (str(error).strip().splitlines() or [""])[0]
            raise CheckpointError(f"--predict {path} is not a model of {self.run.net}: {reason}") from error

    def _variables(self) -> dict[str, Any]:
        return {f"{layer.name}.{variable.name}": variable
                for layer in self.net.layers for variable in layer.variables}  # fmt: skip


def scaled(images: Any) -> Any:
    """Bytes to floats in [0, 1]."""
    return tf.cast(images, tf.float32) / 255.0


def losses(logits: Any, labels: Any) -> Any:
    """Cross entropy of each image: N x K, N to N."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
