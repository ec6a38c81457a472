"""`curate.match`: pairs in files, or anything that streams Arrow, matched against entries."""

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from curate.api.calls.command import command
from curate.api.calls.names import shards_of
from curate.api.calls.options import (
    ClusterOptions,
    Folder,
    kind_of,
    listed,
    num_workers,
    path_of,
    place_of,
    running,
)
from curate.api.results import MatchResult
from curate.errors import UsageError

__all__ = ["match"]


@command
def match(
    inputs: Any,
    *,
    lang: str | None = None,
    normalization: str = "standard",
    lid: str = "steps",
    lid_model: str | None = None,
    second_opinion: str = "auto",
    no_language: str = "drop",
    prior_column: str | None = None,
    address_prior: bool = False,
    url_column: str | None = None,
    text_column: str | None = None,
    uid_column: str | None = None,
    lang_column: str | None = None,
    image_column: str | None = None,
    repeated_ids: str = "refuse",
    max_bad: float = 0.01,
    engine: str = "index",
    lid_engine: str = "compiled",
    filter: str | list[str] | None = None,
    image_root: str | list[str] | None = None,
    rows_per_part: int | None = None,
    captions: str | list[str] | None = None,
    metadata: Folder | Mapping[str, Iterable[str]] = None,
    workspace: Folder = None,
    output: Folder = None,
    workers: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    **cluster: Unpack[ClusterOptions],
) -> MatchResult:
    """Match alt-texts against the entries of their language, and count.

    A frame or table in memory (pandas, Polars, DuckDB, `datasets.Dataset`, Arrow: whatever streams
    Arrow) is matched in a temporary folder, which lasts as long as the result; `to_arrow` gives the
    pairs back.

    Example: curate match 'dumps/*.parquet'

    Args:
        inputs: Parquet, tar, jsonl, csv, tsv; files, folders, URLs, patterns.
        lang: take every text as this language instead of identifying it.
        normalization: standard or metaclip.
        lid: steps, or published: the model's answer alone.
        second_opinion: where the model is unsure: cld2, heli, a fastText model's file, or none;
            auto: cld2 if pycld2 is installed.
        no_language: drop, other, or the language of texts that are in none.
        prior_column: name of the column of the page's language, asked where models are unsure;
            default: page_lang; "" for none.
        address_prior: ask the country of the URL too where models are unsure.
        uid_column: name of the id column; "" for ids made of URL and text.
        lang_column: name of the language column.
        image_column: name of the column of encoded images.
        repeated_ids: refuse, or keep: where pairs that differ share an id.
        engine: index, or pyahocorasick: the reference; the result is the same.
        lid_engine: compiled, or fasttext: the library; the labels are the same.
        rows_per_part: of a task; default: an eighth of a file, 125,000 to 500,000.
        captions: match the captions of these tables by pair id, and the alt-texts only of pairs
            without one; counts and balancing are then those of the captions. TABLE or NAME=TABLE;
            several, for all.
        metadata: metadata folder instead of the workspace's; in Python also entries by language,
            such as {"en": ["dog", "red dog"]}.

    Returns:
        read, matched, dropped by reason, and the same per language; with dry_run, the plan.

    Raises:
        InputError: an input is missing or lacks a text column.
        BadShareError: too many bad records.
        ArtifactError: the folder holds the matches of something else.
        UsageError: an option is out of range.

    Source: Xu et al. 2023, arXiv:2309.16671, section 3.2.
    """
    from curate.api.calls.memory import (
        check_inputs,
        entries_folder,
        is_stream,
        stored_stream,
        temporary_folder,
    )
    from curate.pipelines.inputs.records import ColumnNames
    from curate.pipelines.lid.options import LidOptions
    from curate.pipelines.match import MatchOptions, match_inputs

    check_inputs(inputs)
    place = place_of(workspace)
    keep: list[object] = []
    if isinstance(metadata, Mapping) and not hasattr(metadata, "folder"):
        keep.append(own := temporary_folder())
        metadata = entries_folder(own, metadata)
    elif isinstance(metadata, list | tuple | set):
        raise UsageError(
            f"metadata is {kind_of(metadata)}; expected entries by language, such as "
            "{'en': ['dog', 'red dog']}, or a folder"
        )
    folder = path_of(output) or place.matched
    if is_stream(inputs):
        keep.append(own := temporary_folder())
        folder = path_of(output) or f"{own.name}/matched"
        inputs = stored_stream(own, inputs)
    with running(cluster):
        found = match_inputs(
            listed(inputs),
            metadata=path_of(metadata) or place.metadata,
            output=folder,
            options=MatchOptions(
                normalization=normalization,
                lang=lang,
                lid_model=lid_model,
                columns=ColumnNames(
                    url=url_column,
                    text=text_column,
                    uid=uid_column,
                    lang=lang_column,
                    image=image_column,
                ),  # fmt: skip
                max_bad=max_bad,
                engine=engine,
                lid_engine=lid_engine,
                lid=LidOptions(
                    kind=lid,
                    second=second_opinion,
                    no_language=no_language,
                    prior_column=prior_column,
                    address_prior=address_prior,
                ),
                filters=tuple(listed(filter)),
                image_roots=tuple(listed(image_root)),
                repeated_ids=repeated_ids,
                rows_per_part=rows_per_part,
                captions=tuple(shards_of(captions)),
            ),
            workers=num_workers(workers),
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        )
    return MatchResult(found, folder, keep)
