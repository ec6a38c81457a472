"""The steps that `examples.bench.training.gpu` times: ours, and open_clip's."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import torch

from curate.training.data.batch import Batch
from curate.training.loop.config import StepOptions, TrainConfig
from curate.training.loop.distributed import World
from curate.training.loop.trainer import Trainer
from curate.training.model.config import ModelConfig

__all__ = ["TINY", "TimedStep", "open_clip_step", "our_step"]

TINY = ModelConfig(
    embed_dim=32, image_size=32, patch_size=16, vision_width=32, vision_layers=1,
    vision_head_width=16, text_width=32, text_layers=1, text_heads=2, context_length=77,
    vocab_size=400,
)  # fmt: skip


class TimedStep(NamedTuple):
    """A training step, and what tells how many tokens of a text the last one computed."""

    run: Callable[[Batch], Any]
    num_tokens: Callable[[], float]


def our_step(
    shape: ModelConfig, eos_id: int, batch_size: int, options: StepOptions, place: torch.device
) -> TimedStep:
    """Return the trainer's step."""
    config = TrainConfig(batch_size=batch_size, steps=10_000)
    trainer = Trainer(shape, config, eos_id, options=options, world=World(device=place))
    told = [0.0]

    def step(batch: Batch) -> None:
        told[0] = trainer.step(batch).num_tokens

    return TimedStep(step, lambda: told[0])


def open_clip_step(
    shape: ModelConfig, options: StepOptions, place: torch.device, *, compiled: bool,
    fused: bool | None = None,
) -> TimedStep:  # fmt: skip
    """Return a step of open_clip's model and loss, as its training script takes it in amp_bf16.

    Args:
        shape: of the model; its own classes build the same one.
        options: gradient checkpointing as ours; accumulation is not compared.
        place: where it runs.
        compiled: with `torch.compile` over the whole model, as its --torchcompile does.
        fused: of AdamW; None as its script makes it: foreach on a GPU, a loop on a CPU.
    """
    open_clip: Any = import_module("open_clip")
    vision = {
        "image_size": shape.image_size,
        "layers": shape.vision_layers,
        "width": shape.vision_width,
        "head_width": shape.vision_head_width,
        "patch_size": shape.patch_size,
    }
    text = {
        "context_length": shape.context_length,
        "vocab_size": shape.vocab_size,
        "width": shape.text_width,
        "heads": shape.text_heads,
        "layers": shape.text_layers,
    }
    clip = open_clip.model.CLIP(
        embed_dim=shape.embed_dim, vision_cfg=vision, text_cfg=text, quick_gelu=shape.quick_gelu
    )
    clip = clip.to(place).train()
    if options.grad_checkpointing:
        clip.set_grad_checkpointing()
    called = torch.compile(clip) if compiled else clip
    loss_of = open_clip.loss.ClipLoss()
    on_gpu = place.type == "cuda"
    few = [one for one in clip.parameters() if one.ndim < 2]
    many = [one for one in clip.parameters() if one.ndim >= 2]
    groups = [{"params": few, "weight_decay": 0.0}, {"params": many, "weight_decay": 0.2}]
    optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.98), eps=1e-6, fused=fused)

    def step(batch: Batch) -> None:
        images = torch.as_tensor(batch.images).to(place, non_blocking=True)
        tokens = torch.as_tensor(batch.tokens).to(place, non_blocking=True)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(place.type, torch.bfloat16, enabled=on_gpu):
            found = called(images.float().div(127.5).sub(1), tokens)
            loss = loss_of(*found[:3])
        loss.backward()
        optimizer.step()

    return TimedStep(step, lambda: shape.context_length)
