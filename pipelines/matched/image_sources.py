"""A plan of matches in, the files out that images of their pairs may be read from.

Matched pairs say in which file an image is. That is believed only of the input that they come from:
of a tar, the tar itself; of a table, files in its folder. And of those only if this user chose the
inputs, or names their folders again: the matches may be a copy of somebody else's. Where images
were downloaded, all are in the tars of one folder, and what the pairs say is not asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from curate.errors import InputError
from curate.pipelines.inputs.image_roots import ImageRoots, folder_of
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store import artifacts

__all__ = ["DownloadedShards", "ImageSources", "image_sources"]


@dataclass(frozen=True, slots=True)
class DownloadedShards:
    """What `download --from matched` wrote; picklable.

    Attributes:
        folder: of the tars.
        digest: of what decides what is in them.
        shards: how many of them each part of the matches has; a part's stand behind each other.
        images: that were had.
        size_bytes: of all tars.
    """

    folder: str
    digest: str
    shards: tuple[int, ...]
    images: int = 0
    size_bytes: int = 0


@dataclass(frozen=True)
class ImageSources:
    """Where the images of matched pairs may be; picklable.

    Attributes:
        parts: of each part, the name of its input and its kind.
        roots: folders and files that the user named, with what gives access.
        are_own: this user chose the inputs too.
        downloaded: images of all pairs; None: they are where the pairs say.
    """

    parts: tuple[tuple[str, str], ...]
    roots: tuple[str, ...]
    are_own: bool
    downloaded: DownloadedShards | None = None

    @cached_property
    def _named(self) -> ImageRoots:
        return ImageRoots(self.roots)

    @cached_property
    def _folders(self) -> dict[str, ImageRoots]:
        return {}

    def address(self, part: int, name: str) -> str | None:
        """Return where a file is opened that a pair of a part names; None if it may not be."""
        path, kind = self.parts[part]
        if kind == "tar" and name != path:
            return None
        if (found := self._named.address(name)) is not None or not self.are_own:
            return found
        if kind == "tar":
            return name
        if path not in self._folders:
            self._folders[path] = ImageRoots([folder_of(path)])
        return self._folders[path].address(name)


def image_sources(
    plan: MatchedPlan, roots: Sequence[str], downloaded: DownloadedShards | None = None
) -> ImageSources:
    """Return where the images of matched pairs may be.

    Args:
        plan: of the matches.
        roots: that the user named.
        downloaded: images of all pairs, if they were.

    Raises:
        InputError: the matches point into inputs that this user neither chose nor names.
    """
    are_own = plan.is_sealed()
    chosen = (*roots, *plan.parameters.get("image_roots", ())) if are_own else tuple(roots)
    parts = tuple((part.path, part.kind) for part in plan.parts)
    found = ImageSources(parts, tuple(chosen), are_own, downloaded)
    if downloaded is not None:
        return found
    first_of = {path: index for index, (path, _) in reversed(list(enumerate(parts)))}
    for path, index in first_of.items() if not are_own else ():
        if found.address(index, path) is None and _points_into_files(plan, index):
            raise InputError(
                f"{plan.folder}: its images are in {path}, which this user did not match: the "
                "matches are a copy, or were made under another account. If you trust them, name "
                f"the folder of the images: --image-root {folder_of(path)}"
            )
    return found


def _points_into_files(plan: MatchedPlan, index: int) -> bool:
    with artifacts.open_parquet(plan.pairs_path(index)) as file:
        return "image_file" in file.schema_arrow.names
