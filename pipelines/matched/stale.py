"""Whether matches are of the metadata that are there now."""

from collections.abc import Mapping

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.remedies import suggest
from curate.pipelines.matched.notes import noted_metadata
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store.metadata_store import MANIFEST, MetadataStore
from curate.pipelines.views.progress import log

__all__ = ["new_metadata", "require_metadata", "tell_of_new_metadata"]

_SHOWN = 5


def new_metadata(plan: MatchedPlan, hashes: Mapping[str, str]) -> str | None:
    """Say which languages' entries are others than a folder was matched with; None if none is.

    Args:
        plan: of the matched folder.
        hashes: of the entries of each language now.
    """
    lang, matched = plan.parameters["lang"], plan.parameters["metadata"]
    now = {code: sha256 for code, sha256 in hashes.items() if lang in (None, code)}
    changed = [code for code in sorted({*now, *matched}) if now.get(code) != matched.get(code)]
    if not changed:
        return None
    more = len(changed) - _SHOWN
    few = ", ".join(changed[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return (
        f"the metadata of {few} has changed since: run `{suggest('match')}` as before, with "
        "--overwrite"
    )


def require_metadata(plan: MatchedPlan, hashes: Mapping[str, str]) -> None:
    """Refuse matches that were made with other entries.

    Raises:
        ArtifactError: they were.
    """
    if (why := new_metadata(plan, hashes)) is not None:
        raise ArtifactError(f"{plan.folder} holds matches, and {why}; or choose another --output.")


def tell_of_new_metadata(plan: MatchedPlan, *, quiet: bool) -> None:
    """Say so if matches that are read were made with other entries than there are now."""
    metadata = noted_metadata(plan.folder)
    if metadata is None or not storage.exists(storage.join(metadata, MANIFEST)):
        return
    if (why := new_metadata(plan, MetadataStore.open(metadata).hashes)) is not None:
        log(f"{plan.folder} is read as it was matched, but {why}", quiet=quiet)
