"""`curate.balance`, `curate.yield_grid` and `curate.card`: matched pairs in, a balanced set out."""

from collections.abc import Sequence
from typing import Unpack

from curate.api.calls.command import command
from curate.api.calls.options import (
    ClusterOptions,
    Folder,
    Number,
    Size,
    downloaded_of,
    listed,
    num_workers,
    number,
    path_of,
    place_of,
    running,
    shard_options,
)
from curate.api.results import BalanceResult, CardResult, MatchResult, YieldResult

__all__ = ["balance", "card", "yield_grid"]


@command
def balance(
    matched: Folder = None,
    *,
    t: Number | None = None,
    target_pairs: Number | None = None,
    exact: bool = False,
    reference_lang: str | None = None,
    seed: int = 0,
    format: str | None = None,
    pairs_per_shard: int = 10_000,
    shard_size: Size | None = None,
    shuffle_shards: int | str = "all",
    image_format: str = "jpg",
    resize: str = "no",
    image_size: int = 256,
    quality: int = 95,
    resize_only_if_bigger: bool = False,
    uids: str | None = None,
    filter: str | list[str] | None = None,
    image_root: str | list[str] | None = None,
    downloaded: Folder = None,
    workspace: Folder = None,
    output: Folder = None,
    workers: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    **cluster: Unpack[ClusterOptions],
) -> BalanceResult:
    """Sample the matched pairs so that an entry's own draw gives it at most about t of them.

    A pair is kept with probability 1 - prod(1 - min(1, t / count)) over its entries: an entry gets
    about t pairs by its own draw, and more where other entries keep its pairs too.

    Example: curate balance --t 20000

    Args:
        t: pairs per entry, about, such as 20k.
        target_pairs: pairs to keep, such as 5m, instead of t: by the smallest t that keeps as many,
            which may keep more.
        exact: keep exactly target_pairs of them: those whose draws are the smallest share of their
            probability.
        format: parquet, shards, auto: shards if there are images; default: auto, and parquet for
            what was matched in memory.
        shard_size: such as 300MB, about, instead of pairs.
        uids: also write the kept ids to this .npy, for DataComp.

    Returns:
        The data card; with dry_run, t per language.

    Raises:
        ArtifactError: matching is not complete, or the folder holds something else, or downloaded
            images that would go.
        UsageError: t or the target cannot be meant.

    Source: Xu et al. 2023, arXiv:2309.16671, Algorithm 1.
    """
    wanted = None if t is None else number(t, "--t")
    target = None if target_pairs is None else number(target_pairs, "--target-pairs")
    from curate.pipelines.balance import BalanceOptions, balance_pairs

    place = place_of(workspace)
    in_memory = isinstance(matched, MatchResult) and bool(matched._keep)
    found = path_of(matched) or place.matched
    folder = path_of(output) or place.balanced
    keep: tuple[object, ...] = (found, matched)
    if in_memory and output is None:
        from curate.api.calls.memory import temporary_folder

        own = temporary_folder()  # another one for each t, so that results can be compared
        folder, keep = f"{own.name}/balanced", (found, matched, own)
    options = BalanceOptions(
        t=wanted,
        target_pairs=target,
        exact=exact,
        reference_lang=reference_lang,
        seed=seed,
        output_format=format or ("parquet" if in_memory else "auto"),
        filters=tuple(listed(filter)),
        image_roots=tuple(listed(image_root)),
        pairs_per_shard=pairs_per_shard,
        shards=shard_options(
            shard_size,
            shuffle_shards,
            resize,
            image_size,
            quality,
            resize_only_if_bigger,
            image_format,
        ),  # fmt: skip
    )
    with running(cluster):
        card = balance_pairs(
            matched=found,
            output=folder,
            options=options,
            downloaded=downloaded_of(downloaded, matched, place),
            uids=uids,
            workers=num_workers(workers),
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        )
    return BalanceResult(card, folder, keep)


