"""`curate.push`: a balanced set in, a dataset repository of the Hugging Face Hub out."""

from curate.api.calls.command import command
from curate.api.calls.options import Folder, path_of, place_of
from curate.api.results import PushResult

__all__ = ["push"]


@command
def push(
    repository: str,
    *,
    images: bool = False,
    license: str | None = None,
    name: str | None = None,
    public: bool = False,
    with_metadata: bool = True,
    balanced: Folder = None,
    metadata: Folder = None,
    workspace: Folder = None,
    dry_run: bool = False,
    quiet: bool = False,
) -> PushResult:
    """Publish the balanced set, its card and its metadata as a dataset repository of the Hub.

    The repository is private unless it is asked for otherwise. Given again, the command goes on,
    and removes there what is no longer of the set. The token is that
    of HF_TOKEN or `hf auth login`.

    Example: curate push me/my-set --license cc-by-4.0 --dry-run

    Args:
        repository: owner and name, such as me/my-set.
        images: send the shards with their images, instead of URLs and texts alone.
        license: of the set, by the Hub's name for it, such as cc-by-4.0; default: the card's.
        name: of the set; default: the card's.
        public: everybody may read it.
        with_metadata: send the entries too.

    Returns:
        The repository's address, what was sent, and what was there; with dry_run, what would go.

    Raises:
        ArtifactError: balancing is not complete, or something changed meanwhile or is damaged.
        UsageError: there is no license, or no repository of that name can be.
        CurateError: the Hub refuses the token, or cannot be reached.
    """
    from curate.pipelines.push import push_set

    place = place_of(workspace)
    folder = path_of(balanced) or place.balanced
    found = push_set(
        repository,
        balanced=folder,
        metadata=(path_of(metadata) or place.metadata) if with_metadata else None,
        images=images,
        name=name,
        license=license,
        public=public,
        dry_run=dry_run,
        quiet=quiet,
    )
    return PushResult(found)
