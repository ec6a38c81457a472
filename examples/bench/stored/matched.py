"""A folder of matches as `curate match` writes it, generated: input for what reads one."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.metadata.languages import metadata_languages
from curate.pipelines.inputs.rows import Part
from curate.pipelines.matched.plan import PLAN, SUMMARY, MatchedPlan
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import combined_hash

__all__ = ["write_matched"]

PART_ROWS = 500_000
MATCHES = 3.5  # entries of a pair, on average


def write_matched(folder: Path, num_languages: int, num_entries: int, num_pairs: int) -> Path:
    """Write a folder as `curate match` does, with generated pairs.

    Args:
        folder: of the workspace.
        num_languages: at most those that there are.
        num_entries: over all languages; English has a tenth.
        num_pairs: over all languages; English has a third.

    Returns:
        The folder `matched/`.
    """
    langs = ["en", *(lang for lang in metadata_languages() if lang != "en")][:num_languages]
    share = np.r_[0.0, 1 / np.arange(2, len(langs) + 1)]
    pairs_share = np.r_[1 / 3, share[1:] / share[1:].sum() * 2 / 3][: len(langs)]
    rest = max(20, int(num_entries * 0.9 / max(1, len(langs) - 1)))
    sizes = {lang: rest if lang != "en" else max(20, num_entries // 10) for lang in langs}
    bases = np.r_[0, np.cumsum(list(sizes.values()))]
    counts = np.zeros(bases[-1], np.int64)
    matched = folder / "matched"
    hashes = {lang: artifacts.digest([lang, size]) for lang, size in sizes.items()}
    rows_of = [min(PART_ROWS, num_pairs - at) for at in range(0, num_pairs, PART_ROWS)]
    parts = [
        Part(path=f"{i:05d}.parquet", sha256=artifacts.digest(i), kind="parquet", num_rows=rows)
        for i, rows in enumerate(rows_of)
    ]
    inputs = [{"path": p.path, "sha256": p.sha256, "size_bytes": 1, "modified": ""} for p in parts]
    columns = {"url": None, "text": None, "uid": None, "lang": None}
    parameters = {
        "normalization": "standard", "lang": None, "lid_model": artifacts.digest("lid"),
        "columns": columns, "metadata": hashes,
    }  # fmt: skip
    plan = MatchedPlan(str(matched), parameters, inputs, parts)
    matched.mkdir(parents=True)
    artifacts.write_json(str(matched / PLAN), plan.as_dict())
    read = np.zeros(len(langs), np.int64)
    for index, rows in enumerate(rows_of):
        _write_part(plan, index, rows, langs, pairs_share, bases, counts, read)
    counted = dict(zip(langs, np.split(counts, bases[1:-1]), strict=True))
    for lang, count in counted.items():
        entry = pa.array([f"{lang} entry {i}" for i in range(len(count))])
        ids = pa.array(np.arange(len(count), dtype=np.uint32))
        table = pa.table({"entry_id": ids, "entry": entry, "count": count.astype(np.uint64)})
        stamp = {"lang": lang, "plan": plan.digest()}
        artifacts.write_table(plan.counts_path(lang), table, stamp, hashes[lang])
    languages = {
        lang: {"read": 2 * num, "matched": num, "dropped": {"no_match": num}}
        for lang, num in zip(langs, read.tolist(), strict=True)
    }
    summary = {
        "schema_version": artifacts.SCHEMA_VERSION, "plan": plan.digest(), "examples": {},
        "metadata_hash": combined_hash(hashes), "inputs": len(inputs), "parts": len(parts),
        "read": 2 * num_pairs, "matched": num_pairs, "dropped": {"no_match": num_pairs},
        "lost_files": 0, "languages": languages,
        "matches": {lang: int(count.sum()) for lang, count in counted.items()},
    }  # fmt: skip
    artifacts.write_json(str(matched / SUMMARY), summary)
    return matched


def _write_part(
    plan: MatchedPlan,
    index: int,
    rows: int,
    langs: list[str],
    share: NDArray[np.float64],
    bases: NDArray[np.int64],
    counts: NDArray[np.int64],
    read: NDArray[np.int64],
) -> None:
    """Write a part's pairs; add to the counts of entries and of pairs."""
    rng = np.random.default_rng(index)
    codes = rng.choice(len(langs), rows, p=share / share.sum())
    drawn = rng.integers(1, int(2 * MATCHES), rows)
    largest = np.diff(bases)[np.repeat(codes, drawn)]
    # Log-uniform ranks are those of Zipf's law.
    ids = (largest ** rng.random(len(largest))).astype(np.int64) - 1
    row = np.repeat(np.arange(rows), drawn)
    keys = np.unique(row * (1 << 32) + ids)
    row, ids = keys >> 32, keys & 0xFFFFFFFF
    offsets = np.searchsorted(row, np.arange(rows + 1))
    counts += np.bincount(bases[codes[row]] + ids, minlength=len(counts))
    read += np.bincount(codes, minlength=len(langs))
    numbers = [f"{index:08x}{i:016x}" for i in range(rows)]
    table = pa.table(
        {
            "url": [f"https://example.org/{n}.jpg" for n in numbers],
            "text": [f"a photo of number {n}, as it stands on the web" for n in numbers],
            "pair_id": numbers,
            "image_id": numbers,
            "lang": pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(langs)),
            "lang_score": pa.array(np.ones(rows), pa.float32()),
            "entry_ids": pa.ListArray.from_arrays(
                pa.array(offsets, pa.int32()), pa.array(ids, pa.uint32())
            ),
        }
    )
    stamp = {"parameters": artifacts.digest(plan.parameters), "part": plan.parts[index].as_dict()}
    metadata = combined_hash(plan.parameters["metadata"])
    artifacts.write_table(plan.pairs_path(index), table, stamp, metadata)
