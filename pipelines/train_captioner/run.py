"""One process of a captioner's run: its parts put together, trained, and the result published."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from curate.files.disk_space import told_when_full
from curate.pipelines.executor.stopping import current_request
from curate.pipelines.store import artifacts
from curate.pipelines.train import (
    Loading,
    Progress,
    RunFiles,
    RunLog,
    ShardFacts,
    TrainExtras,
    TrainLoop,
    TrainView,
    read_checkpoint,
    restore,
    save_tensors,
)
from curate.pipelines.train_captioner.begin import CaptionerParts
from curate.pipelines.views.progress import log
from curate.training.captioner.config import CaptionerConfig
from curate.training.loop.config import StepOptions, TrainConfig

__all__ = ["CaptionerRun"]


@dataclass(slots=True, kw_only=True)
class CaptionerRun:
    """One process of a run."""

    files: RunFiles
    tars: list[str]
    facts: list[ShardFacts]
    lanes: int
    parts: CaptionerParts
    phase: str
    shape: CaptionerConfig
    config: TrainConfig
    options: StepOptions
    extras: TrainExtras
    world: Any
    quiet: bool

    def train(self, values: dict[str, Any]) -> dict[str, Any]:
        """Train to the end, or until a stop is asked for."""
        from curate.training.data.prefetch import DevicePrefetcher

        trainer, encoder = self._trainer()
        progress = self._resume(trainer)
        is_main = self.world.is_main
        loop = TrainLoop(
            files=self.files, config=self.config, trainer=trainer, progress=progress,
            run_log=RunLog(self.files.log, trainer.step_number) if is_main else None,
            view=TrainView(trainer.step_number, self.config.steps, quiet=self.quiet), trackers=(),
            flops=lambda tokens: 6.0 * tokens * _num_parameters(trainer.model), peak_flops=None,
        )  # fmt: skip
        stream = DevicePrefetcher(
            self._batches(encoder, progress.position, trainer, values), self.world.device
        )
        try:
            is_done = loop.run(stream, current_request())
        finally:
            stream.close()
            loop.view.close()
        if not is_done:
            checkpoint = self.files.step_checkpoint(trainer.step_number)
            return {"stopped_at": trainer.step_number, "of": self.config.steps,
                    "goes_on_from": checkpoint}  # fmt: skip
        return self._finish(loop, values)

    def _trainer(self) -> tuple[Any, Any]:
        import torch

        from curate.training.captioner import folder as parts_of
        from curate.training.captioner.model import CaptionModel
        from curate.training.captioner.sequences import SequenceEncoder
        from curate.training.captioner.trainer import CaptionTrainer
        from curate.training.export.load import load_model

        torch.manual_seed(self.config.seed)
        place = self.files.path(parts_of.LANGUAGE_MODEL)
        image_model, _ = load_model(self.files.path(parts_of.IMAGE_MODEL))
        width = image_model.config.embed_dim
        is_new = not self.files.step_checkpoints()
        if is_new and self.parts.init is None:
            language_model = parts_of.open_language_model(str(self.parts.language_model))
            model = CaptionModel(width, language_model, self.shape)
        else:
            model = parts_of.build_caption_model(place, width, self.shape)
        if is_new and self.parts.init is not None:
            begun = RunFiles(self.parts.init)
            weights = read_checkpoint(begun, begun.final)["model"]
            parts_of.load_captioner_weights(model, weights, begun.final)
        encoder = SequenceEncoder(parts_of.open_tokenizer(place), self.shape)
        trainer = CaptionTrainer(
            image_model, model, self.shape, self.config, options=self.options, world=self.world
        )
        return trainer, encoder

    def _resume(self, trainer: Any) -> Progress:
        from curate.training.data.loader import Position

        found = self.files.step_checkpoints()
        if not found:
            return Progress(Position())
        state = read_checkpoint(self.files, found[-1])
        trainer.load_state(state)
        log(f"going on from {found[-1]}", quiet=self.quiet)
        return restore(state["progress"], is_main=self.world.is_main)

    def _batches(self, encoder: Any, position: Any, trainer: Any, values: dict[str, Any]) -> Any:
        from curate.training.captioner.texts import PhaseTexts

        loading = self._loading(trainer.image_size)
        index = loading.open_captions(
            values["loader"]["captions"], is_new=not trainer.step_number, quiet=self.quiet
        )
        texts = PhaseTexts(
            seed=self.config.seed, phase=self.phase, index=index,
            prompt_dropout=self.shape.prompt_dropout,
        )  # fmt: skip
        return replace(loading, texts=texts).batches(encoder, position)

    def _loading(self, image_size: int) -> Loading:
        return Loading(
            tars=self.tars, facts=self.facts, config=self.config, extras=self.extras,
            lanes=self.lanes, image_size=image_size, world=self.world,
        )  # fmt: skip

    def _finish(self, loop: TrainLoop, values: dict[str, Any]) -> dict[str, Any]:
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
        consumed = progress.consumed.card(lambda *_: None)
        artifacts.write_json(self.files.path("consumed.json"), consumed)
        card = {
            **values, "train": asdict(self.config),
            "parameters": _num_parameters(loop.trainer.model),
            "pairs_seen": self.config.steps * self.config.batch_size,
            "final_loss": round(losses[-1], 6) if losses else None,
            "averaged": self.config.ema_decay is not None,
            "sources": consumed["sources"], "skipped": dict(sorted(progress.skipped.items())),
            "bad_steps": progress.bad_steps,
        }  # fmt: skip
        artifacts.write_json(self.files.card, card)
        return card


def _num_parameters(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
