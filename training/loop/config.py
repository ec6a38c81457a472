"""How a model is trained: what decides its weights, and how a step is computed."""

from dataclasses import asdict, dataclass
from typing import Any

from curate.errors import UsageError

__all__ = ["LOSSES", "PRECISIONS", "SCHEDULES", "SHARDINGS", "StepOptions", "TrainConfig"]

SCHEDULES = ("cosine", "wsd")
LOSSES = ("clip", "siglip")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
SHARDINGS = ("ddp", "fsdp")

# What a run may change when it goes on: none of these has a part in the weights.
_FREE = ("checkpoint_every", "checkpoint_minutes", "keep_checkpoints", "log_every", "max_bad_steps")


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillConfig:
    """How much a teacher says in the loss.

    Attributes:
        contrastive_weight: of the loss that needs no teacher.
        relation_weight: of the divergence (KL) of the student's softmax over the batch from the
            teacher's, the mean of both ways.
        feature_weight: of one minus the cosine of projected features to the teacher's.
        teacher_scale: inverse temperature of the teacher's softmax; None for the one it learned.
    """

    contrastive_weight: float = 1.0
    relation_weight: float = 1.0
    feature_weight: float = 0.0
    teacher_scale: float | None = 200.0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        for name in ("contrastive_weight", "relation_weight", "feature_weight"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")
        some = self.contrastive_weight + self.relation_weight + self.feature_weight
        _require(some > 0, "the sum of all weights", some, "more than 0")
        if self.teacher_scale is not None:
            _require(self.teacher_scale > 0, "teacher_scale", self.teacher_scale, "above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How a model is trained.

    Attributes:
        steps: optimizer steps in all.
        batch_size: pairs per step, of all processes together.
        learning_rate: at its peak.
        warmup_steps: steps to the peak, linear.
        schedule: cosine down to 0 after the warm-up, or wsd: stable, then linear down to 0.
        decay_share: share of the steps that wsd's descent takes, (0, 1].
        weight_decay: of AdamW; none on biases, norms, logit_scale and logit_bias.
        beta2: of AdamW.
        max_grad_norm: longer gradients are shortened to this; None: never.
        loss: clip (InfoNCE) or siglip (sigmoid).
        patch_dropout: share of an image's patches left out in training, [0, 1).
        resolution_schedule: sizes of images in pixels, and the share of the steps that each has, in
            their order; None: the model's size for all.
        ema_decay: keep a moving average of the weights, (0, 1), and publish it; None: no.
        distill: what a teacher says in the loss; None without one.
        precision: of activations: float32, bfloat16, float16; auto: bfloat16 on a GPU that has
            it, else float32. Weights, loss and optimizer are float32.
        seed: of the weights, the order of pairs, the crops and the patches left out.
        checkpoint_every: steps between checkpoints; 0 for the last one only.
        checkpoint_minutes: minutes between checkpoints; 0: steps alone decide.
        keep_checkpoints: how many of the newest stay.
        log_every: steps between lines of log.jsonl.
        shuffle_pairs: pairs held in memory to draw the next one from.
        max_bad_steps: steps in a row with a loss that is not finite before the run stops.

    Source: Xu et al. 2023, arXiv:2309.16671, section 4 (warm-up, cosine, AdamW); wsd: Hu et al.
    2024, arXiv:2404.06395, section 4.
    """

    steps: int = 1000
    batch_size: int = 256
    learning_rate: float = 1e-3
    warmup_steps: int = 50
    schedule: str = "cosine"
    decay_share: float = 0.2
    weight_decay: float = 0.1
    beta2: float = 0.98
    max_grad_norm: float | None = None
    loss: str = "clip"
    patch_dropout: float = 0.0
    resolution_schedule: tuple[tuple[int, float], ...] | None = None
    ema_decay: float | None = None
    precision: str = "auto"
    seed: int = 0
    checkpoint_every: int = 500
    checkpoint_minutes: float = 0.0
    keep_checkpoints: int = 2
    log_every: int = 20
    shuffle_pairs: int = 10_000
    max_bad_steps: int = 10
    distill: DistillConfig | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        for name in ("steps", "batch_size", "log_every", "shuffle_pairs", "keep_checkpoints",
                     "max_bad_steps"):  # fmt: skip
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("learning_rate", "weight_decay", "warmup_steps", "checkpoint_every", "seed",
                     "checkpoint_minutes"):  # fmt: skip
            _require(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")
        _require(self.seed < 1 << 63, "seed", self.seed, "below 2^63")
        for name, allowed in (("schedule", SCHEDULES), ("loss", LOSSES), ("precision", PRECISIONS)):
            _require_one_of(name, getattr(self, name), allowed)
        _require(0 < self.decay_share <= 1, "decay_share", self.decay_share, "above 0, up to 1")
        _require(0 <= self.beta2 < 1, "beta2", self.beta2, "0 or more, below 1")
        _require(0 <= self.patch_dropout < 1, "patch_dropout", self.patch_dropout, "0 to below 1")
        self._check_schedule()
        if self.distill is not None and self.loss != "clip":
            raise UsageError(
                f"--teacher with --loss {self.loss}: a teacher's similarities are distributions "
                "over a batch, which SigLIP's loss does not have; use --loss clip"
            )
        if self.ema_decay is not None:
            _require(0 < self.ema_decay < 1, "ema_decay", self.ema_decay, "between 0 and 1")
        if self.max_grad_norm is not None:
            _require(self.max_grad_norm > 0, "max_grad_norm", self.max_grad_norm, "above 0")

    def _check_schedule(self) -> None:
        schedule = self.resolution_schedule
        if schedule is None:
            return
        shown = ",".join(f"{size}:{share:g}" for size, share in schedule)
        _require(
            bool(schedule) and all(size >= 1 and share > 0 for size, share in schedule)
            and abs(sum(share for _, share in schedule) - 1) < 1e-6,
            "--resolution-schedule", shown, "sizes with shares above 0 that add up to 1",
        )  # fmt: skip

    def decisive(self) -> dict[str, Any]:
        """Return what decides the weights: a run that goes on must have all of it unchanged."""
        found = {k: v for k, v in asdict(self).items() if k not in _FREE}
        if self.distill is None:
            del found["distill"]  # as before there were teachers
        if self.resolution_schedule is None:
            del found["resolution_schedule"]  # as before there were schedules
        else:  # as JSON has it
            found["resolution_schedule"] = [[size, s] for size, s in self.resolution_schedule]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOptions:
    """How a step is computed. None of these changes what it computes, but for rounding.

    Attributes:
        accumulate: parts that a process computes its share of a batch in, one after the other;
            the loss still sees the whole batch.
        loss_chunk: rows of logits in memory at once.
        grad_checkpointing: compute blocks again in the backward pass instead of remembering them.
        compile: compile each block; None: on a GPU only.
        sharding: ddp: a whole model on each process; fsdp: weights and optimizer shared out.
        text_bucket: texts are cut to a multiple of so many tokens that fits the longest one.
        by_length: of these, compute texts of like length apart from longer ones; None: on a CPU,
            where nothing is compiled and no weights are shared out.
    """

    accumulate: int = 1
    loss_chunk: int = 1024
    grad_checkpointing: bool = False
    compile: bool | None = None
    sharding: str = "ddp"
    text_bucket: int = 8
    by_length: bool | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        for name in ("accumulate", "loss_chunk", "text_bucket"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        _require_one_of("sharding", self.sharding, SHARDINGS)


def _require(holds: bool, name: str, value: Any, expected: str) -> None:
    if not holds:
        raise UsageError(f"{name} is {value}; expected {expected}")


def _require_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    _require(value in allowed, name, repr(value), " or ".join(allowed))
