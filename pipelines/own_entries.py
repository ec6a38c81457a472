"""Entries of one's own: a list of strings → metadata of a language, as `build-metadata` leaves it.

They stand under the source `title`, the one for names, in the order of the list.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc

from metadata.entries import Candidate, Thresholds, assemble_entries, metadata_hash
from metadata.errors import InputError
from pipelines import artifacts, storage
from pipelines.metadata_store import MANIFEST, MetadataStore, write_indices

__all__ = ["write_own_entries"]


def write_own_entries(
    folder: str, lang: str, entries: Sequence[str], *, keep: bool = False
) -> dict[str, Any]:
    """Write a language's entries, its indices and its place in the manifest.

    Args:
        folder: the metadata folder; other languages in it stay as they are.
        lang: the language that texts are identified as, or `match --lang` says.
        entries: the most important first; the numbers 0–99 stand before them.
        keep: add to the entries that the language has already, instead of replacing them.

    Returns:
        entries in all, and the numbers left out by reason (duplicate, too_long, …).

    Raises:
        InputError: no entry is left.
    """
    path = storage.join(folder, MANIFEST)
    manifest: dict[str, Any] = {"schema_version": artifacts.SCHEMA_VERSION, "languages": {}}
    if storage.exists(path):
        manifest = storage.read_json(path)
    candidates: dict[str, list[Candidate]] = {}
    if keep and lang in manifest["languages"]:
        table = MetadataStore.open(folder).table(lang)
        names = pc.cast(table.column("source"), "string").to_pylist()
        rows = zip(
            table.column("entry").to_pylist(), table.column("score").to_pylist(), strict=True
        )
        for source, row in zip(names, rows, strict=True):
            candidates.setdefault(source, []).append(row)
    titles = candidates.setdefault("title", [])
    best = max((score for _, score in titles), default=0.0)
    titles += [(entry.strip(), best + len(entries) - i) for i, entry in enumerate(entries)]
    table, left_out = assemble_entries(candidates, Thresholds().max_entry_characters)
    sources = pc.value_counts(pc.cast(table.column("source"), "string")).to_pylist()
    by_source = {str(v["values"]): int(v["counts"]) for v in sources}
    if not by_source.get("title"):
        raise InputError(f"no usable entry among {len(entries)}; left out: {left_out or 'none'}")
    sha256 = metadata_hash(table.column("entry").to_pylist())
    stamp = {"made_from": {"lang": lang, "own_entries": len(entries)}, "sha256": sha256,
             "report": {"left_out": left_out}}  # fmt: skip
    artifacts.write_table(storage.join(folder, f"{lang}.parquet"), table, stamp, sha256)
    write_indices(folder, lang, table.column("entry"), sha256)
    manifest["languages"][lang] = {
        "sha256": sha256, "entries": table.num_rows, "sources": by_source
    }  # fmt: skip
    storage.write_json(path, manifest)
    return {"lang": lang, "entries": table.num_rows, "left_out": left_out}
