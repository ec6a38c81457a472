"""The ranks that share an evaluation: who takes which sample, and how their counts become one.

Without `torch.distributed` there is one rank, and nothing here talks to anyone.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from curate.errors import CurateError, InputError

__all__ = ["gather", "in_step", "is_first_rank", "rank_and_world", "sum_tensor"]

Item = TypeVar("Item")


def rank_and_world() -> tuple[int, int]:
    """Return this process's rank and the number of ranks; (0, 1) where nothing is initialised."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def is_first_rank() -> bool:
    """Tell whether this process is the one that writes and prints."""
    return rank_and_world()[0] == 0


def gather(value: Any) -> list[Any]:
    """Return every rank's value, in the order of the ranks; all ranks have to call it."""
    _, world = rank_and_world()
    if world == 1:
        return [value]
    values: list[Any] = [None] * world
    dist.all_gather_object(values, value)
    return values


def sum_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """Return the sum of all ranks' tensors, on the device of this rank's."""
    if rank_and_world()[1] > 1:
        dist.all_reduce(tensor)
    return tensor


def in_step(items: Iterable[Item], device: torch.device) -> Iterator[Item | None]:
    """Yield this rank's items, and None while another rank still has some.

    So every rank runs the model equally often, which sharded parameters (FSDP) need, and an error
    of one rank reaches all instead of leaving the others to wait.

    Args:
        items: of this rank.
        device: that the ranks exchange tensors on.

    Raises:
        CurateError: reading failed, on any rank.
    """
    _, world = rank_and_world()
    if world == 1:
        yield from items
        return
    source = iter(items)
    while True:
        item, problem = _next(source)
        state = 2 if problem is not None else 1 if item is not None else 0
        most = torch.tensor(state, device=device)
        dist.all_reduce(most, dist.ReduceOp.MAX)
        if most == 2:
            _raise_everywhere(problem)
        if most == 0:
            return
        yield item


def _next(source: Iterator[Item]) -> tuple[Item | None, CurateError | None]:
    try:
        return next(source, None), None
    except CurateError as error:
        return None, error


def _raise_everywhere(problem: CurateError | None) -> None:
    messages = [m for m in gather(None if problem is None else str(problem)) if m]
    if problem is not None:
        raise problem
    raise InputError(messages[0])
