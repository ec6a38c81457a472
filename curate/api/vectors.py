"""`curate.embed` and what stands on its vectors."""

from typing import Unpack

from curate.api.command import command
from curate.api.options import (
    ClusterOptions,
    Folder,
    listed,
    num_workers,
    path_of,
    place_of,
    running,
)
from curate.api.results import EmbedResult

__all__ = ["embed"]


@command
def embed(
    run: Folder = None,
    *,
    model: str | None = None,
    tokenizer: str | None = None,
    text_encoder: str | None = None,
    kinds: str | None = None,
    precision: str = "auto",
    batch_size: int = 64,
    decoder: str = "auto",
    shards: Folder = None,
    image_root: str | list[str] | None = None,
    device: str | None = None,
    matched: Folder = None,
    workspace: Folder = None,
    output: Folder = None,
    workers: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    **cluster: Unpack[ClusterOptions],
) -> EmbedResult:
    """Make vectors of images and texts, and fingerprints of images, a row a pair.

    Without a model, fingerprints alone: checksums, perceptual hashes and sizes, which dedup needs.

    Example: curate embed clip --shards data/balanced/shards

    Args:
        run: name of a run, a folder of a run, an export, OpenCLIP or Hugging Face, or a file of
            weights.
        model: of a file: name or JSON file.
        tokenizer: of a file: file or Hub name.
        text_encoder: for the texts instead of the model's text tower: a folder, or
            model2vec:NAME or sentence-transformers:NAME.
        kinds: image, text or image,text; default: all that can be.
        precision: auto, float32, bfloat16, float16; auto: bfloat16 on a GPU.
        batch_size: images or texts that a model sees at once.
        decoder: auto, simplejpeg, pillow.
        shards: folder or pattern of tars instead of the matched pairs.
        workers: threads, or jobs on a cluster; default: all cores. The result is the same.

    Returns:
        pairs, images, image_vectors, text_vectors, and pairs without them by reason; with
        dry_run, how many parts there are to do.

    Raises:
        ArtifactError: nothing is matched, or the folder holds vectors of another model.
        InputError: there are no shards, or a model cannot be loaded.
        UsageError: an option is out of range.
        MissingExtraError: the extra `train` is not installed.
    """
    from curate.pipelines.embed import EmbedOptions, embed_pairs
    from curate.pipelines.export import find_run

    place = place_of(workspace)
    folder = path_of(output) or place.folder("embeddings")
    named = path_of(run)
    with running(cluster):
        found = embed_pairs(
            output=folder,
            options=EmbedOptions(
                run=None if named is None else find_run(named, place.root),
                model=model,
                tokenizer=tokenizer,
                text_encoder=text_encoder,
                kinds=None if kinds is None else tuple(kinds.replace(" ", "").split(",")),
                precision=precision,
                batch_size=batch_size,
                decoder=decoder,
                device=device,
            ),
            matched=None if shards is not None else path_of(matched) or place.matched,
            shards=path_of(shards),
            image_roots=listed(image_root),
            workers=num_workers(workers),
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        )
    return EmbedResult(found, folder)
