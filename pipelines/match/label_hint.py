"""Whether a LID model's labels are those that the language `other` was built for."""

from collections.abc import Collection

from curate.curation.lid.model import read_fasttext_model
from curate.files import storage
from curate.files.remedies import suggest
from curate.metadata.languages import (
    DEFAULT_LABELS,
    LABEL_SETS,
    OTHER,
    LabelSet,
    labels_of,
    unreached_languages,
)
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import MetadataStore
from curate.pipelines.views.progress import log

__all__ = ["hint_at_labels"]

_NUM_SHOWN = 8


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
    built_for = made_from.get("lid_labels", DEFAULT_LABELS)
    labels = labels_of(DEFAULT_LABELS) if lid_model is None else _labels(lid_model)
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
        " To make `other` anew, and nothing else: "
        + suggest("build-metadata", "--lang", "all", "--lid-labels", fitting[0])
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
