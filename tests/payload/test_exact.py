"""Ranks that hold different things are found out, and what one makes all get."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import torch
from nets import NETS
from ranks import exact
from show.report import ReportError
from torch import nn

from tests.payload.runs import on_ranks

STATE = {"b": torch.arange(6.0).view(2, 3), "a": torch.tensor(5)}


def test_the_checksum_is_of_names_types_shapes_and_bytes() -> None:
    """It can be made elsewhere from what the docstring says, whatever the order of the names."""
    expected = hashlib.sha256(b"a torch.int64 []\n" + (5).to_bytes(8, "little"))
    expected.update(b"b torch.float32 [2, 3]\n" + STATE["b"].numpy().tobytes())

    assert exact.checksum(STATE) == expected.hexdigest()
    assert exact.checksum(dict(reversed(STATE.items()))) == expected.hexdigest()


@pytest.mark.parametrize(
    "other",
    [{"b": STATE["b"]}, {**STATE, "a": torch.tensor(6)}, {**STATE, "b": STATE["b"].view(3, 2)},
     {**STATE, "b": STATE["b"].double()}, {**STATE, "c": torch.tensor([])}, {"c": STATE["b"], "a": STATE["a"]},
     {**STATE, "b": STATE["b"].nextafter(torch.tensor(9.0))}],
)  # fmt: skip
def test_whatever_differs_changes_the_checksum(other: dict[str, Any]) -> None:
    """A name more or less, a value by its last bit, another shape or type."""
    assert exact.checksum(other) != exact.checksum(STATE)


def test_the_layout_does_not_matter() -> None:
    """Weights in channels_last, non-contiguous, bf16 or empty have a checksum; the former that of their values."""
    weights = torch.rand(4, 3, 5, 5)

    assert exact.checksum({"w": weights.to(memory_format=torch.channels_last)}) == exact.checksum(
        {"w": weights}
    )
    assert exact.checksum({"w": weights.t() if weights.dim() == 2 else weights[:, ::2]})
    assert exact.checksum({"w": weights.bfloat16(), "e": torch.empty(0, 3)})


def test_alone_nothing_is_asked_of_anybody() -> None:
    """A process without a group agrees with itself, and its exceptions are its own."""
    exact.agree("seed", exact.checksum(STATE))
    exact.broadcast_buffers(nn.BatchNorm1d(3))

    assert exact.gather_numbers([1.0, 2.0]) == [[1.0, 2.0]]
    assert (exact.backend(), exact.from_rank_0(lambda: 7)) == ("none", 7)
    with pytest.raises(ReportError, match="full"):
        exact.from_rank_0(_full)


def _full() -> int:
    raise ReportError("full")


def _scene(rank: int) -> dict[str, Any]:
    """All that ranks can tell each other, in one process group."""
    told: dict[str, Any] = {
        "backend": exact.backend(),
        "numbers": exact.gather_numbers([rank + 0.1, 2.0**31]),
    }
    for name, odd in (("none", ()), ("one", (2,)), ("first", (0,)), ("two", (1, 2))):
        digest = hashlib.sha256(b"odd" if rank in odd else b"").hexdigest()
        try:
            exact.agree("weights", digest)
            told[name] = ""
        except exact.DisagreementError as error:
            told[name] = str(error)
    net = NETS["lenet"]((1, 28, 28), 10)
    for buffer in net.buffers():
        buffer.fill_(rank + 3)
    exact.broadcast_buffers(net)
    told["buffers"] = sorted({float(buffer.max()) for buffer in net.buffers()})
    told["made"] = exact.from_rank_0(lambda: f"by {rank}")
    try:
        exact.from_rank_0(_full)
    except ReportError as error:
        told["raised"] = str(error)
    return told


@pytest.mark.payload
def test_three_ranks_agree_or_name_who_does_not() -> None:
    """The strays are named on every rank alike; buffers, values and exceptions of rank 0 are all ranks'."""
    told = on_ranks(3, _scene)

    assert [told[0]] * 3 == told
    assert told[0] == {
        "backend": "gloo",
        "numbers": [[0.1, 2.0**31], [1.1, 2.0**31], [2.1, 2.0**31]],
        "none": "",
        "one": "rank 2 of 3 has not rank 0's weights: are the arguments, the code, the data the same?",
        "first": "ranks 1, 2 of 3 have not rank 0's weights: are the arguments, the code, the data the same?",
        "two": "ranks 1, 2 of 3 have not rank 0's weights: are the arguments, the code, the data the same?",
        "buffers": [3.0],
        "made": "by 0",
        "raised": "full",
    }
