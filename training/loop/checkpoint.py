"""The state of a run as plain tensors by name: the same whatever the number of ranks.

What FSDP has shared out every rank copies and writes by itself, its rows alone; they are put
together on loading, and cut up anew, so that a run goes on with another number of ranks, or with
DDP instead of FSDP. Whatever is whole on all ranks is the first one's to write.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from curate.errors import ArtifactError
from curate.training.loop.distributed import is_shared_out, whole
from curate.training.model.weights_file import FORMAT_VERSION

__all__ = [
    "full_tensors",
    "joined",
    "load_optimizer",
    "load_tensors",
    "optimizer_tensors",
    "own_tensors",
    "require_format",
]

Value = TypeVar("Value")

_SHOWN = 3


def require_format(state: Mapping[str, Any], path: str) -> None:
    """Refuse a checkpoint that this version cannot go on from.

    Raises:
        ArtifactError: it is of another version.
    """
    found = state.get("format", 1)
    if found == FORMAT_VERSION:
        return
    newer = isinstance(found, int) and found > FORMAT_VERSION
    raise ArtifactError(
        f"{path}: a checkpoint of format {found}; this version reads "
        f"{FORMAT_VERSION}. "
        + ("Update curate, or begin" if newer else "Begin")
        + " the run anew with --overwrite."
    )


def full_tensors(tensors: Iterable[tuple[str, Tensor]], *, keep: bool) -> dict[str, Tensor]:
    """Copy tensors to the CPU, whole. Every rank has to call this: shared ones are gathered.

    Args:
        tensors: by name, in the same order on every rank.
        keep: whether this rank wants them; else it helps to gather and returns nothing.
    """
    found = {}
    for name, tensor in tensors:
        gathered = whole(tensor).detach()
        if keep:
            copied = torch.empty(gathered.shape, dtype=gathered.dtype, device="cpu")
            found[name] = copied.copy_(gathered)
    return found


def own_tensors(tensors: Iterable[tuple[str, Tensor]], *, is_main: bool) -> dict[str, Tensor]:
    """Copy to the CPU what this rank has to write: its rows of what FSDP has shared out.

    Args:
        tensors: by name.
        is_main: this is rank 0, which also writes what is whole on all ranks.
    """
    found = {}
    for name, tensor in tensors:
        if not (is_main or is_shared_out(tensor)):
            continue
        local = tensor.to_local() if is_shared_out(tensor) else tensor  # type: ignore[attr-defined]
        copied = torch.empty(local.shape, dtype=local.dtype, device="cpu")
        found[name] = copied.copy_(local.detach())
    return found


class _Joined(Mapping[str, Value]):
    """Values by name, put together from those of all ranks when they are asked for.

    Args:
        parts: by name, of each rank in order; what the second does not have, the first has whole.
    """

    def __init__(self, parts: Sequence[Mapping[str, Value]]) -> None:
        self._parts = parts

    def __getitem__(self, name: str) -> Value:
        found: list[Any] = [part[name] for part in self._parts if name in part]
        if len(found) == 1:
            return found[0]  # type: ignore[no-any-return]
        if isinstance(found[0], Mapping):
            return _Joined(found)  # type: ignore[return-value]
        return torch.cat(found)  # type: ignore[return-value]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts[0])

    def __len__(self) -> int:
        return len(self._parts[0])


def joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Put a state together that was written by several ranks, each its own part.

    Args:
        parts: of all ranks, in order; the first says what is no tensor.
    """
    first, *rest = parts
    if not rest:
        return dict(first)
    return {
        name: _Joined([value, *(part[name] for part in rest)]) if name in rest[0] else value
        for name, value in first.items()
    }


@torch.no_grad()
def load_tensors(
    targets: Iterable[tuple[str, Tensor]], values: Mapping[str, Tensor], what: str
) -> None:
    """Copy values into tensors of the same names and shapes.

    Args:
        targets: by name; whole, or shared out by FSDP.
        values: whole.
        what: what they are, for errors.

    Raises:
        ArtifactError: names or shapes differ.
    """
    by_name = dict(targets)
    _require_same_names(by_name.keys(), values.keys(), what)
    for name, target in by_name.items():
        value = values[name]
        if value.shape != target.shape:
            raise ArtifactError(
                f"{what} {name!r} has shape {tuple(value.shape)} in the checkpoint, "
                f"{tuple(target.shape)} in this run: it is of another model"
            )
        target.copy_(_like(value, target))


def _require_same_names(here: Iterable[str], there: Iterable[str], what: str) -> None:
    missing, foreign = sorted(set(here) - set(there)), sorted(set(there) - set(here))
    if missing or foreign:
        parts = [f"{what} of another model:"]
        parts += [f"it lacks {', '.join(missing[:_SHOWN])}"] if missing else []
        parts += [f"it has {', '.join(foreign[:_SHOWN])}, which is not in this one"] * bool(foreign)
        raise ArtifactError("the checkpoint is " + " ".join(parts))


def _like(value: Tensor, target: Tensor) -> Tensor:
    """Return a whole tensor where and as the target is: each rank cuts out its own part."""
    value = value.to(target.device)
    if not is_shared_out(target):
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(target, DTensor)
    return distribute_tensor(value, target.device_mesh, target.placements, src_data_rank=None)


def optimizer_tensors(
    model: nn.Module, optimizer: torch.optim.Optimizer, *, is_main: bool
) -> dict[str, dict[str, Tensor]]:
    """Copy an optimizer's state to the CPU, by parameter name, as `own_tensors` does."""
    found = {
        name: own_tensors(sorted(optimizer.state[parameter].items()), is_main=is_main)
        for name, parameter in model.named_parameters()
        if parameter in optimizer.state
    }
    return {name: own for name, own in found.items() if own}


def load_optimizer(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    values: Mapping[str, Mapping[str, Tensor]],
) -> None:
    """Give an optimizer the state that `optimizer_tensors` returned.

    Raises:
        ArtifactError: it is of another model.
    """
    optimizer.state.clear()
    parameters = dict(model.named_parameters())
    if not values:  # before the first step there is none
        return
    _require_same_names(parameters.keys(), values.keys(), "an optimizer state")
    for name, parameter in parameters.items():
        of_parameter = {}
        for key, value in values[name].items():
            if value.ndim and value.shape != parameter.shape:
                raise ArtifactError(
                    f"the optimizer's {key} of {name!r} has shape {tuple(value.shape)}, the "
                    f"parameter {tuple(parameter.shape)}: the checkpoint is of another model"
                )
            # The count of steps is a scalar of its own, also beside a parameter that is shared.
            is_count = key == "step"
            of_parameter[key] = (
                value.to(parameter.device, copy=True)
                if is_count
                else _like(value, parameter.detach()).clone()
            )
        optimizer.state[parameter] = of_parameter
