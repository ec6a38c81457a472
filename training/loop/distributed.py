"""Several processes that train one model: who is who, and what they tell each other.

torch's own process groups do the work; with one process every function here is the identity, so
that callers need no case of their own.

Shapes: L rows of this rank, G = L · ranks rows of all.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from curate.errors import UsageError
from curate.training.loop.timing import StepTimer

__all__ = [
    "ALONE",
    "World",
    "gather_objects",
    "gather_rows",
    "is_shared_out",
    "joined_world",
    "launched_machines",
    "launched_ranks",
    "max_over_ranks",
    "scatter_sum_rows",
    "sum_over_ranks",
    "wait_for_all",
    "whole",
]

_TIMEOUT = timedelta(minutes=30)

# torch 2.13 gave these new names and warns of the old ones.
_ALL_GATHER = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_REDUCE_SCATTER = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor


@dataclass(frozen=True, slots=True)
class World:
    """A process among those that train together.

    Attributes:
        rank: from 0; rank 0 writes the files.
        size: processes in all.
        device: where this one computes.
        timer: told how long this one communicates.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")
    timer: StepTimer | None = None

    @property
    def is_main(self) -> bool:
        """Tell whether this process writes files and talks to the user."""
        return self.rank == 0

    def communicating(self) -> AbstractContextManager[None]:
        """Time what is within as communication, waiting for slower ranks included."""
        if self.timer is None or self.size == 1:
            return nullcontext()
        return self.timer.section("communication")

    def share(self, total: int, name: str) -> int:
        """Return this rank's part of a number that all ranks share equally.

        Raises:
            UsageError: it cannot be shared equally.
        """
        if total % self.size:
            raise UsageError(
                f"{name} is {total}, which {self.size} processes cannot share equally; expected a "
                f"multiple of {self.size}"
            )
        return total // self.size


ALONE = World()


def launched_ranks() -> tuple[int, int]:
    """Return this process's rank and the number of ranks, as the launcher (torchrun) says."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def launched_machines() -> int:
    """Return the number of machines, as the launcher says; 1 where it does not say."""
    of_machine = int(os.environ.get("LOCAL_WORLD_SIZE", "0"))
    return max(1, launched_ranks()[1] // of_machine) if of_machine else 1


@contextmanager
def joined_world(device: str | None = None) -> Iterator[World]:
    """Join the processes that torchrun (or Ray, or Slurm with torchrun) started; alone if none.

    A process group that is there already is used and left as it is.

    Args:
        device: such as ``cpu`` or ``cuda``; None for a GPU if there is one.

    Raises:
        UsageError: the device is not there.
    """
    rank, size = launched_ranks()
    here = _device(device)
    if dist.is_initialized():
        yield World(dist.get_rank(), dist.get_world_size(), here)
        return
    if size == 1:
        yield World(0, 1, here)
        return
    backend = "cpu:gloo,cuda:nccl" if here.type == "cuda" else "gloo"
    dist.init_process_group(backend, rank=rank, world_size=size, timeout=_TIMEOUT)
    try:
        yield World(rank, size, here)
    finally:
        dist.destroy_process_group()


def _device(name: str | None) -> torch.device:
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"--device is {name!r}; expected cpu, cuda or cuda:N") from error
    if device.type != "cuda":
        return device
    if not torch.cuda.is_available():
        raise UsageError(f"--device is {name!r}, but torch sees no GPU here; use --device cpu")
    if device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def is_shared_out(tensor: Tensor) -> bool:
    """Tell whether FSDP has shared a tensor out.

    Asked by a method of its, because importing its class takes a second that most runs can spare.
    """
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor put together from all ranks; every rank has to call this."""
    out: Tensor = tensor.full_tensor() if is_shared_out(tensor) else tensor  # type: ignore[attr-defined]
    return out


def gather_rows(rows_LE: Tensor, world: World) -> Tensor:
    """Return the rows of all ranks, in the order of the ranks: (L, …) → (G, …)."""
    if world.size == 1:
        return rows_LE
    rows_GE = rows_LE.new_empty((len(rows_LE) * world.size, *rows_LE.shape[1:]))
    with world.communicating():
        _ALL_GATHER(rows_GE, rows_LE.contiguous())
    return rows_GE


def scatter_sum_rows(rows_GE: Tensor, world: World) -> Tensor:
    """Add up what all ranks have for all rows and return this rank's: (G, …) → (L, …)."""
    if world.size == 1:
        return rows_GE
    rows_LE = rows_GE.new_empty((len(rows_GE) // world.size, *rows_GE.shape[1:]))
    with world.communicating():
        _REDUCE_SCATTER(rows_LE, rows_GE.contiguous())
    return rows_LE


def sum_over_ranks(values: Tensor, world: World) -> Tensor:
    """Return the sum over ranks, the same bits on each of them."""
    if world.size > 1:
        values = values.clone()
        with world.communicating():
            dist.all_reduce(values)
    return values


def max_over_ranks(values: list[float], world: World) -> list[float]:
    """Return the largest value of any rank, for each of a few values."""
    if world.size == 1:
        return values
    tensor = torch.tensor(values, dtype=torch.float64, device=world.device)
    dist.all_reduce(tensor, dist.ReduceOp.MAX)
    found: list[float] = tensor.tolist()
    return found


def gather_objects(value: Any, world: World) -> list[Any]:
    """Return the values of all ranks, in their order; small picklable ones."""
    if world.size == 1:
        return [value]
    found: list[Any] = [None] * world.size
    dist.all_gather_object(found, value)
    return found


def wait_for_all(world: World) -> None:
    """Wait until every rank is here."""
    if world.size > 1:
        dist.barrier()
