"""Nets take images of any data set's shape to classes; what is random in them follows from a seed."""

from __future__ import annotations

import pytest
import torch
from data import SPECS
from nets import DROPPED, NETS, Dropout, reseed
from recipe import RECIPES

PARAMETERS = {"mlp-100": 79_510, "dense-128": 101_770, "mlp-512": 407_050, "mlp-512-256-128": 567_434,
              "lenet": 29_034}  # fmt: skip


@pytest.mark.parametrize("data", SPECS)
@pytest.mark.parametrize("net", NETS)
def test_images_become_logits(net: str, data: str) -> None:
    """N x C x H x W in, N x K out, also for a batch of one while judging, and for none."""
    spec = SPECS[data]
    model = NETS[net](spec.shape, len(spec.classes))

    assert model(torch.zeros(3, *spec.shape)).shape == (3, 10)
    with torch.inference_mode():
        for count in (0, 1):
            assert model.eval()(torch.zeros(count, *spec.shape)).shape == (count, 10)


@pytest.mark.parametrize(("net", "count"), PARAMETERS.items())
def test_sizes_are_as_told(net: str, count: int) -> None:
    """As many parameters for MNIST as its docstring says."""
    assert sum(parameter.numel() for parameter in NETS[net]((1, 28, 28), 10).parameters()) == count


def test_the_residual_net_is_as_large_as_told() -> None:
    """As many parameters for CIFAR-10 as its docstring says."""
    net = NETS["resnet"]((3, 32, 32), 10)

    assert sum(parameter.numel() for parameter in net.parameters()) == 272_474


def test_each_net_has_a_recipe() -> None:
    """Names of nets and of recipes are the same."""
    assert list(NETS) == list(RECIPES)


@pytest.mark.parametrize("net", NETS)
def test_same_seed_same_weights(net: str) -> None:
    """The seed decides the initial weights, so that all ranks begin alike."""
    weights = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        parameters = NETS[net]((1, 28, 28), 10).parameters()
        weights.append(torch.cat([parameter.flatten() for parameter in parameters]))

    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("type_", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("probability", [0.0, 0.2, 0.5, 0.9])
def test_dropout_drops_its_rate(probability: float, type_: torch.dtype) -> None:
    """That part of the values is 0, the others are scaled, so that the mean stays; the type too."""
    values = torch.ones(1000, 1001, dtype=type_)

    dropped = Dropout(probability)(values)

    kept = dropped[dropped != 0]
    assert dropped.dtype == type_
    assert 1 - kept.numel() / values.numel() == pytest.approx(probability, abs=0.002)
    assert float(dropped.double().mean()) == pytest.approx(1, rel=0.02)
    expected = torch.tensor(1 / (1 - probability)).to(type_).item()
    assert kept.unique().tolist() == pytest.approx([expected], rel=1e-4 if type_ is torch.float32 else 0.01)


def test_dropout_is_not_there_in_judging() -> None:
    """In evaluation mode values pass as they are."""
    values = torch.rand(5, 7)

    assert Dropout(0.5).eval()(values) is values


def test_masks_follow_from_the_seed() -> None:
    """The same seed drops the same values, in another object too; another seed, or the next call, drops others."""
    values, first, second = torch.ones(64, 33), Dropout(0.5), Dropout(0.5)
    for layer in (first, second):
        layer.reseed(7)
    masks = [first(values), second(values), first(values)]
    first.reseed(7)
    second.reseed(8)

    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    assert torch.equal(first(values), masks[0])
    assert not torch.equal(second(values), masks[0])


def test_dropout_leaves_the_process_alone() -> None:
    """torch's own generator is not advanced, nor does it matter."""
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    Dropout(0.5)(torch.ones(100))

    assert torch.equal(torch.rand(1), expected)


def test_gradients_pass_where_values_did() -> None:
    """The gradient of a dropped value is 0, that of a kept one is the scale."""
    values = torch.ones(10, 10, requires_grad=True)

    dropped = Dropout(0.5)(values)
    dropped.sum().backward()

    assert torch.equal(values.grad, dropped.detach())


def test_layers_steps_and_ranks_have_masks_of_their_own() -> None:
    """Seed, epoch, step, rank and the layer's place each make another mask."""
    layers = [layer for layer in NETS["mlp-512-256-128"]((1, 28, 28), 10) if isinstance(layer, Dropout)]
    seeds = set()
    numbers = [
        (1, 0, 0, 0),
        (2, 0, 0, 0),
        (1, 1, 0, 0),
        (1, 0, 1, 0),
        (1, 0, 0, 1),
        (0, 1, 0, 0),
        (2**32 - 1, 4, 859, 31),
    ]
    for at in numbers:
        reseed(layers, at)
        seeds |= {layer.seed for layer in layers}

    assert len(layers) == 3
    assert len(seeds) == len(numbers) * len(layers)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert {round(layer.limit / 65_536, 3) for layer in layers} == {DROPPED}
