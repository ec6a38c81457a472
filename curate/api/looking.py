"""`curate.browse`: a workspace in, a page that shows it to who sits at this machine out."""

from curate.api.calls.command import command
from curate.api.calls.options import Folder, listed, path_of, place_of
from curate.api.results import BrowseResult

__all__ = ["browse"]


@command
def browse(
    path: Folder = None,
    *,
    port: int = 0,
    filter: str | list[str] | None = None,
    image_root: str | list[str] | None = None,
    matched: Folder = None,
    balanced: Folder = None,
    metadata: Folder = None,
    workspace: Folder = None,
    dry_run: bool = False,
    quiet: bool = False,
) -> BrowseResult:
    """Look at entries, pairs and images on a local page, and at what another t would keep.

    The page is served to this machine alone, at an address with a token, and changes nothing. An
    index is made once, beside the workspace. From Python the page is there until `close`, or until
    the end of a `with` block.

    Example: curate browse

    Args:
        path: workspace, matched or balanced folder, tars, Parquet or a run; default: the workspace.
        port: to listen at; 0: any that is free.
        filter: those that the set was made with, again: a plan's filters are not loaded because it
            names them. Not needed for lengths and for installed ones without argument.

    Returns:
        The page's address, and what it is of; with dry_run, what would be opened.

    Raises:
        InputError: there is nothing that can be browsed.
        ArtifactError: matching is not complete, or something is damaged.
        CurateError: the port is in use.
    """
    from curate.pipelines.browse import browse_place

    found, server = browse_place(
        path_of(path),
        place_of(workspace).root,
        matched=path_of(matched),
        balanced=path_of(balanced),
        metadata=path_of(metadata),
        image_roots=listed(image_root),
        filters=listed(filter),
        port=port,
        dry_run=dry_run,
        quiet=quiet,
    )
    return BrowseResult(found, None, server)
