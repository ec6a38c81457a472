"""`curate train-captioner`: shards → `runs/<name>/`: a captioner, on the loop of `train`.

`config.json` is written first and says what the run is made of; the image model and the language
model's config and tokenizer follow, so that the folder needs nothing else. A rerun goes on from the
newest checkpoint, and one with anything else is refused.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from curate.errors import UsageError
from curate.files import storage
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import finish_swap, forget_next, next_folder, swap_in
from curate.pipelines.train import (
    RunFiles,
    ShardFacts,
    TrainExtras,
    agreed,
    check_folder,
    has_progress,
    only_driver,
    paths,
    refuse_twice,
)
from curate.pipelines.train_captioner.begin import (
    ENTRIES,
    CaptionerParts,
    begin_folder,
    identity_of,
    shape_of,
)
from curate.pipelines.train_captioner.run import CaptionerRun
from curate.pipelines.views.progress import log
from curate.training import require_packages
from curate.training.captioner.config import PHASES, CaptionerConfig
from curate.training.loop.config import StepOptions, TrainConfig
from curate.training.tars.promised import Listing

__all__ = ["train_captioner"]


def train_captioner(
    *,
    shards: str | Sequence[str],
    output: str,
    parts: CaptionerParts,
    phase: str,
    shape: CaptionerConfig,
    config: TrainConfig,
    options: StepOptions | None = None,
    extras: TrainExtras | None = None,
    device: str | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train a captioner on shards, or go on with a run that was interrupted.

    Args:
        shards: folder of tars, or one tar; or several of these.
        output: folder of the run.
        parts: what it begins with.
        phase: pretrain or finetune.
        shape: of mapper and sequences; with `init`, that one's.
        config: how to train.
        options: how a step is computed; may change when a run goes on.
        extras: tables of captions (the targets of finetune, further texts in pretrain), threads,
            cache, lanes, whether shards may be lost; the others do not matter here.
        device: None for a GPU if there is one.
        overwrite: begin anew.
        dry_run: check and count only.
        quiet: no progress.

    Returns:
        The card, as in `modelcard.json`; or, if SIGTERM ended it early, where it stopped.

    Raises:
        InputError: there are no shards, models, or captions of their pairs.
        ArtifactError: the folder holds another run.
        UsageError: finetune without captions.
        CurateError: the loss is not finite again and again, or memory ran out.
    """
    require_packages("curate train-captioner")
    from curate.training.data.loader import list_shards
    from curate.training.loop.distributed import joined_world, wait_for_all
    from curate.training.loop.waiting import done_by_main

    extras = extras or TrainExtras()
    if phase not in PHASES:
        raise UsageError(f"--phase is {phase!r}; expected {' or '.join(PHASES)}")
    if phase == "finetune" and not extras.captions.tables:
        raise UsageError("finetune trains on captions: name a table of them with --captions")
    places = [shards] if isinstance(shards, str) else shards
    listings: dict[str, Listing] = {}
    tars = [tar for place in places for tar in list_shards(place, listings)]
    refuse_twice(tars)
    anew = overwrite and has_progress(RunFiles(output))
    files = RunFiles(next_folder(output) if anew else output)
    with joined_world(device) as world:
        if dry_run:
            return {"shards": len(tars), "steps": config.steps, **asdict(parts)}
        with only_driver(world, output, "train-captioner"):
            own_shape = done_by_main(lambda: shape_of(parts, shape), world, "looks at --init", log)

            def identify(facts: Sequence[ShardFacts], lanes: int) -> dict[str, Any]:
                return identity_of(facts, lanes, parts, phase, own_shape, config, extras.captions)

            def begin() -> None:
                if anew:
                    finish_swap(output)
                else:
                    forget_next(output)
                begin_folder(files, found.values, found.facts, parts)

            found = agreed(
                world, tars, extras, output, config, overwrite=overwrite,
                quiet=quiet or not world.is_main, identify=identify, listings=listings,
            )  # fmt: skip
            check_folder(RunFiles(output), found.values, found.facts, overwrite=overwrite)
            wait_for_all(world)  # nobody looks any more: rank 0 may change what is there
            done_by_main(begin, world, "puts the models into the run's folder", log)
            if storage.exists(files.final) and storage.exists(files.card):
                card: dict[str, Any] = artifacts.read_json(files.card)
            else:
                run = CaptionerRun(
                    files=files, tars=paths(tars, found.facts), facts=found.facts,
                    lanes=found.lanes, parts=parts, phase=phase, shape=own_shape, config=config,
                    options=options or StepOptions(), extras=extras, world=world,
                    quiet=quiet or not world.is_main,
                )  # fmt: skip
                card = run.train(found.values)
            wait_for_all(world)
            if anew and world.is_main and "stopped_at" not in card:
                swap_in(output, sign="modelcard.json", gone=ENTRIES)
            return card
