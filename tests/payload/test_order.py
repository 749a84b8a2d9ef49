"""Every image comes once an epoch, in steps that do not depend on how many ranks share them."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ranks import order

COUNTS = st.integers(1, 400)
WORLDS = st.integers(1, 9)
Epoch = list[list[tuple[torch.Tensor, float]]]


def _epoch(
    count: int, global_batch: int, world: int, parts: int = 1, shares: list[float] | None = None
) -> Epoch:
    """Each rank's batches."""
    steps = order.steps_per_epoch(count, global_batch)
    permutation = order.epoch_order(count, 1, 0)
    return [
        order.rank_batches(permutation, steps, shares=shares or [1.0] * world, rank=rank, micro_batches=parts)
        for rank in range(world)
    ]


def _indices(batches: list[tuple[torch.Tensor, float]]) -> list[int]:
    return [index for batch, _ in batches for index in batch.tolist()]


@settings(max_examples=300, deadline=None)
@given(COUNTS, st.integers(1, 64), WORLDS, st.integers(1, 4), st.data())
def test_every_image_comes_once_an_epoch(
    count: int, batch: int, world: int, parts: int, data: st.DataObject
) -> None:
    """Over the ranks an epoch is a permutation, however many, and however large their shares are."""
    shares = data.draw(st.lists(st.floats(0.01, 100), min_size=world, max_size=world))

    ranks = _epoch(count, batch * world * parts, world, parts, shares)

    assert sorted(index for rank in ranks for index in _indices(rank)) == list(range(count))
    assert {len(rank) for rank in ranks} == {order.steps_per_epoch(count, batch * world * parts) * parts}


@settings(max_examples=200, deadline=None)
@given(COUNTS, st.integers(1, 64), WORLDS, st.integers(1, 4))
def test_a_batch_is_as_large_as_asked_at_most(count: int, batch: int, world: int, parts: int) -> None:
    """With equal shares no batch exceeds the batch size, and sizes differ by three images at most."""
    ranks = _epoch(count, batch * world * parts, world, parts)

    sizes = [len(indices) for rank in ranks for indices, _ in rank]
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 3


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 300), st.integers(1, 64), WORLDS, st.integers(1, 3), st.data())
def test_global_batches_do_not_depend_on_the_ranks(
    count: int, global_batch: int, world: int, parts: int, data: st.DataObject
) -> None:
    """The images of a step are the same for one rank and for many, whatever their shares."""
    shares = data.draw(st.lists(st.floats(0.01, 100), min_size=world, max_size=world))
    alone = [_indices([step]) for step in _epoch(count, global_batch, 1)[0]]

    ranks = _epoch(count, global_batch, world, parts, shares)

    steps = [
        [index for rank in ranks for index in _indices(rank[number * parts : (number + 1) * parts])]
        for number in range(len(alone))
    ]
    assert steps == alone


@settings(max_examples=200, deadline=None)
@given(st.integers(20, 300), st.integers(20, 64), st.integers(1, 5), st.integers(1, 4), st.data())
def test_weights_make_the_mean_of_gradients_the_gradient_of_the_mean(
    count: int, global_batch: int, world: int, parts: int, data: st.DataObject
) -> None:
    """Sums times weight, averaged over ranks and parts, are the mean over the images of the step."""
    shares = data.draw(st.lists(st.floats(0.1, 10), min_size=world, max_size=world))
    losses = torch.rand(count, generator=torch.Generator().manual_seed(count), dtype=torch.float64)

    ranks = _epoch(count, global_batch, world, parts, shares)

    for number in range(0, len(ranks[0]), parts):
        step = [part for rank in ranks for part in rank[number : number + parts]]
        averaged = sum(float(losses[indices].sum()) * weight for indices, weight in step) / (world * parts)
        assert averaged == pytest.approx(float(losses[torch.cat([indices for indices, _ in step])].mean()))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 3000), st.integers(1, 20))
