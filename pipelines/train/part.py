"""One process of a run: its parts put together, trained, and the result published."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

from curate.files import storage
from curate.files.disk_space import told_when_full
from curate.files.sums import SummedFile, check_listed
from curate.pipelines.executor.stopping import StopRequest
from curate.pipelines.train.consumed import entry_names
from curate.pipelines.train.extras import TrainExtras
from curate.pipelines.train.files import RunFiles, read_checkpoint, save_tensors
from curate.pipelines.train.loading import Loading, epochs_seen
from curate.pipelines.train.loop import Progress, TrainLoop, close, restore
from curate.pipelines.train.model_card import (
    contaminated_sets,
    device_name,
    hash_if_there,
    machine_of,
    resolutions,
    write_model_card,
)  # fmt: skip
from curate.pipelines.train.shard_facts import ShardFacts
from curate.pipelines.train.start import Start, open_teacher
from curate.pipelines.train.told.run_log import RunLog
from curate.pipelines.train.told.trackers import open_trackers
from curate.pipelines.train.told.view import TrainView
from curate.pipelines.views.progress import log
from curate.training.captions.mix import TextMix
from curate.training.experts.choice import Expert
from curate.training.loop.config import StepOptions, TrainConfig
from curate.training.model.config import ModelConfig

__all__ = ["TrainRun"]

MAX_TOKENIZER_CAPTIONS = 1_000_000


@dataclass(slots=True, kw_only=True)
class TrainRun:
    """What a run is made of, and where it runs.

    Attributes:
        files: where it writes.
        tars: the shards.
        facts: what is known of each of them.
        lanes: that batches are taken from.
        shape: of the model; gets the tokens of a tokenizer that is learned.
        config: how to train.
        options: how a step is computed.
        extras: what goes on around the steps.
        start: what it begins with.
        world: the ranks, this process among them.
        quiet: show nothing.
        texts: draws one of the texts of a pair; None: its alt-text.
        expert: decides which pairs are trained on; None: all are.
    """

    files: RunFiles
    tars: list[str]
    facts: list[ShardFacts]
    lanes: int
    shape: ModelConfig
    config: TrainConfig
    options: StepOptions
    extras: TrainExtras
    start: Start
    world: Any
    quiet: bool
    texts: TextMix | None = None
    expert: Expert | None = None

    def open_texts(self, values: dict[str, Any]) -> None:
        """Open the captions that are mixed with the alt-texts, and an expert's clusters, if any.

        Raises:
            InputError: no caption is of a pair of the shards.
            UsageError: a share is missing, out of range, or of a source that there is not.
        """
        digest = values["loader"].get("captions", {}).get("tables")
        is_new = not self.files.step_checkpoints()
        self.texts = self.loading().open_texts(digest, is_new=is_new, quiet=self.quiet)
        self.expert = self.loading().open_expert(values, quiet=self.quiet)

    def train(self, values: dict[str, Any], stop: StopRequest) -> dict[str, Any]:
        """Train to the end, or until a stop is asked for; return the card, or where it stopped."""
        from curate.training.data.prefetch import DevicePrefetcher

        tokenizer = self.tokenizer()
        teacher, words = self.teacher()
        is_same = words is None or _same(words, tokenizer)
        loop = self.begin(tokenizer, teacher)
        more = [] if is_same else [words]
        is_done = True
        try:
            while is_done:
                phase = self._phase(loop.trainer.step_number)
                loading = replace(self.loading(), image_size=phase.image_size)
                batches = loading.batches(tokenizer, loop.progress.position, more)
                stream = DevicePrefetcher(batches, self.world.device)
                try:
                    is_done = loop.run(stream, stop, phase.end)
                finally:
                    stream.close()
                if phase.end == self.config.steps:
                    break
                if is_done:
                    self._next_phase(loop, tokenizer, teacher)
        finally:
            close(loop)
        return self.finish(loop, values) if is_done else self.stopped(loop)

    def _phase(self, step: int) -> Any:
        """Return the steps with images of one size that a step is among."""
        from curate.training.loop.resolution import phase_of, phases

        return phase_of(step, phases(self.config, self.shape))

    def _next_phase(self, loop: TrainLoop, tokenizer: Any, teacher: Any) -> None:
        """Go on with images of the next size, from the checkpoint, as a killed run would."""
        from curate.training.loop.distributed import wait_for_all

        wait_for_all(self.world)  # rank 0 has written it
        loop.trainer = None  # its memory is the next one's
        anew = self.begin(tokenizer, teacher, loop=loop)
        loop.trainer, loop.progress = anew.trainer, anew.progress
        loop.flops, loop.evaluate, loop.image_size = anew.flops, anew.evaluate, anew.image_size

    def begin(
        self, tokenizer: Any, teacher: Any = None, step: int | None = None,
        loop: TrainLoop | None = None,
    ) -> TrainLoop:  # fmt: skip
        """Make the trainer, and go on from the newest checkpoint, or that of a step.

        Args:
            tokenizer: of the run.
            teacher: to learn from.
            step: of the checkpoint; None for the newest.
            loop: what shows this run already.
        """
        state = self._newest(step)
        shape = replace(self._own_shape(tokenizer), image_size=self._phase(
            state["step"] if state else 0).image_size)  # fmt: skip
        trainer = self._trainer(shape, tokenizer, teacher, is_new=state is None)
        progress = self._resume(trainer, state, shape)
        return self._loop(trainer, progress, tokenizer, shape, loop)

    def stopped(self, loop: TrainLoop) -> dict[str, Any]:
        """Return where a run has stopped before its end."""
        step = loop.trainer.step_number
        return {"stopped_at": step, "of": self.config.steps,
                "goes_on_from": self.files.step_checkpoint(step)}  # fmt: skip

    def tokenizer(self) -> Any:
        """Read the run's tokenizer; rank 0 fetches it or learns it from the captions first."""
        from curate.training.loop.waiting import done_by_main
        from curate.training.text.tokenizer import Tokenizer

        def write() -> None:
            if storage.exists(self.files.tokenizer):
                return
            with storage.publish(self.files.tokenizer) as file:
                summed = SummedFile(file)
                summed.write(self._new_tokenizer().to_json().encode())
                self.files.write_sums(self.files.tokenizer, summed.sum)

        done_by_main(write, self.world, "makes the tokenizer", log)
        check_listed(self.files.folder, "tokenizer.json", must=True)
        with storage.open_read(self.files.tokenizer) as file:
            return Tokenizer.from_json(file.read().decode(), self.shape.context_length)

    def _new_tokenizer(self) -> Any:
        from curate.training.text.tokenizer import learn_tokenizer

        given = self.start.tokenizer
        if given is not None and not self.extras.trim_vocabulary:
            return given
        texts = islice(self.loading().captions(), MAX_TOKENIZER_CAPTIONS)
        if given is None:
            return learn_tokenizer(texts, self.shape.vocab_size, self.shape.context_length)
        from curate.training.text.trimming import trim, used_ids

        found = trim(given, used_ids(given, texts))
        log(f"the vocabulary is trimmed to {found.vocab_size:,} of {given.vocab_size:,} tokens",
            quiet=self.quiet)  # fmt: skip
        return found

    def loading(self) -> Loading:
        """Return where the pairs come from."""
        return Loading(
            tars=self.tars, facts=self.facts, config=self.config, extras=self.extras,
            lanes=self.lanes, image_size=self.shape.image_size, world=self.world, texts=self.texts,
            expert=self.expert,
        )  # fmt: skip

    def teacher(self) -> tuple[Any, Any]:
        """Return the teacher and its tokenizer; (None, None) without one.

        Instead of a teacher its vectors, and no tokenizer.
        """
        if self.extras.teacher is None:
            return None, None
        loading = self.loading()
        stored = loading.stored_vectors(quiet=self.quiet) if loading.has_vectors else None
        return open_teacher(
            self.extras.teacher, stored, self.world.device, self.shape.image_size, quiet=self.quiet
        )

    def _own_shape(self, tokenizer: Any) -> ModelConfig:
        """Return the shape of the model that comes out, with room for the tokenizer's tokens."""
        from curate.training.text.trimming import trimmed_shape

        full = self.start.goes_on
        if self.start.tokenizer is None or full:  # a shape may have too few to spell all bytes
            vocab_size = max(self.shape.vocab_size, tokenizer.vocab_size)
            self.shape = replace(self.shape, vocab_size=vocab_size)
        self.shape = trimmed_shape(self.shape, tokenizer)
        return self.shape

    def _trainer(self, shape: ModelConfig, tokenizer: Any, teacher: Any, *, is_new: bool) -> Any:
        from curate.training.loop.trainer import Trainer

        begin = partial(self.start.load_into, quiet=self.quiet, trimmed_from=tokenizer.trimmed_from)
        return Trainer(
            shape, self.config, tokenizer.eos_id, options=self.options, world=self.world,
            begin=lambda model: begin(model) if is_new else None, teacher=teacher,
        )  # fmt: skip

    def _newest(self, step: int | None) -> dict[str, Any] | None:
        """Read the newest checkpoint, or that of a step; None where there is none."""
        found = self.files.step_checkpoints()
        if step is not None:
            found = [self.files.step_checkpoint(step)] if step else []
        if not found:
            return self.start.state(quiet=self.quiet)
        state = read_checkpoint(self.files, found[-1])
        log(f"going on from {found[-1]}", quiet=self.quiet)
        return state

    def _resume(self, trainer: Any, state: dict[str, Any] | None, shape: ModelConfig) -> Progress:
        """Go on from a checkpoint, which may be of another size of images."""
        from curate.training.data.loader import Position
        from curate.training.loop.resolution import state_for

        if is_scheduled := self.config.resolution_schedule is not None:
            log(f"images of {shape.image_size} pixels", quiet=self.quiet)
        if state is None:
            return Progress(Position())
        trainer.load_state(state_for(state, shape) if is_scheduled else state)
        return restore(state["progress"], is_main=self.world.is_main)

    def _loop(
        self, trainer: Any, progress: Progress, tokenizer: Any, shape: ModelConfig,
        shown: TrainLoop | None,
    ) -> TrainLoop:  # fmt: skip
        from curate.training.model.flops import device_peak_flops, flops_per_pair

        peak = self.extras.peak_tflops
        is_main, step = self.world.is_main, trainer.step_number
        return TrainLoop(
            files=self.files,
            config=self.config,
            trainer=trainer,
            progress=progress,
            run_log=shown.run_log if shown else RunLog(self.files.log, step) if is_main else None,
            view=shown.view if shown else TrainView(step, self.config.steps, quiet=self.quiet),
            trackers=shown.trackers if shown else open_trackers(
                self.extras.trackers if is_main else (),
                folder=self.files.folder, config=asdict(self.config),
            ),
            flops=lambda tokens: flops_per_pair(shape, tokens),
            peak_flops=peak * 1e12 if peak else device_peak_flops(device_name(self.world.device)),
            evaluate=self._evaluation(trainer, tokenizer, shape.image_size),
            eval_every=self.extras.eval_every,
            image_size=shape.image_size if self.config.resolution_schedule else None,
        )  # fmt: skip

    def _evaluation(
        self, trainer: Any, tokenizer: Any, image_size: int
    ) -> Callable[[], dict[str, Any]] | None:
        """Return a function that evaluates what would be published then; None without sets."""
        if self.extras.eval_config is None:
            return None
        from curate.training.eval.evaluate import evaluate_all
        from curate.training.eval.sets import load_datasets
        from curate.training.export.load import input_functions

        datasets = load_datasets(self.extras.eval_config)
        preprocess, tokenize = input_functions(image_size, tokenizer)

        def evaluate() -> dict[str, Any]:
            with trainer.published() as model:
                return evaluate_all(model, tokenize, preprocess, datasets)

        return evaluate

    def finish(self, loop: TrainLoop, values: dict[str, Any]) -> dict[str, Any]:
        """Publish the weights and the card."""
        from curate.training.loop.waiting import done_by_main

        loop.progress.gather(self.world)
        weights = loop.trainer.weights()
        return done_by_main(
            lambda: self._publish(loop, values, weights), self.world, "publishes the model", log
        )

    def _publish(
        self, loop: TrainLoop, values: dict[str, Any], weights: dict[str, Any]
    ) -> dict[str, Any]:
        from curate.training.model.weights_file import FORMAT_VERSION

        assert loop.run_log is not None  # this is rank 0
        progress = loop.progress
        loop.run_log.publish()
        with told_when_full(self.files.checkpoints):
            final = {"format": FORMAT_VERSION, "model": weights}
            save_tensors(self.files, self.files.final, final)
        losses = [x["loss"] for x in loop.run_log.lines if x["loss"] is not None]
        begun = self.start.goes_on.step if self.start.goes_on is not None else 0
        seen = (self.config.steps - begun) * self.config.batch_size
        per_epoch = self.loading().pairs_per_epoch(progress.position.epoch)
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
            "machine": machine_of(self.world, self.options),
            **resolutions(self.config, self.shape),
            "datacard_sha256": hash_if_there(self.extras.datacard),
            **contaminated_sets(self.extras.datacard),
        }
        if self.texts is not None and self.texts.index is not None:
            card["captions"] = {**self.texts.index.note, "mix": self.texts.describe()}
        consumed = progress.consumed.card(entry_names(self.extras.balanced))
        return write_model_card(self.files, card, loop.run_log.lines, consumed)


def _same(one: Any, other: Any) -> bool:
    return bool(one == other and one.context_length == other.context_length)
