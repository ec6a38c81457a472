"""`curate.embed`, `score`, `sample`, `cluster`: pairs to vectors, and what is made of these."""

from typing import Unpack

from curate.api.calls.command import command
from curate.api.calls.options import (
    ClusterOptions,
    Folder,
    Number,
    downloaded_of,
    listed,
    num_workers,
    number,
    path_of,
    place_of,
    running,
    words_of,
)
from curate.api.results import ClusterResult, EmbedResult, SampleResult, ScoreResult
from curate.errors import UsageError

__all__ = ["cluster", "embed", "sample", "score"]


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
    crops: int = 0,
    crop_seed: int = 0,
    shards: Folder = None,
    image_root: str | list[str] | None = None,
    device: str | None = None,
    matched: Folder = None,
    downloaded: Folder = None,
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
        crops: random cuts of each image that get vectors too, for a teacher of `train`.
        crop_seed: decides the cuts.
        shards: folder or pattern of tars instead of the matched pairs.
        workers: threads, or jobs on a cluster; default: all cores. The result is the same.

    Returns:
        pairs, images (looked at, each once), image_vectors, text_vectors, and pairs without
        them by reason; with dry_run, how many parts there are to do.

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
    options = EmbedOptions(
        run=find_run(named, place.root) if (named := path_of(run)) is not None else None,
        model=model, tokenizer=tokenizer, text_encoder=text_encoder, kinds=words_of(kinds),
        precision=precision, batch_size=batch_size, decoder=decoder, device=device, crops=crops,
        crop_seed=crop_seed,
    )  # fmt: skip
    with running(cluster):
        found = embed_pairs(
            output=folder,
            options=options,
            matched=None if shards is not None else path_of(matched) or place.matched,
            shards=path_of(shards),
            image_roots=listed(image_root),
            downloaded=None if shards is not None else downloaded_of(downloaded, matched, place),
            workers=num_workers(workers),
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        )
    return EmbedResult(found, folder)


@command
def score(
    run: Folder = None,
    *,
    prompts: str | list[str] | None = None,
    head: str | list[str] | None = None,
    filter: str | list[str] | None = None,
    report_only: bool = False,
    undo: bool = False,
    model: str | None = None,
    tokenizer: str | None = None,
    device: str | None = None,
    embeddings: Folder = None,
    matched: Folder = None,
    metadata: Folder = None,
    workspace: Folder = None,
    output: Folder = None,
    workers: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    **cluster: Unpack[ClusterOptions],
) -> ScoreResult:
    """Score pairs by their vectors; those that miss a condition count no more.

    Scores are width, height, pixels, aspect (longer side through shorter one); clip_score, the
    cosine of image and text, if one model made both vectors; and those that are asked for.

    Example: curate score --filter 'clip_score>=q0.3' --filter 'aspect<=3'

    Args:
        run: model of the vectors, for prompts: name of a run, a folder or a file of weights.
        prompts: NAME=FILE, a prompt a line: the image's largest cosine with one; several, for more.
        head: NAME=FILE, a linear head on the images' vectors, LAION's too; several, for more.
        filter: a score, >=, >, <= or <, and a threshold, or q and a share for the quantile in each
            language; several, for all of them.
        report_only: say what would fall; have everything count.
        undo: have pairs that missed a condition count again.
        model: of a file: name or JSON file.
        tokenizer: of a file: file or Hub name.
        embeddings: embeddings folder instead of the workspace's.

    Returns:
        scores: pairs and mean of each; read = kept + fallen by reason; with dry_run, the plan.

    Raises:
        ArtifactError: nothing is embedded, or with another model than the prompts'.
        InputError: a file of prompts or a head cannot be used.
        UsageError: a condition or an option cannot be meant.
    """
    from curate.pipelines.export import find_run
    from curate.pipelines.score import ScoreOptions, score_pairs, undo_scores
    from curate.pipelines.score.options import parse_condition

    place = place_of(workspace)
    of = path_of(matched) or place.matched
    folder = path_of(output) or place.folder("scores")
    if undo:
        undone = undo_scores(
            matched=of, metadata=path_of(metadata), workers=num_workers(workers), quiet=quiet
        )
        return ScoreResult(undone, of)
    if report_only and not filter:
        raise UsageError("score: --report-only goes with --filter, whose pairs it counts")
    with running(cluster):
        found = score_pairs(
            embeddings=path_of(embeddings) or place.folder("embeddings"),
            output=folder,
            options=ScoreOptions(
                prompts=ScoreOptions.named_files(listed(prompts), "--prompts"),
                heads=ScoreOptions.named_files(listed(head), "--head"),
                run=find_run(named, place.root) if (named := path_of(run)) is not None else None,
                model=model,
                tokenizer=tokenizer,
                device=device,
                conditions=tuple(map(parse_condition, listed(filter))),
            ),  # fmt: skip
            matched=None if report_only else of,
            metadata=path_of(metadata),
            workers=num_workers(workers),
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        )
    return ScoreResult(found, folder)


