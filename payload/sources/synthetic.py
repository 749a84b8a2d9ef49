"""A data root -> made-up images of ten classes in ROOT/synthetic, for machines that reach nothing at all.

60,000 + 10,000 images of 28 x 28 bytes. Each class is a smooth pattern; an image is its class's pattern,
moved by up to REACH pixels, half of the time as its negative, mixed with a weaker pattern of any class, under
noise. So a linear net stays at 1 in 10; 784-100-10 reaches 98 % in two epochs.

The files are the same bytes everywhere: numpy keeps the raw stream of a bit generator for ever (NEP 19; not
those of its distributions), and all that follows is arithmetic of whole numbers.

N images, K classes, S shifts, H x W = P pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sources import idx, mnist
from sources.files import Collection, Say, obtain

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SEED = 2026
CLASSES, SIDE = 10, 28
REACH = 3  # pixels, in each direction
STEP = 8  # pixels between the random points of a pattern
OTHER = 128  # weight of the other pattern, at most, of 256
NOISE = 160  # weight of the noise, of 128
COUNTS = {"train": 60_000, "t10k": 10_000}
CHUNK = 2500  # images made at a time: 20 MB
COLLECTION = Collection(
    name="synthetic",
    title="the synthetic set",
    place="synthetic",
    names=mnist.COLLECTION.names,
    sha256={
        "train-images-idx3-ubyte": "29923238deaa070489520c53efcafcd94fe21dd0dbb1e417e28efd9101eca5c1",
        "train-labels-idx1-ubyte": "ca9e4becd893a8d92a1a2a2609cc9444599ab7f519da72bbaf37e26e141d0738",
        "t10k-images-idx3-ubyte": "45e379f4eaefbe9809ae7d324d2671dd2050c74decb361ca9ff9becbe5ae0d08",
        "t10k-labels-idx1-ubyte": "9bdac046f3c2fe052883a9142238b8e212123a53dbc4978b2a0e8ed6d311eb67",
    },
    fix="this is a fault of this program or of its numpy",
)


def fetch(root: Path, say: Say) -> Path:
    """Return ROOT/synthetic with all four files in it. Raises DataError."""
    return obtain(COLLECTION, (("making it", make),), root, say)


def make(directory: Path, say: Say) -> None:
    """Write the four IDX files into `directory`: 55 MB."""
    say(f"{COLLECTION.name}: making 70,000 images in {directory.parent}")
    stream = np.random.Philox(key=SEED)
    patterns_KSP = _patterns(stream)
    for prefix, count in COUNTS.items():
        with (
            (directory / f"{prefix}-images-idx3-ubyte").open("wb") as images,
            (directory / f"{prefix}-labels-idx1-ubyte").open("wb") as labels,
        ):
            images.write(idx.header(count, SIDE, SIDE))
            labels.write(idx.header(count))
            for _ in range(count // CHUNK):
                images_NP, labels_N = _chunk(stream, patterns_KSP, CHUNK)
                images.write(images_NP.tobytes())
                labels.write(labels_N.tobytes())


def _patterns(stream: np.random.Philox) -> NDArray[np.int16]:
    """Each class's pattern under each shift, K x S x P, -128 to 127: random points joined by lines."""
    wide = SIDE + 2 * REACH
    points = wide // STEP + 2
    points_Kyx = _bytes(stream, CLASSES * points * points).reshape(CLASSES, points, points).astype(np.int32)
    below, part = np.divmod(np.arange(wide), STEP)
    rows = points_Kyx[:, below] * (STEP - part)[:, None] + points_Kyx[:, below + 1] * part[:, None]
    whole = (rows[:, :, below] * (STEP - part) + rows[:, :, below + 1] * part) // STEP**2
    shifted = [
        whole[:, y : y + SIDE, x : x + SIDE].reshape(CLASSES, -1)
        for y in range(2 * REACH + 1)
        for x in range(2 * REACH + 1)
    ]
    return np.stack(shifted, axis=1).astype(np.int16) - np.int16(128)


def _chunk(
    stream: np.random.Philox,
    patterns_KSP: NDArray[np.int16],  # noqa: N803  # its shape
    count: int,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The next images, N x P, and their labels, N. Every intermediate value fits into 16 bits."""
    classes, shifts, pixels = patterns_KSP.shape
    labels_N, others_N = _below(stream, classes, count), _below(stream, classes, count)
    sign_N1 = 1 - 2 * (_bytes(stream, count) & 1).astype(np.int16)[:, None]
    weight_N1 = (_bytes(stream, count).astype(np.int16) * np.int16(OTHER) >> 8)[:, None]
    images_NP = patterns_KSP[labels_N, _below(stream, shifts, count)] * sign_N1
    images_NP += patterns_KSP[others_N, _below(stream, shifts, count)] * weight_N1 >> 8
    noise_NP = _bytes(stream, count * pixels).reshape(count, pixels).astype(np.int16) - np.int16(128)
    images_NP = (images_NP * 3 >> 2) + (noise_NP * np.int16(NOISE) >> 7) + np.int16(128)
    return images_NP.clip(0, 255).astype(np.uint8), labels_N.astype(np.uint8)


def _bytes(stream: np.random.Philox, count: int) -> NDArray[np.uint8]:
    """Random bytes; the stream's 64-bit words begin with their lowest byte, on every machine."""
    return stream.random_raw((count + 7) // 8).astype("<u8").view(np.uint8)[:count]


def _below(stream: np.random.Philox, limit: int, count: int) -> NDArray[np.int64]:
    """Random whole numbers from 0 to `limit` - 1, from the upper half of a word each."""
    words = stream.random_raw(count) >> np.uint64(32)
    return (words * np.uint64(limit) >> np.uint64(32)).astype(np.int64)
