"""One process of a run: its parts put together, trained, and the result published."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice, zip_longest
from typing import Any

from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.files.sums import SummedFile, check_listed
from curate.pipelines.caption_tables.join import CaptionOptions
from curate.pipelines.executor.stopping import StopRequest
from curate.pipelines.store import artifacts
from curate.pipelines.train.consumed import entry_names
from curate.pipelines.train.epochs import epochs_seen, pairs_per_epoch
from curate.pipelines.train.files import RunFiles, RunLog, read_checkpoint, save_tensors
from curate.pipelines.train.loop import Progress, TrainLoop, restore
from curate.pipelines.train.machine import cores_of_rank, describe_machine, device_name
from curate.pipelines.train.model_card import write_model_card
from curate.pipelines.train.progress import TrainView
from curate.pipelines.train.start import Start
from curate.pipelines.train.trackers import open_trackers
from curate.pipelines.views.progress import log
from curate.training.captions.mix import TextMix
from curate.training.loop.config import StepOptions, TrainConfig
from curate.training.model.config import ModelConfig

__all__ = ["TrainExtras", "TrainRun", "read_online"]

MAX_TOKENIZER_CAPTIONS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainExtras:
    """What goes on around the steps.

    Attributes:
        init: weights to begin with instead of random ones: a file, or a folder of a run.
        tokenizer: a file or Hub name; None: that of `init`, else learned from the captions.
        datacard: of the shards; its hash goes into the model card.
        balanced: folder that `balance` wrote, for the names of entries.
        trackers: tensorboard, wandb.
        eval_config: an eval.json of sets to evaluate on; None: never.
        eval_every: steps between evaluations; the last step is always followed by one.
        peak_tflops: of one device in bfloat16, for MFU; None: by the device's name.
        online: folder of `balance` whose probabilities decide while loading; None: train on all.
        unit: pair: every pair once per epoch; image: one pair of each image.
        decoder: of JPEGs: auto, simplejpeg or pillow.
        threads: that decode; None: one for each core of this process.
        shard_cache: folder for copies of remote shards; None: in the user's cache.
        shard_cache_gb: of such copies, in GB.
        captions: beside the alt-texts.
    """

    init: str | None = None
    tokenizer: str | None = None
    datacard: str | None = None
    balanced: str | None = None
    trackers: Sequence[str] = ()
    eval_config: str | None = None
    eval_every: int = 0
    peak_tflops: float | None = None
    online: str | None = None
    unit: str = "pair"
    decoder: str = "auto"
    threads: int | None = None
    shard_cache: str | None = None
    shard_cache_gb: float = 50.0
    captions: CaptionOptions = CaptionOptions()


@dataclass(slots=True, kw_only=True)
class TrainRun:
    """What a run is made of, and where it runs.

    Attributes:
        files: where it writes.
        tars: the shards.
        sums: xxh3_128 of those that are ours, by path.
        shape: of the model; gets the tokens of a tokenizer that is learned.
        config: how to train.
        options: how a step is computed.
        extras: what goes on around the steps.
        start: what it begins with.
        world: the ranks, this process among them.
        quiet: show nothing.
        texts: draws one of the texts of a pair; None: its alt-text.
    """

    files: RunFiles
    tars: list[str]
    sums: dict[str, str]
    shape: ModelConfig
    config: TrainConfig
    options: StepOptions
    extras: TrainExtras
    start: Start
    world: Any
    quiet: bool
    texts: TextMix | None = None

    def train(self, values: dict[str, Any], stop: StopRequest) -> dict[str, Any]:
        """Train to the end, or until a stop is asked for; return the card, or where it stopped."""
        from curate.training.data.prefetch import DevicePrefetcher

        tokenizer = self._tokenizer()
        trainer = self._trainer(tokenizer)
        progress = self._resume(trainer)
        loop = self._loop(trainer, progress, tokenizer)
        stream = DevicePrefetcher(self._batches(tokenizer, progress.position), self.world.device)
        try:
            is_done = loop.run(stream, stop)
        finally:
            stream.close()
            loop.view.close()
            for tracker in loop.trackers:
                tracker.close()
        if not is_done:
            checkpoint = self.files.step_checkpoint(trainer.step_number)
            return {"stopped_at": trainer.step_number, "of": self.config.steps,
                    "goes_on_from": checkpoint}  # fmt: skip
        return self._finish(loop, values)

    def _tokenizer(self) -> Any:
        """Read the run's tokenizer; rank 0 fetches it or learns it from the captions first."""
        from curate.training.loop.distributed import wait_for_all
        from curate.training.text.tokenizer import Tokenizer

        if self.world.is_main and not storage.exists(self.files.tokenizer):
            with storage.publish(self.files.tokenizer) as file:
                summed = SummedFile(file)
                summed.write(self._new_tokenizer().to_json().encode())
                self.files.write_sums(self.files.tokenizer, summed.sum)
        wait_for_all(self.world)
        check_listed(self.files.folder, "tokenizer.json", must=True)
        with storage.open_read(self.files.tokenizer) as file:
            return Tokenizer.from_json(file.read().decode(), self.shape.context_length)

    def _shard_cache(self) -> Any:
        from curate.training.data.shard_cache import ShardCache, default_folder

        return ShardCache(
            folder=self.extras.shard_cache or default_folder(),
            max_bytes=int(self.extras.shard_cache_gb * 1e9),
        )

    def _new_tokenizer(self) -> Any:
        from curate.training.data.loader import captions
        from curate.training.text.tokenizer import learn_tokenizer

        if self.start.tokenizer is not None:
            return self.start.tokenizer
        found = captions(self.tars, self._shard_cache().open, self.sums)
        if self.texts is not None and self.texts.index is not None:
            pairs = zip_longest(found, self.texts.index.texts())
            found = (text for pair in pairs for text in pair if text is not None)
        texts = islice(found, MAX_TOKENIZER_CAPTIONS)
        return learn_tokenizer(texts, self.shape.vocab_size, self.shape.context_length)

    def _trainer(self, tokenizer: Any) -> Any:
        from curate.training.loop.trainer import Trainer

        if self.start.tokenizer is None:  # a shape may have too few tokens to spell all bytes
            vocab_size = max(self.shape.vocab_size, tokenizer.vocab_size)
            self.shape = replace(self.shape, vocab_size=vocab_size)
        is_new = not self.files.step_checkpoints()
        return Trainer(
            self.shape,
            self.config,
            tokenizer.eos_id,
            options=self.options,
            world=self.world,
            begin=lambda model: self.start.load_into(model, quiet=self.quiet) if is_new else None,
        )

    def _resume(self, trainer: Any) -> Progress:
        """Go on from the newest checkpoint, if there is one."""
        from curate.training.data.loader import Position

        found = self.files.step_checkpoints()
        if not found:
            return Progress(Position())
        state = read_checkpoint(self.files, found[-1])
        trainer.load_state(state)
        log(f"going on from {found[-1]}", quiet=self.quiet)
        return restore(state["progress"], is_main=self.world.is_main)

    def _batches(self, tokenizer: Any, position: Any) -> Iterator[Any]:
        """Yield this rank's share of the batches."""
        from curate.training.data.loader import Loader, LoaderConfig

        config = LoaderConfig(
            image_size=self.shape.image_size,
            batch_size=self.config.batch_size,
            seed=self.config.seed,
            shuffle_pairs=self.config.shuffle_pairs,
            rank=self.world.rank,
            num_ranks=self.world.size,
            unit=self.extras.unit,
            decoder=self.extras.decoder,
            threads=self.extras.threads or cores_of_rank(self.world.size),
            device=str(self.world.device),
            pin_memory=self.world.device.type == "cuda",
        )
        online = read_online(self.extras.online)
        cache = self._shard_cache()
        loader = Loader(
            self.tars, tokenizer, config, online=online, cache=cache, sums=self.sums,
            texts=self.texts,
        )  # fmt: skip
        return loader.batches(position)

    def _pairs_per_epoch(self, epoch: int) -> int | None:
        from curate.training.data.sampler import Sampler

        sampler = Sampler(
            shards=self.tars, seed=self.config.seed, shuffle_pairs=self.config.shuffle_pairs,
            unit=self.extras.unit, online=read_online(self.extras.online),
            cache=self._shard_cache(), needs_text=self.texts is None,
        )  # fmt: skip
        is_whole = self.extras.online is None and self.extras.unit == "pair"
        return pairs_per_epoch(self.tars, sampler, epoch, is_whole=is_whole)

    def _loop(self, trainer: Any, progress: Progress, tokenizer: Any) -> TrainLoop:
        from curate.training.model.flops import device_peak_flops, flops_per_pair

        peak = self.extras.peak_tflops
        is_main, step = self.world.is_main, trainer.step_number
        return TrainLoop(
            files=self.files,
            config=self.config,
            trainer=trainer,
            progress=progress,
            run_log=RunLog(self.files.log, step) if is_main else None,
            view=TrainView(step, self.config.steps, quiet=self.quiet),
            trackers=open_trackers(
                self.extras.trackers if is_main else (),
                folder=self.files.folder, config=asdict(self.config),
            ),
            flops=lambda tokens: flops_per_pair(self.shape, tokens),
            peak_flops=peak * 1e12 if peak else device_peak_flops(device_name(self.world.device)),
            evaluate=self._evaluation(trainer, tokenizer),
            eval_every=self.extras.eval_every,
        )  # fmt: skip

    def _evaluation(self, trainer: Any, tokenizer: Any) -> Callable[[], dict[str, Any]] | None:
        """Return a function that evaluates what would be published then; None without sets."""
        if self.extras.eval_config is None:
            return None
        from curate.training.eval.evaluate import evaluate_all
        from curate.training.eval.sets import load_datasets
        from curate.training.export.load import input_functions

        datasets = load_datasets(self.extras.eval_config)
        preprocess, tokenize = input_functions(self.shape.image_size, tokenizer)

        def evaluate() -> dict[str, Any]:
            with trainer.published() as model:
                return evaluate_all(model, tokenize, preprocess, datasets)

        return evaluate

    def _finish(self, loop: TrainLoop, values: dict[str, Any]) -> dict[str, Any]:
        """Publish the weights and the card."""
        from curate.training.loop.distributed import wait_for_all
        from curate.training.model.weights_file import FORMAT_VERSION

        progress, trainer = loop.progress, loop.trainer
        progress.gather(self.world)
        weights = trainer.weights()
        if loop.run_log is None:  # not rank 0
            wait_for_all(self.world)
            card: dict[str, Any] = artifacts.read_json(self.files.card)
            return card
        loop.run_log.publish()
        save_tensors(self.files, self.files.final, {"format": FORMAT_VERSION, "model": weights})
        losses = [x["loss"] for x in loop.run_log.lines if x["loss"] is not None]
        seen = self.config.steps * self.config.batch_size
        per_epoch = self._pairs_per_epoch(progress.position.epoch)
        card = {
            **values,
            "model": asdict(self.shape),
            "train": asdict(self.config),
            "parameters": sum(tensor.numel() for tensor in weights.values()),
            "pairs_seen": seen,
            "pairs_per_epoch": per_epoch,
            "epochs": epochs_seen(seen, per_epoch),
            "final_loss": round(losses[-1], 6) if losses else None,
            "averaged": self.config.ema_decay is not None,
            "skipped": dict(sorted(progress.skipped.items())),
            "bad_steps": progress.bad_steps,
            "machine": describe_machine(self.world, self.options),
            "datacard_sha256": _hash_if_there(self.extras.datacard),
        }
        if self.texts is not None and self.texts.index is not None:
            card["captions"] = {**self.texts.index.note, "mix": self.texts.describe()}
        names = entry_names(self.extras.balanced)
        card = write_model_card(self.files, card, loop.run_log.lines, progress.consumed.card(names))
        wait_for_all(self.world)
        return card


def read_online(folder: str | None) -> Any:
    """Return the balancing that a folder of `balance` stands for; None without one.

    Raises:
        ArtifactError: there are no probabilities in it.
        UsageError: it was balanced to an exact number of pairs.
    """
    from curate.training.data.loader import Online

    if folder is None:
        return None
    paths = storage.list_files(storage.join(folder, "probabilities"), ".parquet")
    if not paths:
        raise ArtifactError(
            f"{folder}: there are no probabilities/*.parquet in it; expected a folder that "
            "`curate balance` wrote"
        )
    plan = storage.join(folder, artifacts.PLAN)
    if storage.exists(plan) and artifacts.read_json(plan)["parameters"].get("exact"):
        raise UsageError(
            f"{folder} was balanced with --exact, which probabilities alone do not repeat while "
            "loading. Train on its shards, or balance with --t."
        )
    probability = {}
    for path in paths:
        column = artifacts.read_table(path, ["probability"]).column("probability")
        probability[path.rsplit("/", 1)[-1].removesuffix(".parquet")] = column.to_numpy()
    return Online(probability)


def _hash_if_there(path: str | None) -> str | None:
    return storage.file_sha256(path) if path and storage.exists(path) else None
