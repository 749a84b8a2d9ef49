"""Epochs, predictions and images -> matplotlib figures, 900 pixels wide. Pure: no files.

No pyplot, which would look for a display and takes longest to import. The colours are two of Okabe and Ito's,
which colour-blind people tell apart; lines and marks differ without them too.
"""

# N images, C channels, H x W pixels, K classes.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from pictures import Predicted

    Rows = list[dict[str, float]]

WIDTH = 6.0  # inches
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#666666"
STYLE = {
    "figure.dpi": 150, "savefig.dpi": 150, "font.size": 9, "axes.titlesize": 9.5, "axes.titlepad": 10,
    "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "axes.axisbelow": True, "grid.color": "#E6E6E6", "lines.linewidth": 1.5, "lines.markersize": 4.5,
    "legend.edgecolor": "none", "legend.framealpha": 0.9,
}  # fmt: skip
MARKED = 20  # epochs up to which each has a mark of its own
LOG_FROM = 20.0  # losses further apart than this factor get a logarithmic axis
ACROSS, DOWN, PITCH = 6, 6, 1.28  # mistakes on the page; from row to row, in widths of an image's place


def loss(epochs: Rows, title: str) -> Any:
    """Training loss and, where images were held out, their loss over the epochs."""
    figure, axes = _panel(epochs)
    train, held_out = (np.array([row[key] for row in epochs]) for key in ("train_loss", "val_loss"))
    _plot(axes, epochs, train, f"training images, last {train[-1]:.3g}", color=BLUE, marker="o")
    if np.isfinite(held_out).any():
        name = f"held-out images, last {held_out[-1]:.3g}"
        _plot(axes, epochs, held_out, name, color=VERMILION, marker="s", linestyle="--")
    axes.set(title=f"{title}: loss" if title else "loss", ylabel="cross entropy, nats per image")
    values = np.concatenate([train, held_out])
    values = values[np.isfinite(values)]
    if len(values):
        _loss_axis(axes, float(values.min()), float(values.max()))
        axes.legend()
    else:
        _say(axes, "no loss is a number")
    return figure


def accuracy(epochs: Rows, found: Predicted | None, title: str) -> Any:
    """Accuracy on the images held out over the epochs, and on the test images after the last."""
    figure, axes = _panel(epochs)
    values = 100 * np.array([row["val_accuracy"] for row in epochs])
    if np.isfinite(values).any():
        name = f"held-out images, last {values[-1]:.2f} %"
        _plot(axes, epochs, values, name, color=VERMILION, marker="s")
    if found is not None:
        right = 100 * float((found.labels == found.classes).mean())
        name = f"test images, {right:.2f} %"
        axes.plot(epochs[-1]["epoch"], right, "D", color=BLUE, label=name, clip_on=False)
        values = np.append(values, right)
    axes.set(title=f"{title}: accuracy" if title else "accuracy", ylabel="right answers, %")
    values = values[np.isfinite(values)]
    if len(values):
        room = max(0.5, 0.08 * float(np.ptp(values)))
        axes.set_ylim(max(0.0, values.min() - room), min(100.0, values.max() + room))
        axes.legend()
    else:
        _say(axes, "no images were held out, and none predicted")
    return figure


def confusion(found: Predicted, classes: Sequence[str], title: str) -> Any:
    """K x K counts: a row per label, a column per prediction. Mistakes are shaded by their number."""
    names = _names(found, classes)
    K = len(names)
    counts_KK = np.zeros((K, K), dtype=int)
    np.add.at(counts_KK, (found.labels, found.classes), 1)
    right_K, labels_K = counts_KK.diagonal(), counts_KK.sum(1)
    wrong_KK = counts_KK - np.diag(right_K)
    figure, axes = _sheet(5.5)
    axes.imshow(np.ma.masked_equal(np.eye(K), 0), cmap="Blues", vmin=0, vmax=7)
    axes.imshow(np.ma.masked_equal(wrong_KK, 0), cmap="Oranges", vmin=0, vmax=1.4 * max(10, wrong_KK.max()))
    for row, column in np.argwhere(counts_KK):
        axes.text(column, row, counts_KK[row, column], ha="center", va="center", fontsize=8)
    for row in np.flatnonzero(labels_K):
        axes.text(K - 0.3, row, f"{100 * right_K[row] / labels_K[row]:.1f} %", va="center", color=GREY)
    axes.text(K - 0.3, -0.8, "right", va="center", color=GREY)
    turned = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 2 else {}
    axes.set_xticks(range(K), names, **turned)
    axes.set_yticks(range(K), names)
    axes.tick_params(length=0)
    axes.set(xlabel="prediction", ylabel="label")
    count, wrong = int(labels_K.sum()), int(wrong_KK.sum())
    mistakes = f"{wrong:,} mistake{'' if wrong == 1 else 's'}"
    what = f"accuracy {100 * (1 - wrong / count):.2f} % of {count:,} test images, {mistakes}"
    axes.set_title(_head(title, what), pad=18)
    return figure


