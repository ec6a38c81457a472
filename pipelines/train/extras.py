"""What decides how shards are read and what goes on around the steps, checked."""

from collections.abc import Sequence
from dataclasses import dataclass

from curate.errors import UsageError
from curate.pipelines.caption_tables.join import CaptionOptions
from curate.pipelines.clustered.expert import ExpertOptions
from curate.training.data.arrange import check_batch_by

__all__ = ["TrainExtras"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainExtras:
    """What goes on around the steps.

    Attributes:
        init: weights to begin with instead of random ones: a file, or a folder of a run.
        teacher: run, export or name of a model to learn from as well, with `TrainConfig.distill`.
        tokenizer: a file or Hub name; None: that of `init`, else learned from the captions.
        datacard: of the shards; its hash goes into the model card.
        balanced: folder that `balance` wrote, for the names of entries.
        trackers: tensorboard, wandb.
        eval_config: an eval.json of sets to evaluate on; None: never.
        eval_every: steps between evaluations; the last step is always followed by one.
        peak_tflops: of one device in bfloat16, for MFU; None: by the device's name.
        online: folder of `balance` whose probabilities decide while loading; None: train on all.
        unit: pair: every pair once per epoch; image: one pair of each image.
        batch_by: what makes pairs a batch: order, length, entries or diverse (`LoaderConfig`).
        super_batch: pairs looked at for each that is chosen by entries.
        decoder: of JPEGs: auto, simplejpeg or pillow.
        threads: that decode; None: one for each core of this process.
        shard_cache: folder for copies of remote shards; None: in the user's cache.
        shard_cache_gb: of such copies, in GB.
        lanes: parts of the shards that batches take from side by side; None: those of the run that
            goes on, else one for each machine that it is begun on.
        allow_lost: go on without shards that a run was begun with and that are not there any more.
        captions: beside the alt-texts.
        expert: the cluster that the run is an expert for; None: it is trained on all pairs.
        trim_vocabulary: leave out the tokens that no caption uses, and their embeddings.
    """

    init: str | None = None
    teacher: str | None = None
    tokenizer: str | None = None
    datacard: str | None = None
    balanced: str | None = None
    trackers: Sequence[str] = ()
    eval_config: str | None = None
    eval_every: int = 0
    peak_tflops: float | None = None
    online: str | None = None
    unit: str = "pair"
    batch_by: str = "order"
    super_batch: float = 2.0
    decoder: str = "auto"
    threads: int | None = None
    shard_cache: str | None = None
    shard_cache_gb: float = 50.0
    lanes: int | None = None
    allow_lost: bool = False
    captions: CaptionOptions = CaptionOptions()
    expert: ExpertOptions | None = None
    trim_vocabulary: bool = False

    def __post_init__(self) -> None:
        """Check what nobody else checks before the shards are opened.

        Raises:
            UsageError: an option is out of range; an expert is to be trained on other captions than
                those of its clusters, or has no run to go on from.
        """
        check_batch_by(self.batch_by, self.super_batch)
        if self.expert is None:
            return
        if self.captions.is_any:
            raise UsageError(
                "--expert with captions beside the alt-texts: the caption that was clustered is "
                "the one to train on. Leave --captions and --json-captions out."
            )
        if self.teacher is not None or self.tokenizer is not None or self.trim_vocabulary:
            raise UsageError("--expert with --teacher, --tokenizer or --trim-vocabulary: it goes "
                             "on as its run was trained; leave them out")  # fmt: skip
        if self.init is None:
            raise UsageError("--expert goes on from a run of all pairs; name it with --init RUN")
