"""`other`: the union of the languages that no label of the language identification leads to.

Which these are depends on the model's labels, so `other` says for which it was built, and matching
with another model says what does not fit.
"""

from curate.errors import UsageError
from curate.files import storage
from curate.metadata.build import BuiltMetadata
from curate.metadata.entries import union_entries
from curate.metadata.languages import (
    DEFAULT_LABELS,
    LABEL_SETS,
    OTHER,
    LabelSet,
    labels_of,
    unreached_languages,
)
from curate.pipelines.build_metadata.task import NORMALIZATIONS, language_path, write_language
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import index_path
from curate.pipelines.views.progress import log

__all__ = ["check_label_set", "write_other"]


def check_label_set(name: str | None) -> LabelSet | None:
    """Return the name of a set of labels as one.

    Raises:
        UsageError: it is none.
    """
    if name is not None and name not in LABEL_SETS:
        raise UsageError(f"--lid-labels is {name!r}; expected one of {', '.join(LABEL_SETS)}")
    return name


def write_other(output: str, label_set: LabelSet | None, *, overwrite: bool, quiet: bool) -> None:
    """Write `other` of the languages of a metadata folder, or remove it if there is none for it.

    It follows from the languages' files, so it is made anew whenever it is not what they give.

    Args:
        output: the folder `metadata/`.
        label_set: of the LID model; None for that of the `other` that is there, else lid.176's.
        overwrite: whether to write it also if it would be the same.
        quiet: no message.
    """
    path = language_path(output, OTHER)
    before = artifacts.read_stamp(path)["made_from"] if storage.exists(path) else {}
    labels = label_set or before.get("lid_labels", DEFAULT_LABELS)
    members = [
        lang
        for lang in unreached_languages(labels_of(labels))
        if storage.exists(language_path(output, lang))
    ]
    hashes = {lang: artifacts.read_stamp(language_path(output, lang))["sha256"] for lang in members}
    made_from = {"lang": OTHER, "lid_labels": labels, "union_of": hashes}
    if before == made_from and not overwrite:
        return
    if before and before.get("lid_labels") != labels:
        was = before.get("lid_labels", "no set that is named")
        log(f"other: made anew for the labels of {labels}; it was for {was}", quiet=quiet)
    if not members:
        for old in (path, *(index_path(output, OTHER, n) for n in NORMALIZATIONS)):
            storage.remove(old)
        return
    table = union_entries([artifacts.read_table(language_path(output, lang)) for lang in members])
    report = {"lid_labels": labels, "union_of": members}
    write_language(output, OTHER, BuiltMetadata(table, report), made_from)
