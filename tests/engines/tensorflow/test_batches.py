"""Who trains which image when, by tf.data as the program makes it; in another Python, since TensorFlow is large."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.engines.tensorflow.workers import PROGRAM, clean_environment

pytestmark = pytest.mark.payload
COUNT, BATCH, SEED = 55, 16, 7  # images, of a step at most
CHILD = f"""
import json, sys
import numpy as np
import tensorflow as tf
from mwms.images import Table, batches, tensors

numbers = np.arange({COUNT})
pictures = tensors(Table(images=np.zeros(({COUNT}, 2, 2), np.uint8), labels=numbers))
told = []
for workers, local in json.loads(sys.argv[1]):
    replicas, steps = workers * local, []
    for worker in range(workers):
        context = tf.distribute.InputContext(workers, worker, replicas)
        parts = batches(pictures, context, replicas=replicas, global_batch={BATCH}, mixed={SEED})
        steps.append([[labels.tolist(), float(weight)] for _, labels, weight in parts.as_numpy_iterator()])
    told.append(steps)
print(json.dumps(told))
"""
CASES = [
    (1, 1),
    (2, 1),
    (3, 1),
    (2, 2),
    (60, 1),
]  # workers, GPUs of each; the last: more than a step has images


@pytest.fixture(scope="module")
def parts() -> dict[tuple[int, int], list[list[list[tuple[list[int], float]]]]]:
    """Case -> step -> replica -> (its images, the weight of each)."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", CHILD, json.dumps(CASES)], cwd=PROGRAM.parent,
                          env=clean_environment(TF_CPP_MIN_LOG_LEVEL="2"), capture_output=True, text=True,
                          check=True)  # fmt: skip
    found = {}
    for case, workers in zip(CASES, json.loads(done.stdout.splitlines()[-1]), strict=True):
        local = case[1]
        steps = len(workers[0]) // local
        found[case] = [[tuple(part) for worker in workers for part in worker[step * local : (step + 1) * local]]
                       for step in range(steps)]  # fmt: skip
    return found


@pytest.mark.parametrize("case", CASES)
def test_every_image_comes_once(parts: dict, case: tuple[int, int]) -> None:  # type: ignore[type-arg]
    """An epoch has each image once over all replicas, whose parts of a step differ by one image at most."""
    steps = parts[case]
    images = [image for step in steps for mine, _ in step for image in mine]

    assert sorted(images) == list(range(COUNT))
    assert len(steps) == -(-COUNT // BATCH)
    for step in steps:
        sizes = [len(mine) for mine, _ in step]
        assert len(sizes) == case[0] * case[1]
        assert max(sizes) - min(sizes) <= 1
        for _, weight in step:
            assert weight == pytest.approx(1 / sum(sizes))


def test_a_step_is_the_same_for_any_number_of_replicas(parts: dict) -> None:  # type: ignore[type-arg]
    """The same global batch has the same images, in one order that is not that of the file."""
    steps = {case: [[image for mine, _ in step for image in mine] for step in parts[case]] for case in CASES}

    assert [case for case in CASES if steps[case] != steps[1, 1]] == []
    assert [image for step in steps[1, 1] for image in step] != list(range(COUNT))
