"""A model made ready for a step: blocks compiled, weights copied to or shared out among ranks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from curate.training.loop.config import StepOptions
from curate.training.loop.distributed import World
from curate.training.loop.timing import StepTimer
from curate.training.model.clip import CLIP

__all__ = ["Parallel"]

# Each length of text and number of patches is a shape of its own to compile for; beyond torch's
# default of 8 it would go on without compiling, and say so only in a log.
_MAX_COMPILED_SHAPES = 64


class Parallel:
    """Calls a model such that its gradients are those of all ranks.

    Args:
        model: whole, on this rank's device; is changed in place.
        world: the ranks that train together.
        options: compile, sharding, grad_checkpointing.
        dtype: of activations and of what FSDP sends; None for float32.
        timer: told when only communication is left.
    """

    def __init__(
        self,
        model: CLIP,
        world: World,
        options: StepOptions,
        dtype: torch.dtype | None,
        timer: StepTimer,
    ) -> None:
        self.model, self.world = model, world
        model.grad_checkpointing = options.grad_checkpointing
        compiled = options.compile if options.compile is not None else world.device.type == "cuda"
        if compiled:
            _compile_blocks(model)
        is_shared_out = world.size > 1 and options.sharding == "fsdp"
        is_usual = world.device.type == "cpu" and not compiled and not is_shared_out
        model.by_length = is_usual if options.by_length is None else options.by_length
        self._call: nn.Module = model
        self._unsynced: list[nn.Parameter] = []
        if world.size == 1:
            return
        if options.sharding == "fsdp":
            self._unsynced = _shard(model, world, dtype)
        else:
            self._call = _replicate(model, world, timer)

    def __call__(self, image_B3HW: Tensor, tokens_BT: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the model's forward returns."""
        out: tuple[Tensor, Tensor, Tensor] = self._call(image_B3HW, tokens_BT)
        return out

    @contextmanager
    def last_part(self, is_last: bool) -> Iterator[None]:
        """Within this, gradients are added up among ranks only if `is_last`."""
        if isinstance(self._call, DistributedDataParallel) and not is_last:
            with self._call.no_sync():
                yield
            return
        if self._unsynced:
            self._call.set_requires_gradient_sync(is_last)  # type: ignore[operator]
        yield

    def reshard(self) -> None:
        """Let go of what FSDP has put together: weights may have changed since."""
        for module in self.model.modules():
            reshard = getattr(module, "reshard", None)
            if reshard is not None:
                reshard()

    def finish_gradients(self) -> None:
        """Average over ranks the gradients that FSDP leaves to us."""
        for parameter in self._unsynced:
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= self.world.size


def _compile_blocks(model: CLIP) -> None:
    """Compile the blocks, not the model: one compilation serves all blocks of a shape."""
    from torch._dynamo import config

    config.recompile_limit = max(config.recompile_limit, _MAX_COMPILED_SHAPES)
    for block in model.blocks():
        block.compile(dynamic=False)


def _replicate(model: CLIP, world: World, timer: StepTimer) -> nn.Module:
    ids = [world.device.index] if world.device.type == "cuda" else None
    copied = DistributedDataParallel(model, device_ids=ids, gradient_as_bucket_view=True)

    def hook(group: Any, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:  # type: ignore[name-defined]
        # The last bucket comes when backward has nothing more to compute.
        timer.mark()
        return allreduce_hook(group, bucket)

    copied.register_comm_hook(None, hook)
    return copied


def _shard(model: CLIP, world: World, dtype: torch.dtype | None) -> list[nn.Parameter]:
    """Share out weights, gradients and optimizer state; return the parameters left whole.

    The token embedding, up to 900,000 rows, is a unit of its own, so that it is there in full
    only while texts are embedded. FSDP takes no scalars: logit_scale and logit_bias stay whole.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import (
        MixedPrecisionPolicy,
        fully_shard,
        register_fsdp_forward_method,
    )

    mesh = init_device_mesh(world.device.type, (world.size,))
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    scalars = [p for p in model.parameters() if p.ndim == 0]
    for block in model.blocks():
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model.token_embedding, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy, ignored_params=set(scalars))
    for method in ("encode_image", "encode_text"):  # evaluation calls these, not forward
        register_fsdp_forward_method(model, method)
    return scalars
