"""Predictions are the same bytes at any number of ranks, and every image has exactly one."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
import torch
from data import SPECS, Table
from nets import NETS
from ranks import predict
from torch import Tensor, nn

from tests.payload.runs import on_ranks

COUNT = 601  # three chunks, the last one smaller


def _table(count: int = COUNT) -> Table:
    images = torch.randint(
        0, 256, (count, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    return Table(images=images, labels=torch.arange(count) % 10)


def _normalise(images: Tensor) -> Tensor:
    return images.float().sub_(SPECS["mnist"].mean[0]).div_(SPECS["mnist"].std[0])


def _net(name: str, rank: int = 0) -> nn.Module:
    """The weights of one seed; where there are buffers, each rank's are others."""
    torch.manual_seed(1)
    net = NETS[name]((1, 28, 28), 10)
    for buffer in net.buffers():
        if buffer.is_floating_point():
            buffer.add_(rank)
    return net


def _predictions(rank: int, world: int, *, count: int = COUNT, net: str = "lenet") -> predict.Predictions:
    return predict.predict(
        _net(net, rank), _table(count), _normalise, device=torch.device("cpu"), rank=rank, world=world
    )


def _scene(rank: int, world: int) -> tuple[list[bytes], list[float]]:
    """What a rank holds in the end for each net, and for fewer images than ranks."""
    all_ = [_predictions(rank, world, net=net) for net in ("mlp-100", "lenet", "mlp-512-256-128")]
    all_.append(_predictions(rank, world, count=2))
    return [found.csv() for found in all_], [found.loss for found in all_]


@pytest.mark.payload
def test_any_number_of_ranks_predicts_the_same_bytes() -> None:
    """1, 2 and 4 ranks, 3 chunks, BatchNorm with rank 0's statistics; every rank has all of it."""
    worlds = [on_ranks(world, _scene, world) for world in (1, 2, 4)]

    alone = worlds[0][0]
    assert isinstance(alone, tuple), alone
    for told in worlds:
        for rank in told:
            assert rank[0] == alone[0]
            assert rank[1] == pytest.approx(alone[1], rel=1e-12)


def test_the_table_is_in_the_order_of_the_data() -> None:
    """index, label, prediction, probability; probabilities come back as the very float32."""
    found = _predictions(0, 1)

    rows = list(csv.DictReader(io.StringIO(found.csv().decode())))
    assert list(rows[0]) == ["index", "label", "prediction", "probability"]
    assert [int(row["index"]) for row in rows] == list(range(COUNT))
    assert [int(row["label"]) for row in rows] == _table().labels.tolist()
    assert [int(row["prediction"]) for row in rows] == found.classes.tolist()
    read = torch.tensor([float(row["probability"]) for row in rows], dtype=torch.float32)
    assert read.tolist() == found.probabilities.tolist()
    right = sum(row["label"] == row["prediction"] for row in rows)
    assert found.accuracy == right / COUNT


def test_what_is_predicted_is_what_the_net_says() -> None:
    """Classes, probabilities and loss are those of a plain pass over the images."""
    table, net = _table(), _net("lenet").eval()
    with torch.inference_mode():
        logits = net(_normalise(table.images))

    found = _predictions(0, 1)

    probabilities, classes = logits.softmax(1).max(1)
    assert found.classes.tolist() == classes.tolist()
    assert torch.allclose(torch.from_numpy(found.probabilities), probabilities, atol=1e-5)
    assert found.loss == pytest.approx(float(nn.functional.cross_entropy(logits, table.labels)), rel=1e-4)


def test_neither_threads_nor_autocast_nor_training_matter() -> None:
    """Judging is done by one thread, in fp32 and evaluation mode; afterwards all is as before."""
    expected, net = _predictions(0, 1).csv(), _net("lenet").train()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            found = predict.predict(net, _table(), _normalise, device=torch.device("cpu"), rank=0, world=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)

    assert found.csv() == expected
    assert net.training
    assert all(parameter.grad is None for parameter in net.parameters())


def test_no_images_are_no_predictions() -> None:
    """An empty table has a header, and nothing to divide by."""
    found = _predictions(0, 1, count=0)

    assert (found.csv(), found.accuracy, found.loss) == (b"index,label,prediction,probability\n", 0.0, 0.0)


def _wrong(rank: int) -> Any:
    """Rank 1 believes to be rank 0."""
    return _predictions(0, 2)


@pytest.mark.payload
def test_an_image_that_is_predicted_twice_is_found_out() -> None:
    """Ranks that do the same chunks end with a sentence, not with wrong figures."""
    text = "DisagreementError: 601 of 601 images were not predicted exactly once over 2 ranks"

    assert on_ranks(2, _wrong) == [text, text]