def mistakes(found: Predicted, images: NDArray[np.uint8], classes: Sequence[str], title: str) -> Any:
    """The images that were misclassified, N x H x W or N x C x H x W, from the most confident answer on."""
    names = _names(found, classes)
    wrong = np.flatnonzero(found.labels != found.classes)
    shown = wrong[np.argsort(-found.probabilities[wrong], kind="stable")][: ACROSS * DOWN]
    down = max(1, -(-len(shown) // ACROSS))
    figure, axes = _sheet(0.42 + 0.985 * PITCH * down)  # the margins take the rest of an inch
    for place, row in enumerate(shown):
        x, y = place % ACROSS, PITCH * (place // ACROSS)
        picture = images[found.index[row]].squeeze()
        grey = {"cmap": "gray_r", "vmin": 0, "vmax": 255} if picture.ndim == 2 else {}
        picture = picture if picture.ndim == 2 else picture.transpose(1, 2, 0)
        axes.imshow(picture, extent=(x, x + 0.9, y + 0.9, y), interpolation="nearest", **grey)
        pair = f"{names[found.labels[row]]} → {names[found.classes[row]]}"
        below = f"{found.probabilities[row]:.3f}  #{found.index[row]}"
        size = min(8.0, 120 / len(pair))  # 18 letters fill the width of a place
        axes.text(x + 0.45, y + 0.93, pair, ha="center", va="top", fontsize=size)
        axes.text(x + 0.45, y + 1.07, below, ha="center", va="top", fontsize=6.5, color=GREY)
    axes.set(xlim=(-0.05, ACROSS - 0.05), ylim=(PITCH * down - 0.08, 0), xticks=[], yticks=[])
    if len(shown):
        which = f"{len(shown)} of {len(wrong):,} mistakes, most confident first"
        axes.set_title(_head(title, f"{which}: label → prediction, probability  #image"))
    else:
        axes.set_title(_head(title, "mistakes"))
        _say(axes, f"none: all {len(found.labels):,} test images are right")
    return figure


def _figure(height: float) -> tuple[Any, Any]:
    mpl.rcdefaults()  # whatever matplotlibrc this user has
    mpl.rcParams.update(STYLE)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _sheet(height: float) -> tuple[Any, Any]:
    """Axes for images: no frame, no grid."""
    figure, axes = _figure(height)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure, axes


def _panel(epochs: Rows) -> tuple[Any, Any]:
    """Axes over the epochs, whole numbers below."""
    figure, axes = _figure(3.6)
    first, last = epochs[0]["epoch"], epochs[-1]["epoch"]
    room = max(0.5 if len(epochs) <= MARKED else 0.0, 0.02 * (last - first))
    axes.set(xlabel="epoch", xlim=(first - room, last + room))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    return figure, axes


def _plot(axes: Any, epochs: Rows, values: NDArray[np.float64], name: str, **style: str) -> None:
    if len(epochs) > MARKED:
        style["marker"] = ""
    axes.plot([row["epoch"] for row in epochs], values, label=name, clip_on=False, **style)


def _loss_axis(axes: Any, low: float, high: float) -> None:
    """From 0 where the losses are near each other, else logarithmic; plain numbers."""
    if low > 0 and high / low > LOG_FROM:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 1e4 else (1,)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axes.set_ylim(0, 1.08 * high or 1)


def _names(found: Predicted, classes: Sequence[str]) -> list[str]:
    """A name per class, its number where it has none; ten at least."""
    K = max(10, len(classes), int(found.labels.max()) + 1, int(found.classes.max()) + 1)
    return [*classes, *map(str, range(len(classes), K))]


def _head(title: str, what: str) -> str:
    return f"{title}\n{what}" if title else what


def _say(axes: Any, sentence: str) -> None:
    axes.set_yticks([])
    axes.text(0.5, 0.5, sentence, transform=axes.transAxes, ha="center", va="center", color=GREY)