@command
def yield_grid(
    matched: Folder = None,
    *,
    grid: str | Sequence[int] | None = None,
    pairs: Number | None = None,
    tail_share: float | None = None,
    reference_lang: str | None = None,
    seed: int = 0,
    plot: str | None = None,
    filter: str | list[str] | None = None,
    workspace: Folder = None,
    workers: int | None = None,
    quiet: bool = False,
    **cluster: Unpack[ClusterOptions],
) -> YieldResult:
    """Tell how many pairs each t would keep, from stored matches.

    Example: curate yield --grid 5k,20k,170k

    Args:
        grid: thresholds, such as 5k,20k,170k.
        pairs: find the t that keeps so many.
        tail_share: find each language's t of this share.
        plot: draw the curve into this file, .svg or .png.

    Returns:
        A row for each t: kept, expected and slots, overall and per language.

    Raises:
        UsageError: more than one of grid, pairs and tail_share, or out of range.
        ThresholdError: more pairs than there are.
        ArtifactError: matching is not complete.
    """
    target = None if pairs is None else number(pairs, "--pairs")
    from curate.pipelines.yields import measure_yields

    if grid is not None and not isinstance(grid, str):
        grid = ",".join(str(t) for t in grid)
    with running(cluster):
        found = measure_yields(
            matched=path_of(matched) or place_of(workspace).matched,
            grid=grid,
            pairs=target,
            tail_share=tail_share,
            reference_lang=reference_lang,
            seed=seed,
            plot=plot,
            filters=listed(filter),
            workers=num_workers(workers),
            quiet=quiet,
        )
    return YieldResult(found)


@command
def card(
    balanced: Folder = None,
    *,
    classes: str | None = None,
    classes_lang: str = "en",
    examples: int | None = None,
    name: str | None = None,
    license: str | None = None,
    date: str | None = None,
    by: str | list[str] | None = None,
    thumbnails: Size = "500KB",
    entries: bool = False,
    image_root: str | list[str] | None = None,
    filter: str | list[str] | None = None,
    matched: Folder = None,
    workspace: Folder = None,
    output: Folder = None,
    workers: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> CardResult:
    """Make the data card of a balanced set: datacard.json, .md and .html, one self-contained page.

    Example: curate card --classes imagenet.txt

    Args:
        classes: show the coverage of a list: a class per line, names between tabs.
        classes_lang: language of their names.
        examples: texts to show per language and decision; 0: none. Default: 2 to 8.
        name: of the set, as the Hub shows it.
        license: of the set, by the Hub's name for it, such as cc-by-4.0.
        date: of the set, as YYYY-MM-DD.
        by: count the pairs by the values of this column, such as source; several, for each.
        thumbnails: size of all images of examples on the page together; 0: none.
        entries: also write all entries with their counts, as entries.parquet and entries.csv.
        filter: those that the set was made with, again: a plan's filters are not loaded because it
            names them. Not needed for lengths and for installed ones without argument.

    Returns:
        The data card; with dry_run, what would be read and written.

    Raises:
        ArtifactError: matching or balancing is not complete, or of something else.
        UsageError: the number of examples, the language of the classes, or a column that pairs are
            to be counted by, cannot be meant.
        InputError: the file of classes cannot be used.
    """
    from curate.files.sizes import parse_size
    from curate.pipelines.card import make_card

    is_none = str(thumbnails) in ("0", "none")
    size = 0 if is_none else parse_size(str(thumbnails), "--thumbnails")
    place = place_of(workspace)
    folder = path_of(balanced) or place.balanced
    if matched is None and isinstance(balanced, BalanceResult):
        matched = balanced.matched_folder
    found = make_card(
        matched=path_of(matched) or place.matched,
        balanced=folder,
        output=path_of(output),
        classes=classes,
        classes_lang=classes_lang,
        num_examples=examples,
        name=name,
        license=license,
        date=date,
        by=tuple(one for value in listed(by) for one in value.split(",")),
        thumbnail_bytes=size,
        image_roots=listed(image_root),
        entries=entries,
        filters=listed(filter),
        workers=num_workers(workers),
        overwrite=overwrite,
        dry_run=dry_run,
        quiet=quiet,
    )
    return CardResult(found, path_of(output) or folder)
