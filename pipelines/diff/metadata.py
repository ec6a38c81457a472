"""Two metadata folders: entries added and removed, per language and source."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.files import storage
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import MANIFEST, MetadataStore

__all__ = ["compare_metadata", "flat_differences"]

_SHOWN_DIFFERENCES = 50


def compare_metadata(a: str, b: str, *, num_examples: int) -> dict[str, Any]:
    """Compare the entries of two folders, one language in memory at a time.

    Args:
        a: folder that `build-metadata` wrote.
        b: another one.
        num_examples: entries of each language to name.

    Returns:
        JSON-able: totals and, per language that differs, entries of A and B, added (only in B),
        removed (only in A), those of another source or place, entries by source, and examples;
        languages that only one has, and those that are equal; differences of the manifests.
    """
    stores = MetadataStore.open(a), MetadataStore.open(b)
    langs_a, langs_b = (set(store.hashes) for store in stores)
    both = sorted(langs_a & langs_b)
    equal = [lang for lang in both if stores[0].hashes[lang] == stores[1].hashes[lang]]
    languages = {
        lang: _compare_language(_table(stores[0], lang), _table(stores[1], lang), num_examples)
        for lang in sorted(langs_a | langs_b)
        if lang not in equal
    }
    num_equal = sum(stores[0].num_entries(lang) for lang in equal)
    totals = {key: sum(v[key] for v in languages.values()) for key in _NUMBERS}
    manifests = [artifacts.read_json(storage.join(folder, MANIFEST)) for folder in (a, b)]
    return {
        "entries": {**totals, **{key: totals[key] + num_equal for key in ("a", "b", "both")}},
        "languages_only_a": sorted(langs_a - langs_b),
        "languages_only_b": sorted(langs_b - langs_a),
        "languages_equal": equal,
        "languages": languages,
        "differences": flat_differences(*map(_settings, manifests)),
    }


_NUMBERS = ("a", "b", "both", "removed", "added", "other_source", "other_id")


def _table(store: MetadataStore, lang: str) -> pa.Table:
    if lang in store.hashes:
        return store.table(lang).select(["entry", "source"]).combine_chunks()
    empty = pa.array([], pa.string())
    return pa.table({"entry": empty, "source": empty})


def _compare_language(a: pa.Table, b: pa.Table, num_examples: int) -> dict[str, Any]:
    entries_a, entries_b = (t.column("entry").combine_chunks() for t in (a, b))
    place = pc.index_in(entries_a, value_set=entries_b)
    shared = pc.is_valid(place)
    removed = a.filter(pc.invert(shared))
    added = b.filter(pc.invert(pc.is_in(entries_b, value_set=entries_a)))
    sources_a, sources_b = (pc.cast(t.column("source"), pa.string()) for t in (a, b))
    moved_source = pc.not_equal(sources_a.filter(shared), sources_b.take(place.drop_null()))
    ids = pa.array(range(a.num_rows), pa.int32()).filter(shared)
    moved_id = pc.not_equal(ids, place.drop_null())
    numbers = (
        a.num_rows, b.num_rows, a.num_rows - removed.num_rows, removed.num_rows, added.num_rows,
        pc.sum(moved_source).as_py() or 0, pc.sum(moved_id).as_py() or 0,
    )  # fmt: skip
    return {
        **dict(zip(_NUMBERS, numbers, strict=True)),
        "sources": _by_source(sources_a, sources_b, removed, added),
        "examples_removed": removed.column("entry").slice(0, num_examples).to_pylist(),
        "examples_added": added.column("entry").slice(0, num_examples).to_pylist(),
    }


def _by_source(
    a: pa.ChunkedArray, b: pa.ChunkedArray, removed: pa.Table, added: pa.Table
) -> dict[str, dict[str, int]]:
    columns = {
        "a": a, "b": b, "removed": removed.column("source"), "added": added.column("source")
    }  # fmt: skip
    counted = {
        name: {str(v["values"]): int(v["counts"]) for v in pc.value_counts(column).to_pylist()}
        for name, column in columns.items()
    }
    names = dict.fromkeys([*counted["a"], *counted["b"]])
    return {n: {name: found.get(n, 0) for name, found in counted.items()} for n in names}


def _settings(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the entries: not the entries' own hashes and numbers."""
    languages = {
        lang: {k: v for k, v in values.items() if k not in ("sha256", "entries", "sources")}
        for lang, values in manifest["languages"].items()
    }
    return {"languages": languages}


def flat_differences(a: Any, b: Any) -> list[dict[str, Any]]:
    """Return where two JSON-able values differ, the first 50 places.

    >>> flat_differences({"t": 5, "x": {"y": 1}}, {"t": 6, "x": {"y": 1}})
    [{'name': 't', 'a': 5, 'b': 6}]
    """
    return _differences(a, b, "")[:_SHOWN_DIFFERENCES]


def _differences(a: Any, b: Any, name: str) -> list[dict[str, Any]]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        found = []
        for key in sorted({*a, *b}):
            found += _differences(a.get(key), b.get(key), f"{name}.{key}" if name else key)
        return found
    return [] if a == b else [{"name": name, "a": a, "b": b}]
