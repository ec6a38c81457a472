"""`curate train`: shards → `runs/<name>/`: tokenizer, checkpoints, log and model card.

`config.json` is written first and says what the run is made of; a rerun with anything else is
refused, a rerun with the same goes on from the newest checkpoint.
"""

import io
import json
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

from metadata.errors import UsageError
from pipelines import artifacts, storage
from pipelines.progress import log, progress
from pipelines.workspace import refuse_foreign
from training import require_packages
from training.config import ModelConfig, TrainConfig, load_model_config

__all__ = ["check_run_name", "train_model"]

CONFIG = "config.json"
FINAL = "final.pt"
MAX_TOKENIZER_CAPTIONS = 1_000_000


@dataclass(frozen=True, slots=True)
class _Run:
    """The files of a run."""

    folder: str

    @property
    def config(self) -> str:
        return storage.join(self.folder, CONFIG)

    @property
    def tokenizer(self) -> str:
        return storage.join(self.folder, "tokenizer.json")

    @property
    def log(self) -> str:
        return storage.join(self.folder, "log.jsonl")

    @property
    def card(self) -> str:
        return storage.join(self.folder, "modelcard.json")

    @property
    def checkpoints(self) -> str:
        return storage.join(self.folder, "checkpoints")

    @property
    def final(self) -> str:
        return storage.join(self.checkpoints, FINAL)

    def step_checkpoints(self) -> list[str]:
        found = storage.list_files(self.checkpoints, ".pt")
        return [path for path in found if "/step-" in path]


def train_model(
    *,
    shards: str,
    output: str,
    model: str,
    config: TrainConfig,
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
        datacard: of the shards; its hash goes into the model card.
        device: such as ``cpu`` or ``cuda``; None for a GPU if there is one.
        overwrite: begin anew.
        dry_run: check and count only.
        quiet: no progress.

    Returns:
        The model card, as in `modelcard.json`.

    Raises:
        InputError: there are no shards, or too few pairs.
        ArtifactError: the folder holds another run.
        MissingExtraError: torch is not installed.
    """
    require_packages("curate train")
    from training.data import list_shards

    shape = load_model_config(model)
    tars = list_shards(shards)
    identity = {tar.rsplit("/", 1)[-1]: _shard_sha256(tar) for tar in tars}
    values: dict[str, Any] = {
        "schema_version": artifacts.SCHEMA_VERSION,
        "model": asdict(shape),
        "train": asdict(config),
        "shards": artifacts.digest(identity),
        "num_shards": len(tars),
        "datacard_sha256": _hash_if_there(datacard),
    }
    run = _Run(output)
    refuse_foreign(output, CONFIG)
    if storage.exists(run.config) and not overwrite:
        artifacts.require_same(output, storage.read_json(run.config), values)
    if dry_run:
        return {"shards": len(tars), "steps": config.steps, "checkpoints": run.step_checkpoints()}
    if overwrite:
        _clear(run)
    if storage.exists(run.final) and storage.exists(run.card):
        card: dict[str, Any] = storage.read_json(run.card)
        return card
    storage.write_json(run.config, values)
    storage.remove_leftovers(run.checkpoints)
    return _train(run, tars, shape, config, device or _default_device(), values, quiet)


def _clear(run: _Run) -> None:
    names = (CONFIG, "tokenizer.json", "log.jsonl", "modelcard.json", "modelcard.md",
             "checkpoints", "eval")  # fmt: skip
    for name in names:
        storage.remove(storage.join(run.folder, name))


def _shard_sha256(tar: str) -> str:
    """Return a shard's hash, from the file that `balance` wrote beside it if there is one."""
    sidecar = tar.removesuffix(".tar") + ".json"
    if storage.exists(sidecar):
        found: str = storage.read_json(sidecar)["sha256"]
        return found
    return storage.file_sha256(tar)


def _hash_if_there(path: str | None) -> str | None:
    return storage.file_sha256(path) if path and storage.exists(path) else None


def _default_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _tokenizer(run: _Run, tars: list[str], shape: ModelConfig) -> Any:
    """Read the run's tokenizer, or learn it from the captions."""
    from training.data import captions
    from training.tokenizer import Tokenizer, learn_tokenizer

    if not storage.exists(run.tokenizer):
        texts = islice(captions(tars), MAX_TOKENIZER_CAPTIONS)
        learned = learn_tokenizer(texts, shape.vocab_size, shape.context_length)
        with storage.publish(run.tokenizer) as file:
            file.write(learned.to_json().encode())
    with storage.open_read(run.tokenizer) as file:
        return Tokenizer.from_json(file.read().decode(), shape.context_length)


def _train(
    run: _Run,
    tars: list[str],
    shape: ModelConfig,
    config: TrainConfig,
    device: str,
    values: dict[str, Any],
    quiet: bool,
) -> dict[str, Any]:
    from training.data import Position, batches, prefetch
    from training.trainer import Trainer

    tokenizer = _tokenizer(run, tars, shape)
    shape = replace(shape, vocab_size=max(shape.vocab_size, tokenizer.vocab_size))
    trainer = Trainer(shape, config, tokenizer.eos_id, device)
    position, skipped, lines = Position(), Counter[str](), list[dict[str, Any]]()
    if found := run.step_checkpoints():
        position, skipped, lines = _resume(trainer, found[-1])
        log(f"going on from {found[-1]}", quiet=quiet)
    stream = batches(
        tars,
        tokenizer,
        image_size=shape.image_size,
        batch_size=config.batch_size,
        seed=config.seed,
        shuffle_pairs=config.shuffle_pairs,
        start=position,
    )
    ahead = prefetch(stream)
    todo = config.steps - trainer.step_number
    losses = [line["loss"] for line in lines]
    start = time.perf_counter()
    try:
        for batch in progress(
            islice(ahead, todo), total=todo, label="train", unit="step", quiet=quiet
        ):
            metrics = trainer.step(batch)
            position = batch.end
            skipped.update(batch.skipped)
            if metrics.step % config.log_every == 0 or metrics.step == config.steps:
                rate = (metrics.step - config.steps + todo) * config.batch_size
                seconds = time.perf_counter() - start
                lines.append({**metrics._asdict(), "epoch": position.epoch,
                              "images_per_s": round(rate / seconds, 1)})  # fmt: skip
                losses.append(metrics.loss)
            if config.checkpoint_every and metrics.step % config.checkpoint_every == 0:
                _checkpoint(run, trainer, position, skipped, lines, config.keep_checkpoints)
    finally:
        ahead.close()
    _write_log(run, lines)
    _save(run.final, {"model": trainer.model.state_dict()})
    card = {
        **values,
        "model": asdict(shape),
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "pairs_seen": config.steps * config.batch_size,
        "epochs": position.epoch + 1,
        "final_loss": round(losses[-1], 6),
        "skipped": dict(sorted(skipped.items())),
    }
    storage.write_json(run.card, card)
    with storage.publish(storage.join(run.folder, "modelcard.md")) as file:
        file.write(_card_markdown(card).encode())
    return card


def _save(path: str, state: dict[str, Any]) -> None:
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    with storage.publish(path) as file:
        file.write(buffer.getvalue())


def _write_log(run: _Run, lines: list[dict[str, Any]]) -> None:
    with storage.publish(run.log) as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines).encode())


