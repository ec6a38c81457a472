"""Examples of a card in, small JPEGs of their images out, as many as a page may hold."""

from collections.abc import Mapping, Sequence

from curate.errors import CurateError, InputError, MissingExtraError
from curate.files import storage
from curate.pipelines.card.tally import Chosen
from curate.pipelines.matched.image_sources import ImageSources, image_sources
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.shards.downloaded import DownloadedImages
from curate.pipelines.shards.images import prepare_image, require_pillow
from curate.pipelines.shards.options import Resize
from curate.pipelines.shards.sources import ImageReader
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import log

__all__ = ["Thumbnails", "thumbnails_of"]

_PIXELS = 112  # of the longer side
_QUALITY = 70
_MOST_BYTES = 12_000  # of one
_RESIZE = Resize(mode="keep_ratio_largest", size=_PIXELS, only_if_bigger=True, quality=_QUALITY)

Thumbnails = Mapping[tuple[str, str, int], bytes]  # by language, decision and place
Key = tuple[str, str, int]


def thumbnails_of(
    plan: MatchedPlan,
    chosen: Mapping[tuple[str, str], Sequence[Chosen]],
    balanced: str,
    most_bytes: int,
    sources: ImageSources | None,
    roots: Sequence[str],
    *,
    quiet: bool,
) -> Thumbnails:
    """Return images of examples: of a part those with the matches, else downloaded ones.

    Those of all languages come by turns, the first example of each before any second one.

    Args:
        plan: of `matched/`.
        chosen: pairs that are shown.
        balanced: folder, beside whose pairs `download` writes shards.
        most_bytes: of all of them together; 0 for none.
        sources: where images may be, as `balance` found it.
        roots: folders that images may be read from besides those of the inputs.
        quiet: no messages.
    """
    if not most_bytes or not any(chosen.values()):
        return {}
    order = sorted(((place, lang, decision, one) for (lang, decision), found in chosen.items()
                    for place, one in enumerate(found)), key=lambda x: x[:3])  # fmt: skip
    try:
        require_pillow("Showing images of examples")
        found = _Images(plan, balanced, sources, roots)
    except (MissingExtraError, InputError) as error:
        log(f"the card shows no images: {error}", quiet=quiet)
        return {}
    thumbnails: dict[Key, bytes] = {}
    room, unread = most_bytes, list[str]()
    for place, lang, decision, one in order if found.are_there else ():
        try:
            content = found.read(one)
            shown = prepare_image(content, _RESIZE, "jpg").content if content else None
        except (CurateError, OSError) as error:
            unread.append(str(error))
            continue
        if shown is None or len(shown) > _MOST_BYTES:
            continue
        if len(shown) > room:
            break
        room -= len(shown)
        thumbnails[lang, decision, place] = shown
    found.close()
    if unread:
        log(f"{len(unread):,} images of examples cannot be shown: {unread[0]}", quiet=quiet)
    return thumbnails


class _Images:
    """Where the images of pairs are: with the matches, or in downloaded shards."""

    def __init__(
        self, plan: MatchedPlan, balanced: str, sources: ImageSources | None, roots: Sequence[str]
    ) -> None:
        self._plan = plan
        self._columns: dict[int, list[str]] = {}
        self._downloaded = DownloadedImages(storage.join(balanced, "shards"))
        # Images of all matched pairs are not shown: `card` alone would not know where they are.
        is_fetched = sources is not None and sources.downloaded is not None
        with_image = 0 if is_fetched else (plan.summary() or {}).get("with_image", 0)
        self._reader = None
        if with_image:
            self._reader = ImageReader(
                sources or image_sources(plan, roots), plan.parameters["columns"].get("image")
            )
        self.are_there = bool(with_image) or self._downloaded.are_there

    def read(self, one: Chosen) -> bytes | None:
        """Return the encoded image of a pair, None if it has none here."""
        with artifacts.open_parquet(self._plan.pairs_path(one.part)) as file:
            row = one.row
            for group in range(file.num_row_groups):
                num = file.metadata.row_group(group).num_rows
                if row < num:
                    break
                row -= num
            wanted = None if self._reader else ["pair_id"]
            table = file.read_row_group(group, columns=wanted).slice(row, 1)
        batch = table.combine_chunks().to_batches()[0]
        if self._reader is not None:
            return self._reader.read(batch, 0, one.part, one.row)
        return self._downloaded.read(str(batch.column("pair_id")[0].as_py()))

    def close(self) -> None:
        """Close what is open."""
        if self._reader is not None:
            self._reader.close()
