"""`other`: the union of the languages that no label of the language identification leads to.

Which these are depends on the model's labels, so `other` says for which it was built, and matching
with another model says what does not fit.
"""

from collections.abc import Collection

from curate.curation.lid.model import read_fasttext_model
from curate.errors import UsageError
from curate.files import storage
from curate.metadata.build import BuiltMetadata
from curate.metadata.entries import union_entries
from curate.metadata.languages import LABEL_SETS, OTHER, LabelSet, labels_of, unreached_languages
from curate.pipelines.build_metadata.task import NORMALIZATIONS, language_path, write_language
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import MetadataStore, index_path
from curate.pipelines.views.progress import log

__all__ = ["check_label_set", "hint_at_labels", "write_other"]

DEFAULT: LabelSet = "lid176"
_NUM_SHOWN = 8


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
    labels = label_set or before.get("lid_labels", DEFAULT)
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


def hint_at_labels(store: MetadataStore, lid_model: str | None, *, quiet: bool) -> None:
    """Say so if a LID model's labels are not those that `other` was built for.

    Nothing is lost by matching all the same: a text goes to the language of its label. But where
    `other` lacks a language that no label leads to, its entries are not looked for anywhere.

    Args:
        store: of the metadata.
        lid_model: fastText model; None for lid.176.ftz.
        quiet: no message.

    Raises:
        InputError: the model cannot be read.
    """
    if quiet or OTHER not in store.hashes:
        return
    made_from = artifacts.read_stamp(store.path(OTHER))["made_from"]
    built_for = made_from.get("lid_labels", DEFAULT)
    labels = labels_of(DEFAULT) if lid_model is None else _labels(lid_model)
    hint = _hint(labels, built_for, made_from["union_of"], store.hashes.keys() - {OTHER})
    if hint is not None:
        log(hint)


def _labels(lid_model: str) -> tuple[str, ...]:
    return read_fasttext_model(storage.map_file(lid_model), lid_model).labels


def _hint(
    labels: Collection[str], built_for: LabelSet, members: Collection[str], langs: Collection[str]
) -> str | None:
    """Return what to say of a model's labels; None if they are of the set, or make no difference.

    Args:
        labels: of the model.
        built_for: the set that `other` was built for.
        members: languages of `other`.
        langs: all languages that have metadata.
    """
    if set(labels) <= set(labels_of(built_for)):
        return None
    unreached = set(unreached_languages(labels))
    lacking = sorted((unreached & set(langs)) - set(members))
    needless = sorted(set(members) - unreached)
    if not lacking and not needless:
        return None
    parts = [
        f"it {what} ({_shown(found)})"
        for what, found in (
            (f"lacks {len(lacking)} that no label leads to", lacking),
            (f"holds {len(needless)} that have labels of their own", needless),
        )
        if found
    ]
    fitting = [
        name for name in LABEL_SETS if set(unreached_languages(labels_of(name))) == unreached
    ]
    advice = (
        f" To make `other` anew, and nothing else: curate build-metadata --lid-labels {fitting[0]}"
        if fitting
        else ""
    )
    return (
        f"hint: `other` was built for the labels of {built_for}, and the LID model has others: "
        f"{'; '.join(parts)}.{advice}"
    )


def _shown(langs: list[str]) -> str:
    more = ", …" if len(langs) > _NUM_SHOWN else ""
    return ", ".join(langs[:_NUM_SHOWN]) + more