def test_every_image_is_judged_once(count: int, world: int) -> None:
    """Chunks cover all images once, also with more ranks than chunks, and are the same at any number of ranks."""
    ranks = [order.judged_chunks(count, world, rank) for rank in range(world)]

    chunks = sorted(chunk for rank in ranks for chunk in rank)
    assert [index for first, end in chunks for index in range(first, end)] == list(range(count))
    assert chunks == order.judged_chunks(count, 1, 0)
    assert all(end - first == order.JUDGED_AT_ONCE for first, end in chunks[:-1])


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 500), st.lists(st.floats(0.001, 1000), min_size=1, max_size=9))
def test_cuts_follow_the_shares(count: int, shares: list[float]) -> None:
    """Cuts rise from 0 to the count; where there are enough items each part has one; few ranks' are exact."""
    cuts = order.bounds(count, shares)

    sizes = [high - low for low, high in pairwise(cuts)]
    assert (cuts[0], cuts[-1], len(sizes)) == (0, count, len(shares))
    assert min(sizes) >= (1 if count >= len(shares) else 0)
    exact = [count * share / sum(shares) for share in shares]
    if min(exact) >= 2:  # nobody had to be given more than the share
        assert all(abs(size - wanted) <= 1 + 1e-6 for size, wanted in zip(sizes, exact, strict=True))


@pytest.mark.parametrize(
    ("count", "shares", "cuts"),
    [(100, [1, 3], [0, 25, 100]), (10, [1, 1, 1], [0, 3, 7, 10]), (3, [100, 1, 1], [0, 1, 2, 3]),
     (2, [1, 1, 1], [0, 1, 2, 2]), (256, [1, 1], [0, 128, 256])],
)  # fmt: skip
def test_cuts_by_example(count: int, shares: list[float], cuts: list[int]) -> None:
    """A quarter and three; thirds; one for each at least; fewer items than parts."""
    assert order.bounds(count, shares) == cuts


def test_each_epoch_has_its_own_order() -> None:
    """The order depends on epoch and seed, and on nothing else, also where the seed is large."""
    first = order.epoch_order(1000, 1, 0)

    torch.manual_seed(5)
    assert torch.equal(first, order.epoch_order(1000, 1, 0))
    others = [order.epoch_order(1000, *at) for at in ((1, 1), (2, 0), (2**63, 7), (2**32 - 1, 10**6))]
    assert not any(torch.equal(first, other) for other in others)
    assert all(torch.equal(other.sort().values, torch.arange(1000)) for other in others)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((10, 0, 1), "a batch of 0 images, 1 at a time: 1 or more are needed"),
        ((10, -3, 1), "a batch of -3 images"),
        ((10, 1, 1, 0), "a batch of 1 images, 0 at a time"),
        ((10, 1, 11), "11 ranks are more than the 10 training images: each needs one"),
        ((1000, 2000, 1), "a batch of 2,000 images is more than the 1,000 training images; at most 1,000 per rank"),
        ((1000, 400, 3), "a batch of 400 x 3 ranks images is more than the 1,000 training images; at most 333 per rank"),
        ((1000, 300, 2, 2), "a batch of 300 x 2 ranks x 2 accumulated images is more than the 1,000"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(arguments: tuple[int, ...], text: str) -> None:
    """One sentence with what was asked for, what there is, and what would do."""
    with pytest.raises(order.OrderError) as caught:
        order.check(*arguments)

    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("arguments", [(1, 1, 1), (10, 10, 1), (10, 1, 10), (1000, 250, 2, 2)])
def test_what_just_fits_is_taken(arguments: tuple[int, ...]) -> None:
    """One step that takes all images is a training."""
    order.check(*arguments)


def test_shares_follow_speed() -> None:
    """A rank twice as fast gets twice as much; one that seems to stand still gets a tenth of a mean speed."""
    assert order.shares_by_speed([200.0, 100.0]) == pytest.approx([2 / 3, 1 / 3])
    assert order.shares_by_speed([5.0, 5.0, 5.0]) == pytest.approx([1 / 3] * 3)
    assert order.shares_by_speed([100.0, 0.0]) == pytest.approx([100 / 105, 5 / 105])
    assert order.shares_by_speed([7.0]) == [1.0]