@command
def sample(
    *,
    target_pairs: Number | None = None,
    clusters: str | None = None,
    kind: str = "image",
    resample: int = 0,
    seed: int = 0,
    report_only: bool = False,
    undo: bool = False,
    embeddings: Folder = None,
    matched: Folder = None,
    metadata: Folder = None,
    workspace: Folder = None,
    output: Folder = None,
    workers: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    **cluster: Unpack[ClusterOptions],
) -> SampleResult:
    """Sample pairs evenly over what their images show; the others count no more.

    Vectors are clustered, the clusters' centres again, and so on; the target is shared out evenly
    among the clusters at the top, inside of each among its own, down to the leaves, whose pairs are
    drawn by hash. What a smaller target keeps, a larger one keeps.

    Example: curate sample --target-pairs 1m

    Args:
        target_pairs: pairs to keep, such as 1m: their expected number.
        clusters: of each level from the leaves up, such as 4096,256,16; default: one for 128
            vectors, and 16 times fewer in each further level.
        kind: of the vectors: image or text.
        resample: how often a level is fitted again to the vectors nearest to its centres.
        seed: of the draws, and of k-means.
        report_only: write the tables; have everything count.
        undo: have pairs that were not sampled count again.
        embeddings: embeddings folder instead of the workspace's.

    Returns:
        read = kept + fallen by reason + left_out, which did not count before; clusters of each
        level; with dry_run, the plan.

    Raises:
        ArtifactError: nothing is embedded, or other pairs than those that are matched now.
        UsageError: an option is out of range, or there are fewer vectors than clusters.
        MissingExtraError: the extra `dedup` is not installed.

    Source: Vo et al. 2024, arXiv:2405.15613.
    """
    from curate.pipelines.sample import SampleOptions, sample_pairs, undo_sample
    from curate.pipelines.sample.options import parse_clusters

    place = place_of(workspace)
    of = path_of(matched) or place.matched
    folder = path_of(output) or place.folder("sampled")
    if undo:
        undone = undo_sample(
            matched=of, metadata=path_of(metadata), workers=num_workers(workers), quiet=quiet
        )
        return SampleResult(undone, of)
    if target_pairs is None:
        raise UsageError("--target-pairs says how many pairs are to be kept, about; give it")
    with running(cluster):
        found = sample_pairs(
            embeddings=path_of(embeddings) or place.folder("embeddings"),
            output=folder,
            options=SampleOptions(
                target_pairs=number(target_pairs, "--target-pairs"),
                clusters=parse_clusters(clusters),
                kind=kind,
                resample=resample,
                seed=seed,
            ),
            matched=of,
            enter=not report_only,
            metadata=path_of(metadata),
            workers=num_workers(workers),
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        )
    return SampleResult(found, folder)


@command
def cluster(
    *,
    fine: Number = 1024,
    coarse: int = 4,
    sample: Number | None = None,
    steps: int = 50,
    seed: int = 0,
    centres: Folder = None,
    embeddings: Folder = None,
    matched: Folder = None,
    shards: Folder = None,
    workspace: Folder = None,
    output: Folder = None,
    workers: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    **cluster: Unpack[ClusterOptions],
) -> ClusterResult:
    """Cluster pairs by the vectors of their captions, for experts that are trained on a cluster.

    A sample gives centres, these clusters; a pair is in that of its nearest centre.

    Example: curate cluster --fine 1024 --coarse 4

    Args:
        fine: centres, fitted on a sample.
        coarse: clusters of them.
        sample: pairs that centres are fitted on; default: 64 for each.
        steps: of the fit, at most.
        centres: folder of clusters whose centres are taken, instead of fitting others.
        embeddings: embeddings folder instead of the workspace's, with vectors of texts.
        shards: the tars that were embedded, if they were, for entries and captions.

    Returns:
        pairs = those of the clusters + without_text; of each cluster its size, languages, nearest
        captions, and the entries that it has more of than its share; with dry_run, the plan.

    Raises:
        ArtifactError: no texts are embedded, or other pairs than those at hand; or centres are of
            another model's vectors.
        UsageError: an option is out of range, or there are fewer pairs than centres.
    """
    from curate.pipelines.cluster import ClusterPairsOptions, cluster_pairs

    place = place_of(workspace)
    folder = path_of(output) or place.folder("clusters")
    with running(cluster):
        found = cluster_pairs(
            embeddings=path_of(embeddings) or place.folder("embeddings"),
            output=folder,
            options=ClusterPairsOptions(
                fine=number(fine, "--fine"),
                coarse=coarse,
                sample=None if sample is None else number(sample, "--sample"),
                steps=steps,
                seed=seed,
            ),
            matched=None if shards is not None else path_of(matched) or place.matched,
            shards=path_of(shards),
            centres=path_of(centres),
            workers=num_workers(workers),
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        )
    return ClusterResult(found, folder)
