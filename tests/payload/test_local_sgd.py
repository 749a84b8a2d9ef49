"""Averages are means over the ranks, the same on all of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ranks import local_sgd
from ranks.exact import checksum
from torch import nn

from tests.payload.runs import on_ranks


def _scene(rank: int) -> dict[str, Any]:
    """Three steps apart, then the averages."""
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1, fused=True)
    inputs = torch.rand(3, 6, 5, generator=torch.Generator().manual_seed(rank))
    for batch in inputs:
        optimizer.zero_grad()
        net(batch).square().sum().backward()
        optimizer.step()
    before = torch.cat([parameter.detach().flatten() for parameter in net.parameters()])
    moments = optimizer.state[net[0].weight]["exp_avg"].clone()
    pointers = [parameter.data_ptr() for parameter in net.parameters()]
    local_sgd.average_parameters(net)
    local_sgd.average_moments(optimizer)
    states = [value for state in optimizer.state.values() for value in state.values()]
    return {
        "before": before.tolist(),
        "moments": moments.tolist(),
        "after": torch.cat([parameter.detach().flatten() for parameter in net.parameters()]).tolist(),
        "moments_after": optimizer.state[net[0].weight]["exp_avg"].tolist(),
        "sum": checksum({str(number): state for number, state in enumerate([*net.parameters(), *states])}),
        "steps": {float(state["step"]) for state in optimizer.state.values()},
        "in_place": pointers == [parameter.data_ptr() for parameter in net.parameters()],
    }


@pytest.mark.payload
def test_three_ranks_meet_in_the_mean() -> None:
    """Parameters and moments become the mean, in place; afterwards ranks are the same to the last bit."""
    told: list[Any] = on_ranks(3, _scene)

    assert {rank["sum"] for rank in told} == {told[0]["sum"]}
    assert told[0]["before"] != told[1]["before"]
    for before, after in (("before", "after"), ("moments", "moments_after")):
        mean = torch.stack([torch.tensor(rank[before]) for rank in told]).mean(0)
        assert torch.allclose(torch.tensor(told[0][after]), mean, atol=1e-6)
    assert [rank["steps"] for rank in told] == [{3.0}] * 3
    assert all(rank["in_place"] for rank in told)


def test_alone_nothing_changes() -> None:
    """One process is its own mean."""
    tensor = torch.rand(3)
    expected = tensor.clone()

    local_sgd.average([tensor, torch.tensor(3)])

    assert torch.equal(tensor, expected)
