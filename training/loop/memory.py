"""Memory that ran out, as a message that says which options need less of it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from curate.errors import CurateError
from curate.training.loop.config import StepOptions, TrainConfig

__all__ = ["explain_out_of_memory"]

# The CPU's allocator raises a plain RuntimeError.
_CPU_MESSAGE = "can't allocate memory"


@contextmanager
def explain_out_of_memory(options: StepOptions, config: TrainConfig, ranks: int) -> Iterator[None]:
    """Turn an out-of-memory error of a step into one that says what helps.

    Raises:
        CurateError: memory ran out.
    """
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError) and _CPU_MESSAGE not in str(error):
            raise
        raise CurateError(
            f"memory ran out in a step of {config.batch_size} pairs on {ranks} "
            f"process{'es' if ranks > 1 else ''}: {str(error).splitlines()[0]}\n"
            f"What helps, the cheapest first:\n  {chr(10).join(_advice(options, ranks))}"
        ) from error


def _advice(options: StepOptions, ranks: int) -> list[str]:
    lines = []
    if not options.grad_checkpointing:
        lines.append("--grad-checkpointing: a third more arithmetic, the same weights")
    lines.append(
        f"  --accumulate {2 * options.accumulate}: the batch in more parts, the same weights but "
        "for rounding; a third more arithmetic if there was one part"
    )
    if ranks > 1 and options.sharding != "fsdp":
        lines.append("  --sharding fsdp: weights and optimizer shared out among the processes")
    lines.append("  a smaller --batch-size: fewer negatives, another result")
    lines[0] = lines[0].strip()
    return lines
