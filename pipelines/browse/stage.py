"""`curate browse`: find out what a path names, open it, and serve a page of it to this machine."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from curate.errors import MissingExtraError, UsageError
from curate.files.addresses import without_secrets
from curate.pipelines.browse.places import find_place
from curate.pipelines.browse.session import Session
from curate.pipelines.store.workspace import Workspace
from curate.pipelines.views.progress import bar, log

if TYPE_CHECKING:
    from curate.pipelines.browse.web.server import Server

__all__ = ["browse_place"]


def browse_place(
    path: str | None,
    workspace: str,
    *,
    matched: str | None = None,
    balanced: str | None = None,
    metadata: str | None = None,
    image_roots: Sequence[str] = (),
    filters: Sequence[str] = (),
    port: int = 0,
    dry_run: bool = False,
    quiet: bool = False,
) -> "tuple[dict[str, Any], Server | None]":
    """Open what is to be browsed and begin to serve its page.

    Args:
        path: of a workspace, a stage's output, tars, Parquet or a run; None for the workspace.
        workspace: that is in force.
        matched: folder instead of the workspace's. So for the next two.
        balanced: folder.
        metadata: folder.
        image_roots: folders that images may be read from.
        filters: that the balanced set was made with, named again.
        port: to listen at; 0 for any that is free.
        dry_run: only say what would be opened.
        quiet: no progress.

    Returns:
        What is browsed: address, kind, path, pairs, entries and notes; and the server, None with
        dry_run.

    Raises:
        MissingExtraError: the server's packages are not installed.
        UsageError: the port is none.
        CurateError: there is nothing that can be browsed, or the port is in use.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"--port is {port}; expected 1 to 65535, or 0 for any that is free")
    missing = [n for n in ("starlette", "uvicorn", "PIL") if find_spec(n) is None]
    if missing:
        raise MissingExtraError("The page of `curate browse`", "browse")
    place = find_place(path, Workspace(workspace), matched=matched, balanced=balanced,
                       metadata=metadata)  # fmt: skip
    about: dict[str, Any] = {"kind": place.kind, "path": without_secrets(place.path)}
    if dry_run:
        folders = {n: getattr(place, n) for n in ("matched", "balanced", "metadata", "run")}
        return {**about, **{n: f for n, f in folders.items() if f}, "files": len(place.files)}, None
    from curate.pipelines.browse.web.server import Server

    session = Session(place, image_roots, filters)
    server = Server(session, port)  # its port is had before an index is made for it
    try:
        with _Progress(quiet=quiet) as progress:
            state = session.open(progress.show)
        server.start()
    except BaseException:
        server.close()
        raise
    found = state.about()
    return {
        "address": server.address, **about,
        "pairs": found["sets"][0]["pairs"] if found["sets"] else None,
        "entries": found["entries"], "notes": found["notes"],
    }, server  # fmt: skip


class _Progress:
    """Shows how far an index is made, where one is."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._what = ""

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, what: str, share: float) -> None:
        """Take how much is done."""
        if what != self._what:
            if not self._what:
                log("the index for browsing is made, once for these matches", quiet=self._quiet)
            self.__exit__()
            self._what = what
            self._bar = bar(quiet=self._quiet, total=100, desc=f"index: {what}", unit="%")
        if self._bar is not None:
            self._bar.update(int(100 * share) - self._bar.n)