def _checkpoint(
    run: _Run,
    trainer: Any,
    position: Any,
    skipped: Counter[str],
    lines: list[dict[str, Any]],
    keep: int,
) -> None:
    path = storage.join(run.checkpoints, f"step-{trainer.step_number:09d}.pt")
    state = {**trainer.state(), "epoch": position.epoch, "drawn": position.drawn,
             "skipped": dict(skipped), "log": json.dumps(lines)}  # fmt: skip
    _save(path, state)
    _write_log(run, lines)
    for old in run.step_checkpoints()[:-keep]:
        storage.remove(old)


def _resume(trainer: Any, path: str) -> tuple[Any, Counter[str], list[dict[str, Any]]]:
    from training.data import Position
    from training.run import read_checkpoint

    with storage.open_read(path) as file:
        state = read_checkpoint(file.read(), path)
    trainer.load_state(state)
    position = Position(state["epoch"], state["drawn"])
    return position, Counter(state["skipped"]), json.loads(state["log"])


def _card_markdown(card: dict[str, Any]) -> str:
    shape = ", ".join(f"{k} {v}" for k, v in card["model"].items())
    how = ", ".join(f"{k} {v}" for k, v in card["train"].items())
    return (
        f"# Model card\n\nA CLIP model of {card['parameters']:,} parameters, trained on "
        f"{card['pairs_seen']:,} pairs ({card['epochs']} epochs); last loss "
        f"{card['final_loss']:.3f}.\n\n- shape: {shape}\n- training: {how}\n"
        f"- shards: {card['num_shards']}, sha256 `{card['shards']}`\n"
        f"- data card: sha256 `{card['datacard_sha256']}`\n"
        f"- samples skipped: {card['skipped'] or 'none'}\n"
    )


def check_run_name(name: str) -> str:
    """Return a run's name if it can be a folder's.

    Raises:
        UsageError: it cannot.
    """
    if not name or "/" in name or name.startswith("."):
        raise UsageError(f"--name is {name!r}; expected a folder name without / or a leading point")
    return name
