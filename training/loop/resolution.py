"""A run that begins with small images: the size of each step, and its state for another size.

Source: Li et al. 2023, arXiv:2305.07017 (CLIPA), section 3.1: small images for most of the
training, then a few steps of the full size, with positions interpolated.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from curate.errors import UsageError
from curate.training.loop.config import TrainConfig
from curate.training.model.config import ModelConfig
from curate.training.model.positions import VISION_POSITIONS, resized_positions

__all__ = ["Phase", "phase_of", "phases", "state_for"]

# Sizes of Adam's second moment are squares: interpolated so that they stay so.
_MODES = {"exp_avg": "bicubic", "exp_avg_sq": "bilinear"}


class Phase(NamedTuple):
    """Steps with images of one size: from `first` to before `end`, counted from 0."""

    image_size: int
    first: int
    end: int


def phases(config: TrainConfig, shape: ModelConfig) -> list[Phase]:
    """Return the phases of a run; one without a schedule.

    Args:
        config: steps, and the schedule.
        shape: of the model that comes out.

    Raises:
        UsageError: the schedule does not end with the model's size, or has one that is no multiple
            of its patches, or a share that is less than a step.
    """
    if config.resolution_schedule is None:
        return [Phase(shape.image_size, 0, config.steps)]
    found: list[Phase] = []
    share = 0.0
    for size, part in config.resolution_schedule:
        share += part
        first = found[-1].end if found else 0
        found.append(Phase(size, first, min(config.steps, round(share * config.steps))))
        if found[-1].end <= first:
            raise UsageError(
                f"--resolution-schedule gives images of {size} pixels {part} of {config.steps} "
                "steps, which is less than one; expected a larger share, or more --steps"
            )
        if size % shape.patch_size:
            raise UsageError(
                f"--resolution-schedule has images of {size} pixels; expected a multiple of the "
                f"model's patches, {shape.patch_size}"
            )
    if found[-1].image_size != shape.image_size:
        raise UsageError(
            f"--resolution-schedule ends with images of {found[-1].image_size} pixels; expected "
            f"those of the model that comes out, {shape.image_size}"
        )
    return found


def phase_of(step: int, found: Sequence[Phase]) -> Phase:
    """Return the phase of the step with a number, from 0; of the number of steps, the last one.

    >>> [phase_of(step, [Phase(16, 0, 9), Phase(32, 9, 10)]).image_size for step in (0, 8, 9, 10)]
    [16, 16, 32, 32]
    """
    return next((one for one in found if step < one.end), found[-1])


def state_for(state: Mapping[str, Any], shape: ModelConfig) -> dict[str, Any]:
    """Return a trainer's state for a model of another image size, or as it is where it has that.

    Positions, their averages and Adam's first moments are interpolated (bicubic), its second
    moments too (bilinear, which leaves nothing negative).

    Args:
        state: whole, as `Trainer.state` gives it.
        shape: of the model that goes on.
    """
    side = shape.image_size // shape.patch_size

    def fitted(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = tensors.get(VISION_POSITIONS)
        resized = None if found is None else resized_positions(found, side)
        return {**tensors, **({} if resized is None else {VISION_POSITIONS: resized})}

    optimizer = dict(state["optimizer"])
    if VISION_POSITIONS in optimizer:
        moments = dict(optimizer[VISION_POSITIONS])
        for name, mode in _MODES.items():
            resized = resized_positions(moments[name], side, mode)
            moments[name] = moments[name] if resized is None else resized
        optimizer[VISION_POSITIONS] = moments
    return {
        **state, "model": fitted(state["model"]), "average": fitted(state["average"]),
        "optimizer": optimizer,
    }  # fmt: skip
