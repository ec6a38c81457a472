"""Steps one after the other, and what happens between them: log, checkpoints, evaluation, the end.

All ranks run the same loop. Whatever one of them decides (to stop, to save by the clock), all do:
what they would not agree on by themselves they tell each other after each step.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from curate.errors import CurateError
from curate.pipelines.executor.stopping import StopRequest
from curate.pipelines.store import artifacts
from curate.pipelines.train.consumed import Consumed
from curate.pipelines.train.evaluations import numbers_of
from curate.pipelines.train.files import CheckpointWriter, RunFiles
from curate.pipelines.train.told.run_log import RunLog
from curate.pipelines.train.told.trackers import Tracker
from curate.pipelines.train.told.view import TrainView
from curate.pipelines.views.progress import log
from curate.training.loop.config import TrainConfig

__all__ = ["Progress", "TrainLoop", "close", "restore", "run_together"]


@dataclass(slots=True)
class Progress:
    """How far a run is, beside the trainer's own state.

    Attributes:
        position: in the pairs.
        skipped: samples left out, by reason, of all ranks once they are gathered.
        bad_steps: steps left out.
        bad_in_row: of these, the last ones in a row.
        consumed: pairs that were trained on.
    """

    position: Any
    skipped: Counter[str] = field(default_factory=Counter)
    bad_steps: int = 0
    bad_in_row: int = 0
    consumed: Consumed = field(default_factory=Consumed)

    def take(self, batch: Any) -> None:
        """Count a batch."""
        self.position = batch.end
        self.skipped.update(batch.skipped)
        langs = getattr(batch, "langs", None) or [None] * len(batch.pair_ids)
        entry_ids = getattr(batch, "entry_ids", None) or [None] * len(batch.pair_ids)
        self.consumed.add(langs, entry_ids, getattr(batch, "sources", ()))

    def gather(self, world: Any) -> None:
        """Bring the counts of all ranks to rank 0; the others begin anew."""
        from curate.training.loop.distributed import gather_objects

        if world.size == 1:
            return
        mine = dict(self.skipped), self.consumed.state(), self.position.lanes
        found = gather_objects(mine, world)
        self.skipped.clear()
        self.consumed.clear()
        if world.is_main:
            lanes: dict[int, Any] = {}
            for skipped, state, ends in found:
                self.skipped.update(skipped)
                self.consumed.merge([state])
                lanes |= ends
            self.position = replace(self.position, lanes=lanes)

    def state(self) -> dict[str, Any]:
        """Return it as plain values and tensors, for a checkpoint."""
        return {
            "position": asdict(self.position),
            "skipped": dict(self.skipped),
            "bad_steps": self.bad_steps,
            "bad_in_row": self.bad_in_row,
            "consumed": self.consumed.state(),
        }


def restore(state: Mapping[str, Any], *, is_main: bool) -> Progress:
    """Return what `Progress.state` gave; counts only on rank 0, since they add up over ranks."""
    from curate.training.data.loader import Position

    progress = Progress(Position(**state["position"]))
    progress.bad_steps, progress.bad_in_row = state["bad_steps"], state["bad_in_row"]
    if is_main:
        progress.skipped.update(state["skipped"])
        progress.consumed.merge([state["consumed"]])
    return progress


@dataclass(slots=True, kw_only=True)
class TrainLoop:
    """A run in progress.

    Attributes:
        files: where it writes.
        config: steps, and how often what happens.
        trainer: takes the steps.
        progress: how far it is.
        run_log: of rank 0; None elsewhere.
        view: shows it.
        trackers: are told of it.
        flops: of a pair, by the tokens of its text.
        peak_flops: of one device; None if it is not known.
        evaluate: gives figures by set; None: never.
        eval_every: steps between evaluations, beside the one after the last step; 0: no others.
        image_size: of the images of these steps, for the log; None where all steps have one.
    """

    files: RunFiles
    config: TrainConfig
    trainer: Any
    progress: Progress
    run_log: RunLog | None
    view: TrainView
    trackers: Sequence[Tracker]
    flops: Callable[[float], float]
    peak_flops: float | None
    evaluate: Callable[[], dict[str, Any]] | None = None
    eval_every: int = 0
    image_size: int | None = None
    _tokens: int = 0
    _logged_step: int = 0
    _logged_at: float = 0.0
    _saved_at: float = 0.0

    def run(self, batches: Iterator[Any], stop: StopRequest, end: int | None = None) -> bool:
        """Train to a step, or until a stop is asked for.

        Args:
            batches: of a loader.
            stop: asked for from outside.
            end: the last step's number, from 1; before the run's last one, all is saved there.
                None for the run's last one.

        Returns:
            Whether that step is done.

        Raises:
            CurateError: too many steps in a row gave no finite loss.
        """
        return run_together([self], batches, stop, end=end)

    def begin(self) -> CheckpointWriter:
        """Start the clocks; return what writes this run's checkpoints."""
        self._logged_step, self._tokens = self.trainer.step_number, 0
        self._logged_at = self._saved_at = time.monotonic()
        options, world = getattr(self.trainer, "options", None), self.trainer.world
        is_shared = options is not None and options.sharding == "fsdp"
        keep = self.config.keep_checkpoints
        return CheckpointWriter(self.files, keep, world if is_shared else None)

    def take(self, batch: Any, taught: Any, writer: CheckpointWriter, is_due: bool) -> None:
        """Train on a batch, and do what is due after it.

        Args:
            batch: of the loader.
            taught: what a teacher says of it; None: the trainer asks its own, if it has one.
            writer: of checkpoints.
            is_due: the clock says to save.
        """
        metrics = self.trainer.step(batch, taught) if taught else self.trainer.step(batch)
        self.progress.take(batch)
        self._tokens += metrics.num_tokens
        if metrics.skipped:
            self._bad_step(batch, metrics)
        else:
            self.progress.bad_in_row = 0
        step = metrics.step
        if step % self.config.log_every == 0 or step == self.config.steps:
            self._log(metrics)
        self.view.step()
        if self.evaluate and self._is_eval_due(step):
            self._evaluate(step)
        if is_due or (self.config.checkpoint_every and step % self.config.checkpoint_every == 0):
            self.save(writer)

    def _is_eval_due(self, step: int) -> bool:
        is_last = step == self.config.steps
        return is_last or (self.eval_every > 0 and step % self.eval_every == 0)

    def agree(self, wants_stop: bool) -> tuple[bool, bool]:
        """Return whether any rank has been asked to stop, and whether the clock says to save."""
        from curate.training.loop.distributed import max_over_ranks

        minutes = (time.monotonic() - self._saved_at) / 60
        is_due = 0 < self.config.checkpoint_minutes <= minutes
        stop, due = max_over_ranks([float(wants_stop), float(is_due)], self.trainer.world)
        return stop > 0, due > 0

    def save(self, writer: CheckpointWriter) -> None:
        """Copy the state and let a thread write it."""
        self.progress.gather(self.trainer.world)
        state = self.trainer.state()
        if self.trainer.world.is_main:
            writer.save(self.trainer.step_number, {**state, "progress": self.progress.state()})
            if self.run_log:
                self.run_log.publish()
        elif writer.is_shared:
            writer.save(self.trainer.step_number, state)
        self._saved_at = time.monotonic()

    def _log(self, metrics: Any) -> None:
        num_steps = metrics.step - self._logged_step
        now = time.monotonic()
        rate = num_steps * self.config.batch_size / max(now - self._logged_at, 1e-9)
        tokens = self._tokens / num_steps
        world = self.trainer.world
        mfu = self.peak_flops and rate * self.flops(tokens) / (self.peak_flops * world.size)
        line = {
            "step": metrics.step,
            "loss": _finite(metrics.loss),
            "learning_rate": metrics.learning_rate,
            "logit_scale": _finite(metrics.logit_scale),
            "grad_norm": _finite(metrics.grad_norm),
            "epoch": self.progress.position.epoch,
            "images_per_s": round(rate, 1),
            "tokens": round(tokens, 1),
            "mfu": None if mfu is None else round(mfu, 4),
            **self.trainer.timer.shares(),
            "bad_steps": self.progress.bad_steps,
            **({"image_size": self.image_size} if self.image_size is not None else {}),
        }
        self._logged_step, self._logged_at, self._tokens = metrics.step, now, 0
        if self.run_log:
            self.run_log.add(line)
        self.view.figures(line)
        self._track(metrics.step, line)

    def _track(self, step: int, values: Mapping[str, Any]) -> None:
        numbers = {k: v for k, v in values.items() if isinstance(v, (int, float)) and k != "step"}
        for tracker in self.trackers:
            tracker.log(step, numbers)

    def _bad_step(self, batch: Any, metrics: Any) -> None:
        """Write down which pairs gave no finite loss; give up after too many in a row.

        Raises:
            CurateError: there were too many.
        """
        from curate.training.loop.distributed import gather_objects

        self.progress.bad_steps += 1
        self.progress.bad_in_row += 1
        path = self.files.path("nonfinite", f"step-{metrics.step:09d}.json")
        pair_ids = gather_objects(list(batch.pair_ids), self.trainer.world)
        if self.trainer.world.is_main:
            values = {"step": metrics.step, "loss": str(metrics.loss),
                      "grad_norm": str(metrics.grad_norm),
                      "pair_ids": [i for ids in pair_ids for i in ids]}  # fmt: skip
            artifacts.write_json(path, values)
            log(f"step {metrics.step} is left out: loss {metrics.loss}, gradient of length "
                f"{metrics.grad_norm}; its pairs are in {path}")  # fmt: skip
        if self.progress.bad_in_row >= self.config.max_bad_steps:
            raise CurateError(
                f"step {metrics.step}: {self.progress.bad_in_row} steps in a row gave no finite "
                f"loss or gradient (the last: {metrics.loss}, {metrics.grad_norm}); the pairs are "
                f"in {self.files.path('nonfinite')}. Begin anew with a smaller --learning-rate, "
                "more --warmup-steps or --max-grad-norm 1; or run the same command to go on from "
                "the last checkpoint."
            )

    def _evaluate(self, step: int) -> None:
        assert self.evaluate is not None
        start = time.monotonic()
        results = self.evaluate()
        if self.trainer.world.is_main:
            path = self.files.path("eval", f"step-{step:09d}.json")
            artifacts.write_json(path, {"step": step, "results": results})
        self._track(step, {
            f"{name}/{figure}": value
            for name, found in results.items()
            for figure, value in numbers_of(found)
        })  # fmt: skip
        self.leave_out(time.monotonic() - start)

    def leave_out(self, seconds: float) -> None:
        """Leave out of the rate seconds in which something else was done than this run's steps."""
        self.trainer.timer.leave_out(seconds)
        self._logged_at += seconds


