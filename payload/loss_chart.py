"""metrics.csv -> a picture of the loss over the epochs, beside it.

    python payload/loss_chart.py runs/mnist-mlp-100-1/metrics.csv         writes metrics.png there
    python payload/loss_chart.py metrics.csv --out loss.png --title "two workers"

pictures.py draws all pictures of a whole run; this one needs nothing but the table.
"""

from __future__ import annotations

import argparse
import io
import math
import sys
from pathlib import Path

from pictures import PictureError, drawing, read_epochs
from sources.files import replace


def chart(metrics: Path, out: Path, title: str = "") -> None:
    """Draw the losses of `metrics` into `out`, a PNG. Raises PictureError, and OSError for `out`."""
    if not metrics.is_file():
        raise PictureError(f"{metrics}: there is no such file; a run's metrics.csv is wanted")
    epochs = read_epochs(metrics)
    if not epochs:
        raise PictureError(f"{metrics} has no epoch yet")
    if any(math.isnan(row["epoch"]) for row in epochs):
        raise PictureError(f"{metrics} is not a table of epochs: it has no column epoch with numbers")
    content = io.BytesIO()
    drawing().loss(epochs, title).savefig(content, format="png")
    replace(out, content.getvalue())


def _main() -> int | str:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("metrics", type=Path, help="metrics.csv of a run")
    parser.add_argument("--out", type=Path, help="the picture; by default beside the table, with .png")
    parser.add_argument("--title", default="", help="for its head")
    asked = parser.parse_args()
    out = asked.out or asked.metrics.with_suffix(".png")
    try:
        chart(asked.metrics, out, asked.title)
    except (PictureError, OSError) as error:
        return str(error)
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
