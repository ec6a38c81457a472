"""What a run is computed on."""

import os
from dataclasses import asdict
from typing import Any

from curate.training.loop.config import StepOptions

__all__ = ["cores_of_rank", "describe_machine", "device_name"]


def cores_of_rank(num_ranks: int) -> int:
    """Return how many cores a rank may use, if those of a machine share them."""
    of_machine = int(os.environ.get("LOCAL_WORLD_SIZE", num_ranks))
    return max(1, len(os.sched_getaffinity(0)) // of_machine)


def device_name(device: Any) -> str:
    """Return what a device is called."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def describe_machine(world: Any, options: StepOptions) -> dict[str, Any]:
    """Return what a run was computed on, for its card."""
    import torch

    return {
        "device": device_name(world.device),
        "processes": world.size,
        "torch": str(torch.__version__),
        **asdict(options),
    }
