"""`curate train`: shards → `runs/<name>/`: tokenizer, checkpoints, log and model card.

`config.json` is written first and says what the run is made of; a rerun with anything else is
refused, a rerun with the same goes on from the newest checkpoint. Started by torchrun, every
process runs all of this, and rank 0 alone writes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.pipelines.executor.lease import driving
from curate.pipelines.executor.stopping import current_request
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import (
    finish_swap,
    forget_next,
    next_folder,
    swap_in,
)
from curate.pipelines.store.workspace import refuse_foreign
from curate.pipelines.train.experts.full_run import FullRun, full_run
from curate.pipelines.train.extras import TrainExtras
from curate.pipelines.train.files import RUN_ENTRIES, RunFiles
from curate.pipelines.train.identity import LOST, difference, identity, with_lost
from curate.pipelines.train.loading import refuse_twice
from curate.pipelines.train.part import TrainRun
from curate.pipelines.train.shard_facts import ShardFacts, take_stock
from curate.pipelines.train.start import prepare_start, shape_of
from curate.pipelines.views.progress import log
from curate.training import require_packages
from curate.training.loop.config import StepOptions, TrainConfig
from curate.training.tars.promised import Listing

__all__ = [
    "Agreed", "TrainExtras", "agreed", "check_folder", "check_run_name", "finished_card",
    "has_progress", "only_driver", "paths", "prepare", "prepare_start", "shape_of", "train_model",
]  # fmt: skip


def train_model(
    *,
    shards: str | Sequence[str],
    output: str,
    model: str | None,
    config: TrainConfig,
    options: StepOptions | None = None,
    extras: TrainExtras | None = None,
    datacard: str | None = None,
    device: str | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train a CLIP model on shards, or go on with a run that was interrupted.

    Args:
        shards: folder of tars, or one tar; or several of these.
        output: the folder `runs/<name>/`.
        model: name of a model, or a JSON file of its shape; None for that of `init`, else vit-b-32.
        config: how to train.
        options: how a step is computed; may change when a run goes on.
        extras: what goes on around the steps.
        datacard: of the shards; short for that of `extras`.
        device: such as ``cpu`` or ``cuda``; None for a GPU if there is one.
        overwrite: begin anew.
        dry_run: check and count only.
        quiet: no progress.

    Returns:
        The model card, as in `modelcard.json`; or, if SIGTERM ended it early, the step it stopped
        at and the checkpoint it goes on from.

    Raises:
        InputError: there are no shards, or too few pairs.
        ArtifactError: the folder holds another run.
        MissingExtraError: torch is not installed.
        CurateError: the loss is not finite again and again, or memory ran out.
    """
    require_packages("curate train")
    from curate.training.data.loader import list_shards
    from curate.training.loop.distributed import joined_world, wait_for_all
    from curate.training.loop.resolution import phases

    extras = extras or TrainExtras()
    extras = replace(extras, datacard=extras.datacard or datacard)
    full = _full_run(model, extras)
    config = config if full is None else full.schedule(config)
    shape = full.shape if full is not None else shape_of(model, extras.init)
    shape = replace(shape, logit_bias=config.loss == "siglip")
    phases(config, shape)  # refuses a schedule of sizes that the model cannot have
    places = [shards] if isinstance(shards, str) else shards
    listings: dict[str, Listing] = {}
    tars = [tar for place in places for tar in list_shards(place, listings)]
    refuse_twice(tars)
    anew = overwrite and has_progress(RunFiles(output))
    files = RunFiles(next_folder(output) if anew else output)
    start = (
        full.start() if full is not None
        else prepare_start(shape, init=extras.init, tokenizer=extras.tokenizer)
    )  # fmt: skip
    if dry_run:
        facts = take_stock(tars, quiet=quiet, listings=listings)
        lanes = _lanes(extras, RunFiles(output), config, len(tars), overwrite=overwrite)
        values = identity(facts, shape, config, extras, start, lanes)
        check_folder(RunFiles(output), values, facts, overwrite=overwrite)
        there = files.step_checkpoints()
        return {"shards": len(tars), "lanes": lanes, "steps": config.steps, "checkpoints": there}
    with joined_world(device) as world, only_driver(world, output):
        is_quiet = quiet or not world.is_main
        found = agreed(
            world, tars, extras, output, config, overwrite=overwrite, quiet=is_quiet,
            identify=lambda facts, lanes: identity(facts, shape, config, extras, start, lanes),
            listings=listings,
        )  # fmt: skip
        values = found.values
        check_folder(RunFiles(output), values, found.facts, overwrite=overwrite)
        wait_for_all(world)  # nobody looks any more: rank 0 may change what is there
        if world.is_main:
            if anew:
                finish_swap(output)
            else:
                forget_next(output)
            prepare(files, values, found.facts, anew=anew)
        wait_for_all(world)
        if storage.exists(files.final) and storage.exists(files.card):
            finished = finished_card(files)
            wait_for_all(world)  # they have all read the card
            if anew and world.is_main:  # a start that was killed before it took its place
                swap_in(output, sign="modelcard.json", gone=RUN_ENTRIES)
            return finished
        run = TrainRun(
            files=files,
            tars=paths(tars, found.facts),
            facts=found.facts,
            lanes=found.lanes,
            shape=shape,
            config=config,
            options=options or StepOptions(),
            extras=extras,
            start=start,
            world=world,
            quiet=is_quiet,
        )
        run.open_texts(values)
        card = run.train(values, current_request())
        wait_for_all(world)  # they have all read the card
        if anew and world.is_main and "stopped_at" not in card:
            swap_in(output, sign="modelcard.json", gone=RUN_ENTRIES)
        return card


