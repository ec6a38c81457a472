"""A path in, what there is to browse out: a workspace, a balanced set, tars, Parquet, a run."""

import os
from dataclasses import dataclass

from curate.errors import InputError
from curate.files import storage
from curate.files.addresses import without_secrets
from curate.files.patterns import expand
from curate.pipelines.matched.notes import noted_metadata
from curate.pipelines.store.workspace import CARD, Workspace

__all__ = ["Place", "find_place"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is browsed.

    Attributes:
        kind: workspace, balanced, tars, parquet or run.
        path: as it was given.
        matched: folder; None without one. So for the next two.
        balanced: folder.
        metadata: folder.
        files: tars or Parquet files that are no stage's output.
        run: folder of a run.
    """

    kind: str
    path: str
    matched: str | None = None
    balanced: str | None = None
    metadata: str | None = None
    files: tuple[str, ...] = ()
    run: str | None = None

    @property
    def name(self) -> str:
        """What it is called: the last pieces of its path, without secrets."""
        shown = without_secrets(self.path).rstrip("/")
        shown = os.path.abspath(shown) if storage.is_local(shown) else shown
        return "/".join(shown.split("/")[-2:])


def find_place(
    path: str | None,
    workspace: Workspace,
    *,
    matched: str | None = None,
    balanced: str | None = None,
    metadata: str | None = None,
) -> Place:
    """Return what there is at a path.

    Args:
        path: of a workspace, a stage's output, tars, Parquet or a run; None for the workspace.
        workspace: that is in force.
        matched: folder instead of the workspace's. So for the next two.
        balanced: folder.
        metadata: folder.

    Raises:
        InputError: there is nothing that can be browsed.
    """
    if path is None:
        return _workspace(workspace, matched, balanced, metadata)
    if not storage.exists(path):
        raise InputError(
            f"{path}: there is no such file or folder. Expected a workspace, matched/, balanced/, "
            "a folder of tars, Parquet, or a run."
        )

    def has(*names: str) -> bool:
        return any(storage.exists(storage.join(path, name)) for name in names)

    parent = path.rstrip("/").rpartition("/")[0] or "."
    if has("matched/plan.json", "balanced/plan.json"):
        return _workspace(Workspace(path), matched, balanced, metadata)
    if has("plan.json") and has("counts", "rejected"):
        beside = Workspace(parent)
        return _workspace(beside, path, balanced or beside.balanced, metadata)
    if has("plan.json", CARD) and has("probabilities"):
        return Place(kind="balanced", path=path, balanced=path, metadata=metadata)
    if has("log.jsonl", "modelcard.json"):
        return Place(kind="run", path=path, run=path)
    return _files(path)


def _workspace(
    place: Workspace, matched: str | None, balanced: str | None, metadata: str | None
) -> Place:
    matched, balanced = matched or place.matched, balanced or place.balanced
    has_matched, has_balanced = (
        storage.exists(storage.join(folder, "plan.json")) for folder in (matched, balanced)
    )
    if not has_matched and not has_balanced:
        raise InputError(
            f"{place.root}: nothing is matched or balanced here. Expected a workspace, or name "
            "what is to be seen: a folder of tars, Parquet, or a run."
        )
    metadata = metadata or noted_metadata(matched) or place.metadata
    known = metadata if storage.exists(storage.join(metadata, "manifest.json")) else None
    return Place(
        kind="workspace" if has_matched else "balanced", path=place.root, metadata=known,
        matched=matched if has_matched else None, balanced=balanced if has_balanced else None,
    )  # fmt: skip


def _files(path: str) -> Place:
    names = expand([path])
    for kind, suffix in (("tars", ".tar"), ("parquet", ".parquet")):
        found = tuple(name for name in names if name.endswith(suffix))
        if found:
            return Place(kind=kind, path=path, files=found)
    raise InputError(
        f"{path}: there is nothing to browse. Expected a workspace, matched/, balanced/, a folder "
        "of tars, Parquet, or a run."
    )
