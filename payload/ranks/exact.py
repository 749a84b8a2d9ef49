"""The ranks of a run -> one and the same weights, told by a checksum. Barriers, wherever ranks are many."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


class DisagreementError(RuntimeError):
    """Ranks that should hold the same hold different things; the message names them."""


def is_distributed() -> bool:
    """Whether a process group is there: with one process alone there is none."""
    return dist.is_available() and dist.is_initialized()


def backend() -> str:
    """gloo, nccl …; none for a process that trains by itself."""
    return str(dist.get_backend()) if is_distributed() else "none"


def device_of_group() -> torch.device:
    """Where tensors must be for the process group's collectives."""
    cuda = is_distributed() and "nccl" in dist.get_backend()
    return torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device("cpu")


def checksum(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of weights and buffers: name, type, shape and bytes of each, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()


def gather_numbers(numbers: list[float]) -> list[list[float]]:
    """What each rank gives, on every rank, by rank; float64."""
    if not is_distributed():
        return [numbers]
    mine = torch.tensor(numbers, dtype=torch.float64, device=device_of_group())
    parts = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, mine)
    return [part.tolist() for part in parts]


def summed(mine: Tensor) -> Tensor:
    """The sum of the tensors of all ranks, on every rank; `mine` may be overwritten."""
    if not is_distributed():
        return mine
    there = mine.to(device_of_group())
    dist.all_reduce(there)
    return there


def agree(what: str, digest: str) -> None:
    """Raise DisagreementError, on every rank, unless all have the same digest (hexadecimal) of `what`."""
    words = list(map(float, struct.unpack(">8I", bytes.fromhex(digest))))  # 32 bits fit a float64 exactly
    others = gather_numbers(words)
    strays = [str(rank) for rank, theirs in enumerate(others) if theirs != others[0]]
    if strays:
        ranks = f"rank {strays[0]}" if len(strays) == 1 else f"ranks {', '.join(strays)}"
        has = "has" if len(strays) == 1 else "have"
        raise DisagreementError(f"{ranks} of {len(others)} {has} not rank 0's {what}: "
                                "are the arguments, the code, the data the same?")  # fmt: skip


def broadcast_buffers(net: nn.Module) -> None:
    """Give every rank rank 0's buffers: BatchNorm's statistics, of which each rank has seen other images."""
    if is_distributed():
        for buffer in net.buffers():
            dist.broadcast(buffer, src=0)


def raise_together(failure: Exception | None) -> None:
    """Raise this rank's failure, or a DisagreementError that names the first rank with one: a barrier."""
    failed = [rank for rank, row in enumerate(gather_numbers([float(failure is not None)])) if row[0]]
    if failed:
        raise failure or DisagreementError(f"rank {failed[0]} could not go on; its own output says why")


def from_rank_0(make: Callable[[], T]) -> T:
    """What rank 0 makes, on every rank; also what it raises, so that no rank waits for one that has ended."""
    if not is_distributed():
        return make()
    answer: list[T | Exception] = [RuntimeError("rank 0 made nothing")]
    if dist.get_rank() == 0:
        try:
            answer[0] = make()
        except Exception as error:  # noqa: BLE001  # raised below, on all ranks
            answer[0] = error
    dist.broadcast_object_list(answer, src=0, device=device_of_group())
    if isinstance(answer[0], Exception):
        raise answer[0]
    return answer[0]