def _full_run(model: str | None, extras: TrainExtras) -> FullRun | None:
    """Return the run that an expert goes on from; None if the run is no expert.

    Raises:
        UsageError: the expert is to be of another shape.
    """
    if extras.expert is None or extras.init is None:
        return None
    if model is not None:
        raise UsageError("--expert with --model: it is of the shape of its run; leave --model out")
    return full_run(extras.init)


@contextmanager
def only_driver(world: Any, output: str, command: str = "train") -> Iterator[None]:
    """Be the only start of a run within the block; rank 0 is, for all.

    Args:
        world: the ranks.
        output: folder of the run.
        command: that drives it.

    Raises:
        ArtifactError: another one works on it; on every rank.
    """
    from curate.training.loop.distributed import gather_objects

    refused: ArtifactError | None = None
    with ExitStack() as stack:
        if world.is_main:
            try:
                stack.enter_context(driving(output, command))
            except ArtifactError as error:
                refused = error
        refused = gather_objects(refused, world)[0]
        if refused is not None:
            raise refused
        yield


class Agreed(NamedTuple):
    """What rank 0 found out, for all."""

    values: dict[str, Any]
    facts: list[ShardFacts]
    lanes: int


def agreed(
    world: Any, tars: Sequence[str], extras: TrainExtras, output: str, config: TrainConfig, *,
    overwrite: bool, quiet: bool,
    identify: Callable[[Sequence[ShardFacts], int], dict[str, Any]],
    listings: Mapping[str, Listing] | None = None,
) -> Agreed:  # fmt: skip
    """Return what the run is made of and what is known of its shards, as rank 0 finds it.

    Args:
        world: the ranks.
        tars: the shards.
        extras: lanes, and whether shards may be lost.
        output: folder of the run.
        config: how to train.
        overwrite: begin anew.
        quiet: no progress.
        identify: returns what a run is made of, from its shards and lanes.
        listings: as for `take_stock`.

    Raises:
        ArtifactError: this rank sees other shards.
    """
    from curate.training.loop.waiting import done_by_main

    def look() -> Agreed:
        kept_in = _stock_folder(output)
        facts = take_stock(tars, kept_in=kept_in, quiet=quiet, listings=listings)
        if extras.allow_lost:
            facts = with_lost(RunFiles(output).read_shards(), facts)
        lanes = _lanes(extras, RunFiles(output), config, len(tars), overwrite=overwrite)
        return Agreed(identify(facts, lanes), facts, lanes)

    found = done_by_main(look, world, "looks at the shards", log)
    mine = {tar.rpartition("/")[2] for tar in tars}
    others = {one.name for one in found.facts} - mine
    if others and not extras.allow_lost:
        raise ArtifactError(
            f"process {world.rank} does not see {len(others):,} of the shards that process 0 sees, "
            f"such as {min(others)}. Give all machines the same --shards."
        )
    return found


