"""How much room the sources and the counts of a run will take, held against what is free."""

from collections.abc import Sequence

from curate.files import storage
from curate.files.disk_space import require_space
from curate.pipelines.build_metadata.count_dumps import needs_words, uncounted_dumps
from curate.pipelines.build_metadata.fetch_sources import Sources
from curate.pipelines.build_metadata.find_sources import total_size
from curate.pipelines.build_metadata.pageview_sample import PageviewSample, uncounted
from curate.pipelines.build_metadata.plan import LanguagePlan
from curate.pipelines.build_metadata.prefetch import AHEAD, in_words

__all__ = ["check_space"]

# Counted page views are about half as large as daily files, which name other projects and hours.
_COUNTED_SHARE = 0.5
# Counted words and pairs take about as much as the compressed dump: 0.6 to 0.8 of it for the parts,
# as measured on dumps of 1 to 2 MB, and less of larger ones; and 0.4 for all of them merged.
_COUNTS_SHARE = 1.0
_COMPRESSION = 4.0  # of XML by bzip2


def check_space(
    plans: Sequence[LanguagePlan],
    sample: PageviewSample,
    sources: Sources,
    folders: tuple[str, str, str],
    workers: int,
) -> int:
    """Refuse to begin what there is no room for.

    Args:
        plans: languages to be built.
        sample: page views.
        sources: where they come from.
        folders: of dumps, of page views, and of what is counted.
        workers: processes, each of which may hold files.

    Returns:
        Bytes to be fetched.

    Raises:
        DiskSpaceError: there is less than is needed.
    """
    scratch = folders[2]
    dumps = [size for plan in plans for size in _to_fetch(plan, scratch)]
    views = [file.size_bytes for file in uncounted(sample, scratch)]
    # A language's counts go when it is built; page views' counts stay.
    counts = _largest([_counts_bytes(plan) for plan in plans], workers)
    counts += int(_COUNTED_SHARE * sum(views))
    at_once = 2 * workers + AHEAD
    least = _largest(dumps, at_once), _largest(views, at_once)
    kept = (sum(dumps), sum(views)) if sources.options.keep else least
    advice = (
        f"With --drop-sources, {in_words(max(least) + counts)} are enough."
        if sources.options.keep and sum(kept) > max(least)
        else ""
    )
    require_space(zip(folders, (*kept, counts), strict=True), advice)
    return sum(dumps) + sum(views)


def _to_fetch(plan: LanguagePlan, scratch: str) -> list[int]:
    """Return the bytes of what is dropped at once: a dump, or all of a language."""
    files = uncounted_dumps(plan, scratch)
    if storage.is_local(scratch):
        return [file.size_bytes for file in files]
    return [total_size(files)]


def _counts_bytes(plan: LanguagePlan) -> int:
    """Return about how much the counts of a language take."""
    if not needs_words(plan):
        return 0
    sizes = (
        file.whole_bytes / (_COMPRESSION if file.name.endswith(".xml") else 1.0)
        for file in plan.files
    )
    return int(_COUNTS_SHARE * sum(sizes))


def _largest(sizes: Sequence[int], num: int) -> int:
    return sum(sorted(sizes, reverse=True)[:num])
