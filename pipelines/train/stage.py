"""`curate train`: shards → `runs/<name>/`: tokenizer, checkpoints, log and model card.

`config.json` is written first and says what the run is made of; a rerun with anything else is
refused, a rerun with the same goes on from the newest checkpoint. Started by torchrun, every
process runs all of this, and rank 0 alone writes.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from typing import Any

from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.files.sums import shard_sum
from curate.pipelines.caption_tables.join import caption_identity, joined_captions
from curate.pipelines.executor.lease import driving
from curate.pipelines.executor.stopping import current_request
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import (
    finish_swap,
    forget_next,
    next_folder,
    refuse_half,
    swap_in,
)
from curate.pipelines.store.workspace import refuse_foreign
from curate.pipelines.train.files import RUN_ENTRIES, RunFiles
from curate.pipelines.train.part import TrainExtras, TrainRun, read_online
from curate.pipelines.train.start import Start, prepare_start
from curate.training import require_packages
from curate.training.captions.mix import TextMix
from curate.training.loop.config import StepOptions, TrainConfig
from curate.training.model.config import ModelConfig, load_model_config

__all__ = [
    "TrainExtras", "check_run_name", "only_driver", "shard_identities", "shard_sums", "train_model",
]  # fmt: skip

_HASH_THREADS = 8


def train_model(
    *,
    shards: str,
    output: str,
    model: str,
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
        shards: folder of tars, or one tar.
        output: the folder `runs/<name>/`.
        model: name of a model, or a JSON file of its shape.
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

    extras = extras or TrainExtras()
    extras = replace(extras, datacard=extras.datacard or datacard)
    shape = replace(load_model_config(model), logit_bias=config.loss == "siglip")
    tars = list_shards(shards)
    anew = overwrite and _has_progress(RunFiles(output))
    files = RunFiles(next_folder(output) if anew else output)
    start = prepare_start(shape, init=extras.init, tokenizer=extras.tokenizer)
    if dry_run:
        values = _identity(tars, shape, config, extras, start)
        _check_folder(RunFiles(output), values, overwrite=overwrite)
        found = files.step_checkpoints()
        return {"shards": len(tars), "steps": config.steps, "checkpoints": found}
    with joined_world(device) as world, only_driver(world, output):
        values, sums = _agreed(world, tars, shape, config, extras, start)
        _check_folder(RunFiles(output), values, overwrite=overwrite)
        wait_for_all(world)  # nobody looks any more: rank 0 may change what is there
        if world.is_main:
            if anew:
                finish_swap(output)
            else:
                forget_next(output)
            _prepare(files, values, anew=anew)
        wait_for_all(world)
        if storage.exists(files.final) and storage.exists(files.card):
            finished = artifacts.read_json(files.card)
            wait_for_all(world)  # they have all read the card
            if anew and world.is_main:  # a start that was killed before it took its place
                swap_in(output, sign="modelcard.json", gone=RUN_ENTRIES)
            return finished
        run = TrainRun(
            files=files,
            tars=tars,
            sums=sums,
            shape=shape,
            config=config,
            options=options or StepOptions(),
            extras=extras,
            start=start,
            world=world,
            quiet=quiet or not world.is_main,
        )
        run.texts = _texts(run, values)
        card = run.train(values, current_request())
        wait_for_all(world)  # they have all read the card
        if anew and world.is_main and "stopped_at" not in card:
            swap_in(output, sign="modelcard.json", gone=RUN_ENTRIES)
        return card


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


def _agreed(world: Any, tars: Sequence[str], *parts: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what the run is made of and the sums of its shards, as rank 0 finds them."""
    from curate.training.loop.distributed import gather_objects

    mine = (_identity(tars, *parts), shard_sums(tars)) if world.is_main else None
    found: tuple[dict[str, Any], dict[str, str]] = gather_objects(mine, world)[0]
    return found


def shard_sums(tars: Sequence[str]) -> dict[str, str]:
    """Return the checksums of the shards that are ours, by path."""
    for folder in {tar.rpartition("/")[0] for tar in tars}:
        refuse_half(folder)
    with ThreadPoolExecutor(_HASH_THREADS) as pool:
        found = zip(tars, pool.map(shard_sum, tars), strict=True)
        return {tar: one for tar, one in found if one is not None}


def _identity(
    tars: Sequence[str],
    shape: ModelConfig,
    config: TrainConfig,
    extras: TrainExtras,
    start: Start,
) -> dict[str, Any]:
    """Return what a run is made of: what `config.json` holds."""
    return {
        "schema_version": artifacts.SCHEMA_VERSION,
        "model": asdict(shape),
        "train": config.decisive(),
        **start.identity,
        "loader": _loader_identity(extras),
        **shard_identities(tars),
        "balanced": _balanced_digest(extras.datacard),
    }