def _stock_folder(output: str) -> str:
    """Return where what is known of shards is kept, for all runs beside this one."""
    return storage.join(output.rstrip("/").rpartition("/")[0] or ".", ".shards")


def finished_card(files: RunFiles) -> dict[str, Any]:
    """Return the model card of a finished run."""
    card: dict[str, Any] = artifacts.read_json(files.card)
    return card


def _lanes(
    extras: TrainExtras, files: RunFiles, config: TrainConfig, num_shards: int, *, overwrite: bool
) -> int:
    """Return how many lanes a run has: as asked, as it was begun, or one for each machine.

    Raises:
        UsageError: there are fewer shards.
    """
    from curate.training.loop.distributed import launched_machines

    if extras.lanes is not None:
        if not 1 <= extras.lanes <= min(num_shards, config.batch_size):
            raise UsageError(
                f"--lanes is {extras.lanes}; expected 1 to the number of shards, {num_shards:,}, "
                f"and of pairs of a batch, {config.batch_size:,}"
            )
        return extras.lanes
    if not overwrite and storage.exists(files.config) and has_progress(files):
        loader = artifacts.read_json(files.config)["loader"]
        return int(loader["lanes"]) if "lanes" in loader else 1
    return min(launched_machines(), num_shards, config.batch_size)


def paths(tars: Sequence[str], facts: Sequence[ShardFacts]) -> list[str]:
    """Return the paths of shards; of those that are lost, where they would be."""
    if len(tars) == len(facts):
        return list(tars)
    here = {tar.rpartition("/")[2]: tar for tar in tars}
    folder = tars[0].rpartition("/")[0] or "."
    return [here.get(one.name, storage.join(folder, one.name)) for one in facts]


def check_folder(
    files: RunFiles, values: dict[str, Any], facts: Sequence[ShardFacts], *, overwrite: bool
) -> None:
    """Refuse a folder that is none of a run, or of a run that was made of something else."""
    refuse_foreign(files.folder, "config.json")
    if storage.exists(files.config) and has_progress(files) and not overwrite:
        remedy = (
            f"Give another --name; with --init {files.folder} that run begins with this one's "
            "weights. Or replace it with --overwrite."
        )
        found = artifacts.read_json(files.config)
        if found["shards"] != values["shards"]:
            _refuse_shards(files, facts, remedy)
        artifacts.require_same(files.folder, found, values, remedy=remedy)


def _refuse_shards(files: RunFiles, facts: Sequence[ShardFacts], remedy: str) -> None:
    """Say which shards of a run are not those that it was begun with, if that is written down.

    Raises:
        ArtifactError: some are not.
    """
    lines = difference(files.read_shards(), facts)
    if not lines:
        return
    if all(line.startswith(LOST) for line in lines):
        remedy = f"Give them back; or go on without them with --allow-lost. {remedy}"
    raise ArtifactError(
        f"{files.folder} was begun with other shards:\n  " + "\n  ".join(lines) + f"\n{remedy}"
    )


def has_progress(files: RunFiles) -> bool:
    """Tell whether a run has anything to lose: weights."""
    return bool(files.step_checkpoints()) or storage.exists(files.final)


def prepare(
    files: RunFiles, values: dict[str, Any], facts: Sequence[ShardFacts], *, anew: bool
) -> None:
    """Make the folder of the run: empty, or as an earlier start left it."""
    is_other = anew and storage.exists(files.config) and artifacts.read_json(files.config) != values
    if is_other or not has_progress(files):
        files.clear()
    if not storage.exists(files.config):
        files.write_shards(facts)
        artifacts.write_json(files.config, values)
    storage.remove_leftovers(files.checkpoints)
    files.remove_parts()


def check_run_name(name: str) -> str:
    """Return a run's name if it can be a folder's.

    Raises:
        UsageError: it cannot.
    """
    if not name or "/" in name or name.startswith("."):
        raise UsageError(f"--name is {name!r}; expected a folder name without / or a leading point")
    return name
