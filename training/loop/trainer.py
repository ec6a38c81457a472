"""A model and its optimizer: one step at a time, and all that is needed to go on later.

Shapes: L pairs of this rank in a step, T tokens, E shared width.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from curate.errors import ArtifactError
from curate.training.data.loader import Batch
from curate.training.data.pixels import normalize_images
from curate.training.loop.backward import Backward
from curate.training.loop.checkpoint import (
    full_tensors,
    load_optimizer,
    load_tensors,
    optimizer_tensors,
    own_tensors,
)
from curate.training.loop.config import StepOptions, TrainConfig
from curate.training.loop.distill import Distiller, Features, StoredTeacher
from curate.training.loop.distributed import World
from curate.training.loop.ema import MovingAverage
from curate.training.loop.memory import explain_out_of_memory
from curate.training.loop.optimizer import clip_gradients, make_optimizer
from curate.training.loop.parallel import Parallel
from curate.training.loop.schedule import learning_rate
from curate.training.loop.timing import StepTimer
from curate.training.model.clip import CLIP
from curate.training.model.config import ModelConfig
from curate.training.model.pieces import cut_to_longest, tokens_computed
from curate.training.model.weights_file import FORMAT_VERSION

__all__ = ["StepMetrics", "Trainer", "learning_rate", "normalize_images"]

_DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class StepMetrics(NamedTuple):
    """What a step tells about itself.

    Attributes:
        step: its number, from 1.
        loss: of the pairs of all ranks; in nats for InfoNCE.
        learning_rate: that it was taken with.
        logit_scale: that it was taken with.
        grad_norm: length of the gradient, before it was shortened.
        num_tokens: tokens of a text that were computed, on average: as long as the longest of the
            batch, rounded up; where texts are computed by length, of its piece.
        skipped: loss or gradient was not finite, and the weights stayed as they were; an overflow
            that the scaler of float16 takes back does not count.
    """

    step: int
    loss: float
    learning_rate: float
    logit_scale: float
    grad_norm: float
    num_tokens: float
    skipped: bool


class Trainer:
    """Trains a CLIP model.

    Args:
        model_config: shape of the model.
        config: how to train it; its seed draws the weights.
        eos_id: of the tokenizer.
        device: such as ``cpu`` or ``cuda``, if no world says so.
        options: how a step is computed.
        world: the ranks that train together; each one has its own trainer.
        begin: gives the model other weights than random ones.
        teacher: to learn from, with `config.distill`; on the world's device.

    Attributes:
        model: its weights may be shared out among ranks; `weights` gives them whole.
        step_number: steps done.
        timer: where the time went.
    """

    def __init__(
        self,
        model_config: ModelConfig,
        config: TrainConfig,
        eos_id: int,
        device: str = "cpu",
        *,
        options: StepOptions | None = None,
        world: World | None = None,
        begin: Callable[[CLIP], object] | None = None,
        teacher: CLIP | StoredTeacher | None = None,
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.options = config, options or StepOptions()
        world = world or World(device=torch.device(device))
        self.device = world.device
        self.timer = StepTimer(self.device)
        self.world = world
        world.share(config.batch_size, "the batch size")
        dtype = _DTYPES[resolve_precision(config.precision, self.device)]
        shape = replace(model_config, logit_bias=config.loss == "siglip")
        self.model = CLIP(shape, eos_id)
        if begin is not None:
            begin(self.model)
        self.model.to(self.device)
        self.model.visual.patch_dropout = config.patch_dropout
        self._forward = Parallel(self.model, world, self.options, dtype, self.timer)
        self.optimizer = make_optimizer(self.model, config)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=dtype is torch.float16)
        self.distiller = self._new_distiller(teacher, dtype)
        self._backward = Backward(
            self._forward, config=config, options=self.options, dtype=dtype,
            world=replace(world, timer=self.timer), timer=self.timer, scaler=self._scaler,
            distiller=self.distiller,
        )  # fmt: skip
        self.average = (
            MovingAverage(self.model.named_parameters(), config.ema_decay)
            if config.ema_decay is not None
            else None
        )
        self.step_number = 0

    def _new_distiller(
        self, teacher: CLIP | StoredTeacher | None, dtype: torch.dtype | None
    ) -> Distiller | None:
        if teacher is None or self.config.distill is None:
            return None
        return Distiller(
            teacher, self.config.distill, width=self.model.config.embed_dim, dtype=dtype,
            learning_rate=self.config.learning_rate, world=self.world,
        )  # fmt: skip

    def step(self, batch: Batch, taught: Features | None = None) -> StepMetrics:
        """Train on one batch: this rank's share of it.

        Args:
            batch: pairs; with `taught` its images and tokens may be those of another resolution.
            taught: what a teacher says of them; None: the trainer's own teacher is asked, if any.

        A step whose loss or gradient is not finite changes no weight; all ranks see the same loss
        and gradient, so all of them leave it out.

        Raises:
            CurateError: memory ran out; the message says which options need less.
        """
        rate = learning_rate(self.step_number, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with explain_out_of_memory(self.options, self.config, self.world.size):
            images, tokens, num_tokens = self._on_device(batch)
            if taught is None and self.distiller is not None:
                taught = self.distiller.features(batch, images)
            self.optimizer.zero_grad(set_to_none=True)
            loss = self._backward(images, tokens, self.step_number, taught)
            if self.distiller is not None and self.distiller.optimizer is not None:
                self._scaler.unscale_(self.distiller.optimizer)
            value, norm, scale = self._update(loss)
            if self.distiller is not None:
                is_good = math.isfinite(value) and math.isfinite(norm)
                self.distiller.step(rate, is_good=is_good)
        self.step_number += 1
        if self.average:
            self.average.update(self.step_number)
        # In float16 a gradient may overflow: the scaler takes that back, and it is no bad batch.
        is_bad = not math.isfinite(value) or not (math.isfinite(norm) or self._scaler.is_enabled())
        return StepMetrics(self.step_number, value, rate, scale, norm, num_tokens, is_bad)

    def _update(self, loss: Tensor) -> tuple[float, float, float]:
        """Take the optimizer's step if all is finite; return loss, gradient norm, logit scale."""
        self._scaler.unscale_(self.optimizer)
        norm = clip_gradients(self.model.parameters(), self.config.max_grad_norm)
        # All that the host wants to know in one go: it waits for the device once per step.
        scale = self.model.logit_scale.detach().exp()
        value, length, factor = torch.stack([loss.float(), norm.float(), scale.float()]).tolist()
        if math.isfinite(value) and math.isfinite(length):
            self._scaler.step(self.optimizer)
            self.model.clamp_logit_scale()
        self._scaler.update()
        return value, length, factor

    def _on_device(self, batch: Batch) -> tuple[Tensor, Tensor, float]:
        """Return images, texts without the padding of all, and tokens of a text to compute."""
        with self.timer.section("copy"):
            images = torch.as_tensor(batch.images).to(self.device, non_blocking=True)
            tokens, lengths = cut_to_longest(
                torch.as_tensor(batch.tokens), self.model.eos_id, self.options.text_bucket
            )
            width, by_length = tokens.shape[1], self.model.by_length
            num_tokens = tokens_computed(
                lengths, width, by_length=by_length, parts=self.options.accumulate
            )
            return images, tokens.to(self.device, non_blocking=True), num_tokens

    def state(self) -> dict[str, Any]:
        """Return all that decides how training goes on, as `torch.save` takes it.

        Copies, on the CPU. Rank 0 gets them whole, and the others nothing; of a model that is
        shared out, each rank gets its part, and `checkpoint.joined` puts them together. Randomness
        is no part of it: every draw is a function of seed, step and place.
        """
        is_main = self.world.is_main
        averages = self.average.averages.items() if self.average else ()
        own = {
            "model": own_tensors(self.model.state_dict().items(), is_main=is_main),
            "optimizer": optimizer_tensors(self.model, self.optimizer, is_main=is_main),
            "average": own_tensors(averages, is_main=is_main),
        }
        if not is_main:
            return own
        return {
            "format": FORMAT_VERSION,
            "step": self.step_number,
            "parts": self.world.size if self.options.sharding == "fsdp" else 1,
            **own,
            "scaler": self._scaler.state_dict(),
            **({"projection": self.distiller.state()} if self.distiller else {}),
        }

    def weights(self) -> dict[str, Tensor]:
        """Return the weights to publish, whole: the moving average if there is one.

        Every rank has to call this, and rank 0 gets them.
        """
        tensors = self.average.averages if self.average else self.model.state_dict()
        return full_tensors(tensors.items(), keep=self.world.is_main)

    @contextmanager
    def published(self) -> Iterator[CLIP]:
        """Within this, the model has the weights that `weights` gives; every rank has to call it.

        Blocks are not compiled within: an evaluation has many lengths of text and sizes of batch,
        each of which would be compiled for (5 to 7 s) to be used once or twice.

        FSDP keeps some weights put together after a forward pass: not beyond either end of this.
        """
        with torch.compiler.set_stance("force_eager"):
            if self.average is None:
                yield self.model
                return
            self._forward.reshard()
            with self.average.in_place():
                try:
                    yield self.model
                finally:
                    self._forward.reshard()

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a state that is whole; every rank has to be given the same.

        Raises:
            ArtifactError: it is of another model.
        """
        try:
            load_tensors(self.model.state_dict().items(), state["model"], "weights")
            load_optimizer(self.model, self.optimizer, state["optimizer"])
            if self.average:
                load_tensors(self.average.averages.items(), state["average"], "averages")
            if self.distiller:
                self.distiller.load_state(state["projection"])
            self._scaler.load_state_dict(state["scaler"])
            self.step_number = state["step"]
        except (KeyError, RuntimeError, ValueError) as error:
            raise ArtifactError(f"the checkpoint is of another model: {error}") from error


def resolve_precision(name: str, device: torch.device) -> str:
    """Return the precision that a device computes in if asked for `name`.

    Raises:
        CurateError: none; ``auto`` falls back to float32.
    """
    if name != "auto":
        return name
    return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
