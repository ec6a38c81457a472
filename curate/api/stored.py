"""What is stored, looked at and taken out: `explain`, `diff`, `status`, `retract`."""

import os
from collections.abc import Sequence

from curate.api.calls.command import command
from curate.api.calls.options import (
    Folder,
    Number,
    downloaded_of,
    listed,
    num_workers,
    number,
    path_of,
    place_of,
)
from curate.api.results import DiffResult, Explanation, RetractResult, Status

__all__ = ["diff", "explain", "retract", "status"]


@command
def retract(
    listing: str | os.PathLike[str],
    *,
    ignore_missing: bool = False,
    keep_balanced: bool = False,
    filter: str | list[str] | None = None,
    image_root: str | list[str] | None = None,
    check: bool = False,
    matched: Folder = None,
    metadata: Folder = None,
    balanced: str | Sequence[str] | None = None,
    downloaded: Folder = None,
    workspace: Folder = None,
    workers: int | None = None,
    dry_run: bool = False,
    quiet: bool = False,
) -> RetractResult:
    """Take pairs out of matches, counts and the balanced set, for good.

    It holds everywhere below the workspace, and in the sets that were balanced elsewhere from these
    matches, or it fails and says where not: make those sets anew by naming them. Trained models and
    images that were downloaded elsewhere stay as they are.

    Example: curate retract takedowns.txt

    Args:
        listing: file of pair ids or URLs, one a line.
        ignore_missing: keep out also what is not there now.
        keep_balanced: leave the balanced set as it is.
        filter: those that the sets were made with, again: a plan's filters are not loaded because
            it names them. Not needed for lengths and for installed ones without argument.
        check: change nothing; only look whether anything below the workspace holds them.
        balanced: balanced folder instead of the workspace's; several, for more.

    Returns:
        What became of those asked for, and how many pairs are left.

    Raises:
        InputError: the list cannot be read, or names what is not there.
        ArtifactError: matching is not complete, or something holds them still.
    """
    from curate.pipelines.matched.notes import noted_metadata
    from curate.pipelines.retract import retract_pairs

    place = place_of(workspace)
    folder = path_of(matched) or place.matched
    sets = [balanced] if isinstance(balanced, str) else list(balanced or [place.balanced])
    found = retract_pairs(
        os.fspath(listing),
        matched=folder,
        metadata=path_of(metadata) or noted_metadata(folder) or place.metadata,
        balanced=[] if keep_balanced else [str(path_of(one)) for one in sets],
        workspace=place.root,
        ignore_missing=ignore_missing,
        filters=listed(filter),
        image_roots=listed(image_root),
        downloaded=downloaded_of(downloaded, matched, place),
        check=check,
        workers=num_workers(workers),
        dry_run=dry_run,
        quiet=quiet,
    )
    return RetractResult(found, folder)


@command
def explain(
    text: str | None = None,
    *,
    pair_id: str | None = None,
    url: str | None = None,
    lang: str | None = None,
    t: Number | None = None,
    lid: str | None = None,
    lid_model: str | None = None,
    second_opinion: str | None = None,
    metadata: Folder = None,
    matched: Folder = None,
    balanced: Folder = None,
    workspace: Folder = None,
) -> Explanation:
    """Say what a text matches and whether its pair is kept, in both normalizations.

    Example: curate explain "a red dog in the park"

    Args:
        text: an alt-text.
        pair_id: of a stored pair, instead of a text.
        url: of the text's image: tells the pair's id and draw.
        lang: take the text as this language.
        t: pairs per entry; default: as balanced.
        lid: steps or published; default: as matched.
        second_opinion: as of match; default: as matched.

    Returns:
        Language and how it was found; matches with counts and probabilities, draw and decision,
        per normalization.

    Raises:
        UsageError: neither or both of text and pair_id, or an unknown language.
        InputError: there is no such pair.
    """
    threshold = None if t is None else number(t, "--t")
    from curate.pipelines.explain import explain_text
    from curate.pipelines.matched.notes import noted_metadata

    place = place_of(workspace)
    folder = path_of(matched) or place.matched
    found = explain_text(
        text,
        pair_id=pair_id,
        url=url,
        metadata=path_of(metadata) or noted_metadata(folder) or place.metadata,
        matched=folder,
        balanced=path_of(balanced) or place.balanced,
        lang=lang,
        lid_model=lid_model,
        lid=lid,
        second_opinion=second_opinion,
        t=threshold,
    )
    return Explanation(found)


@command
def diff(
    a: Folder, b: Folder, *, t: Number | None = None, examples: int = 10, quiet: bool = False
) -> DiffResult:
    """Compare two versions of metadata, of matches or of a balanced set.

    Two normalizations are two matched folders: match the same files with each.

    Example: curate diff data/balanced data-may/balanced

    Args:
        a: metadata, matched or balanced folder.
        b: another one: entries with entries, pairs with pairs.
        t: parts head from tail; default: as balanced.
        examples: entries and pairs to name.

    Returns:
        What only one has, changed entries, KL divergence, and the entries whose share changes most.

    Raises:
        UsageError: the two are not of a kind.
        ArtifactError: one of them is not complete.
    """
    threshold = None if t is None else number(t, "--t")
    from curate.pipelines.diff import compare_folders

    found = compare_folders(
        str(path_of(a)), str(path_of(b)), t=threshold, num_examples=examples, quiet=quiet
    )
    return DiffResult(found)


@command
def status(
    *, verify: bool = False, metrics_file: str | None = None, workspace: Folder = None
) -> Status:
    """Tell what is done, what is stale and why, and how running commands get on.

    Example: curate status --watch

    Args:
        verify: compare everything with its checksums, and fail if something is damaged.
        metrics_file: write figures for Prometheus' textfile collector.

    Returns:
        Per stage its state, why it is stale, and the figures of a command at work.

    Raises:
        ArtifactError: something is damaged; the message names it, and what makes it anew.
    """
    from curate.pipelines.executor.faults import told_when_passing
    from curate.pipelines.status import StatusReader, verify_workspace, write_metrics

    root = place_of(workspace).root
    with told_when_passing():
        # First, for a single damaged file would keep the status from being read, and it alone told.
        verified = verify_workspace(root, quiet=False) if verify else None
        found = StatusReader(root).read()
        if verified is not None:
            found["verified"] = verified
    if metrics_file is not None:
        write_metrics(metrics_file, {s["path"]: s["run"] for s in found["stages"].values()})
    return Status(found)