def shard_identities(tars: Sequence[str]) -> dict[str, Any]:
    """Return what shards a run is made of."""
    with ThreadPoolExecutor(_HASH_THREADS) as pool:  # hashing leaves the interpreter's lock
        found = pool.map(_shard_identity, tars)
        hashed = [(tar.rsplit("/", 1)[-1], sha) for tar, sha in zip(tars, found, strict=True)]
    # The folder may move; names that are there twice stand for shards in their order.
    hashes = dict(hashed) if len(dict(hashed)) == len(hashed) else {"in_order": hashed}
    return {"shards": artifacts.digest(hashes), "num_shards": len(tars)}


def _loader_identity(extras: TrainExtras) -> dict[str, Any]:
    """Return what decides which pairs are loaded and how their pixels come out."""
    from curate.training.data.images import describe_decoder, resolve_decoder

    online = read_online(extras.online)
    joined = caption_identity(extras.captions)
    return {
        "decoder": describe_decoder(resolve_decoder(extras.decoder)),
        "unit": extras.unit,
        "online": online.digest() if online else None,
        **({"captions": joined} if joined else {}),
    }


def _texts(run: TrainRun, values: dict[str, Any]) -> TextMix | None:
    """Return what draws the texts of pairs; None where they have their alt-texts alone.

    Raises:
        InputError: no caption is of a pair of the shards.
        UsageError: a share is missing, out of range, or of a source that there is not.
    """
    from curate.pipelines.caption_tables.check import require_joined
    from curate.training.data.shard_cache import ShardCache, default_folder

    options, extras = run.extras.captions, run.extras
    if not options.is_any:
        return None
    quiet = run.quiet
    index = joined_captions(options, values["loader"]["captions"]["tables"] or "", quiet=quiet)
    if index is not None and run.world.is_main and not run.files.step_checkpoints():
        cache = ShardCache(folder=extras.shard_cache or default_folder(),
                           max_bytes=int(extras.shard_cache_gb * 1e9))  # fmt: skip
        if not options.json_keys:
            require_joined(index, options.tables, run.tars, cache.open)
    return options.mix(run.config.seed, index)


def _check_folder(files: RunFiles, values: dict[str, Any], *, overwrite: bool) -> None:
    """Refuse a folder that is none of a run, or of a run that was made of something else."""
    refuse_foreign(files.folder, "config.json")
    if storage.exists(files.config) and _has_progress(files) and not overwrite:
        remedy = (
            f"Give another --name; with --init {files.folder} that run begins with this one's "
            "weights. Or replace it with --overwrite."
        )
        found = artifacts.read_json(files.config)
        artifacts.require_same(files.folder, found, values, remedy=remedy)


def _has_progress(files: RunFiles) -> bool:
    """Tell whether a run has anything to lose: weights."""
    return bool(files.step_checkpoints()) or storage.exists(files.final)


def _prepare(files: RunFiles, values: dict[str, Any], *, anew: bool) -> None:
    """Make the folder of the run: empty, or as an earlier start left it."""
    is_other = anew and storage.exists(files.config) and artifacts.read_json(files.config) != values
    if is_other or not _has_progress(files):
        files.clear()
    if not storage.exists(files.config):
        artifacts.write_json(files.config, values)
    storage.remove_leftovers(files.checkpoints)


def _shard_identity(tar: str) -> str:
    """Return a shard's hash, from the file that `balance` wrote beside it if there is one.

    A remote shard without such a file is not read for this: its size and time stand for it.
    """
    if not storage.exists(tar):
        return "missing"
    sidecar = tar.removesuffix(".tar") + ".json"
    if storage.exists(sidecar):
        found = artifacts.read_json_of_anyone(sidecar)
        if isinstance(found, dict) and isinstance(found.get("sha256"), str):
            return str(found["sha256"])
    if storage.is_local(tar):
        return storage.file_sha256(tar)
    return "{} bytes of {}".format(*storage.size_and_time(tar))


def _balanced_digest(datacard: str | None) -> str | None:
    """Return the digest of what the pairs were balanced by, whatever their card shows."""
    if datacard is None or not storage.exists(datacard):
        return None
    found = artifacts.read_json_of_anyone(datacard)
    digest = found.get("balanced") if isinstance(found, dict) else None
    return digest if isinstance(digest, str) else None


def check_run_name(name: str) -> str:
    """Return a run's name if it can be a folder's.

    Raises:
        UsageError: it cannot.
    """
    if not name or "/" in name or name.startswith("."):
        raise UsageError(f"--name is {name!r}; expected a folder name without / or a leading point")
    return name
