"""`curate push`: a balanced set as a dataset repository of the Hugging Face Hub."""

from collections import Counter
from typing import Any

from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.files.remedies import suggest
from curate.pipelines.push.hub import Repository
from curate.pipelines.push.plan import HubFile, files_of_set
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import CARD

__all__ = ["push_set"]


def push_set(
    repository: str,
    *,
    balanced: str,
    metadata: str | None,
    images: bool = False,
    name: str | None = None,
    license: str | None = None,
    public: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Send a balanced set with its card and its metadata, or go on with it.

    Args:
        repository: owner and name.
        balanced: folder that `balance` wrote.
        metadata: folder whose entries go along; None for none.
        images: send shards with images, instead of URLs and texts alone.
        name: of the set; None for the card's.
        license: of the set, by the Hub's name for it; None for the card's.
        public: the set may be read by everybody.
        dry_run: send nothing, and ask the Hub for nothing but what is there.
        quiet: no progress.

    Returns:
        address, private, license, pairs; files and bytes in all and by folder; what was sent, was
        there, was removed, and in how many commits.

    Raises:
        ArtifactError: balancing is not complete, or something changed or is damaged.
        UsageError: there is no license, or the repository's name is none.
        CurateError: the Hub refuses, or cannot be reached.
    """
    path = storage.join(balanced, CARD)
    if not storage.exists(path):
        raise ArtifactError(
            f"{balanced}: balancing has not come to its end; there is no {CARD}. "
            f"Run `{suggest('balance')}` first."
        )
    card = artifacts.read_json(path)
    titles = {"name": name or card.get("name"), "license": license or card.get("license")}
    if titles["license"] is None:
        raise UsageError(
            "under which license is the set to stand there? Give --license by the Hub's name for "
            "it, such as cc-by-4.0, odc-by or other"
        )
    for option, value in titles.items():
        if value is not None and not (value.isprintable() and 0 < len(value.strip()) <= 200):
            raise UsageError(f"--{option} is {value!r}; expected a line of at most 200 characters")
    shown = {**card, **{k: v for k, v in titles.items() if v is not None}}
    files = files_of_set(balanced, shown, images=images, metadata=metadata)
    hub = Repository(repository)
    found = {
        "repository": repository, "address": hub.address, "private": not public,
        "license": titles["license"], "pairs": card["total"]["kept"], "images": images,
        "files": len(files), "bytes": sum(file.size_bytes for file in files), **_by_folder(files),
    }  # fmt: skip
    if dry_run:
        return {**found, "dry_run": True, "names": [file.name for file in files],
                "removes": hub.stale(files)}  # fmt: skip
    hub.open(private=not public)
    done = hub.push(files, f"{card['total']['kept']:,} pairs, by curate push", quiet=quiet)
    if artifacts.read_json(path) != card:
        raise ArtifactError(
            f"{balanced} was changed while it was sent. Give the same command again: it sends what "
            "is another now, and removes what is gone."
        )
    return {**found, "sent": done.sent, "sent_bytes": done.sent_bytes, "there": done.there,
            "removed": len(done.removed), "commits": done.commits}  # fmt: skip


def _by_folder(files: list[HubFile]) -> dict[str, Any]:
    kinds = Counter(f.name.partition("/")[0] + "/" if "/" in f.name else f.name for f in files)
    return {"by_folder": dict(kinds)}
