"""What a captioner begins with: its parts, the record of them, and the folder they are put into."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from curate.errors import InputError, UsageError
from curate.files import storage
from curate.files.sums import SummedFile, add_sums, file_sum, read_sums
from curate.pipelines.caption_tables.join import CaptionOptions, caption_identity
from curate.pipelines.store import artifacts
from curate.pipelines.train import (
    RUN_ENTRIES,
    RunFiles,
    ShardFacts,
    has_progress,
    lanes_identity,
    shard_identities,
)
from curate.pipelines.train_captioner.opened import own_identity
from curate.training.captioner.config import CaptionerConfig
from curate.training.loop.config import TrainConfig

__all__ = [
    "ENTRIES", "CaptionerParts", "begin_folder", "identity_of", "shape_of",
]  # fmt: skip

ENTRIES = (*RUN_ENTRIES, "image_model", "language_model")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionerParts:
    """What a captioner begins with.

    Attributes:
        image_model: run, export or name of a CLIP model, as for `curate.load`; or with
            `image_shape` a file of weights.
        image_shape: name or JSON file of its shape.
        image_tokenizer: for weights that come without it.
        language_model: name on the Hub, or a folder.
        init: a captioner to begin with, instead of the others.
    """

    image_model: str | None = None
    image_shape: str | None = None
    image_tokenizer: str | None = None
    language_model: str | None = None
    init: str | None = None

    def __post_init__(self) -> None:
        """Check that there is one beginning.

        Raises:
            UsageError: there is none, or two.
        """
        others = (self.image_model, self.language_model)
        if self.init is None and None in others:
            raise UsageError(
                "a captioner begins with --image-model (a run, an export or a name of CLIP) and "
                "--language-model (such as facebook/opt-1.3b), or with --init (a captioner)"
            )
        if self.init is not None and others != (None, None):
            raise UsageError("--init brings its own models; leave --image-model and the other out")


def shape_of(parts: CaptionerParts, shape: CaptionerConfig) -> CaptionerConfig:
    """Return the shape of a captioner: that of the one it begins with, if there is one.

    Raises:
        InputError: what it is to begin with is no captioner.
    """
    if parts.init is None:
        return shape
    if own_identity(parts.init) is None:
        raise InputError(f"--init {parts.init} is no captioner of `curate train-captioner`")
    known = artifacts.read_json(RunFiles(parts.init).config)["captioner"]
    return replace(CaptionerConfig(**known), prompt_dropout=shape.prompt_dropout)


def identity_of(
    facts: Sequence[ShardFacts], lanes: int, parts: CaptionerParts, phase: str,
    shape: CaptionerConfig, config: TrainConfig, captions: CaptionOptions,
) -> dict[str, Any]:  # fmt: skip
    """Return what a run is made of: what `config.json` holds."""
    from curate.training.captioner.folder import language_model_identity
    from curate.training.data.images import describe_decoder, resolve_decoder
    from curate.training.export.load import weights_of

    joined = caption_identity(captions)
    image, words = parts.image_model, parts.language_model
    return {
        "schema_version": artifacts.SCHEMA_VERSION,
        "captioner": shape.as_dict(),
        "phase": phase,
        "train": config.decisive(),
        "init": own_identity(parts.init) if parts.init else None,
        "image_model": storage.file_sha256(weights_of(image, parts.image_shape)) if image else None,
        "language_model": language_model_identity(words) if words else None,
        "loader": {
            "decoder": describe_decoder(resolve_decoder("auto")),
            "captions": joined and joined["tables"],
            **lanes_identity(lanes, facts),
        },
        **shard_identities(facts),
    }


def begin_folder(
    files: RunFiles, values: dict[str, Any], facts: Sequence[ShardFacts], parts: CaptionerParts
) -> None:
    """Make the folder of the run: its record, its image model, its language model's parts."""
    from curate.training.captioner.folder import (
        IMAGE_MODEL,
        LANGUAGE_MODEL,
        open_language_model,
        open_tokenizer,
        save_language_model,
    )
    from curate.training.export.files import export_files
    from curate.training.export.load import load_model

    if has_progress(files):
        storage.remove_leftovers(files.checkpoints)
        return
    if not storage.is_local(files.folder):
        raise UsageError("a captioner is trained in a local folder; give another --output")
    for name in ENTRIES:
        storage.remove(files.path(name))
    source = storage.join(parts.init, IMAGE_MODEL) if parts.init else parts.image_model
    clip, words = load_model(str(source), model=parts.image_shape, tokenizer=parts.image_tokenizer)
    files.write_shards(facts)
    artifacts.write_json(files.config, values)
    found = {}
    for name, content in export_files(clip, words, "safetensors").items():
        path = files.path(IMAGE_MODEL, name)
        with storage.publish(path) as file:
            summed = SummedFile(file)
            summed.write(content())
        found[f"{IMAGE_MODEL}/{name}"] = summed.sum
    place = files.path(LANGUAGE_MODEL)
    name = storage.join(parts.init, LANGUAGE_MODEL) if parts.init else str(parts.language_model)
    if parts.init:
        from transformers import AutoConfig

        tokenizer, config = open_tokenizer(name), AutoConfig.from_pretrained(name)
        config.save_pretrained(place)
        tokenizer.save_pretrained(place)
    else:
        save_language_model(place, open_language_model(name), open_tokenizer(name))
    for path in storage.list_files(place, ""):
        found[files.relative(path)] = file_sum(path)
    add_sums(files.folder, found, keep=read_sums(files.folder))