def run_together(
    loops: "Sequence[TrainLoop]",
    batches: Iterator[Any],
    stop: StopRequest,
    share: Callable[[Any], Sequence[tuple[Any, Any]]] | None = None,
    end: int | None = None,
) -> bool:
    """Train several runs on the same batches to a step, or until a stop is asked for.

    Args:
        loops: of the runs, all at the same step of as many.
        batches: of a loader.
        stop: asked for from outside.
        share: gives of a batch each run's own, and what a teacher says of it; None: as it is.
        end: the step, after which all is saved if it is not the last one; None for the last one.

    Returns:
        Whether that step is done.

    Raises:
        CurateError: too many steps in a row of one of them gave no finite loss.
    """
    first = loops[0]
    writers = [loop.begin() for loop in loops]
    try:
        while first.trainer.step_number < (first.config.steps if end is None else end):
            is_stopped, is_due = first.agree(stop.is_made)
            if is_stopped:
                for loop, writer in zip(loops, writers, strict=True):
                    loop.save(writer)
                return False
            with first.trainer.timer.loading():
                batch = next(batches)
            shares = share(batch) if share else [(batch, None)] * len(loops)
            for loop, writer, (own, taught) in zip(loops, writers, shares, strict=True):
                begun = time.monotonic()
                loop.take(own, taught, writer, is_due)
                for other in loops:
                    if other is not loop:
                        other.leave_out(time.monotonic() - begun)
        if first.trainer.step_number < first.config.steps:
            for loop, writer in zip(loops, writers, strict=True):
                loop.save(writer)
    finally:
        for writer in writers:
            writer.wait()
    return True


def close(loop: TrainLoop) -> None:
    """Let go of what shows a run, and of who is told of it."""
    loop.view.close()
    for tracker in loop.trackers:
        tracker.close()


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
