"""A folder of matches as `curate match` writes it, generated: input for what reads one."""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class _Languages:
    """Codes of languages, entries of each, and each one's share of the pairs, in one order."""

    codes: list[str]
    sizes: list[int]
    share: NDArray[np.float64]

    @property
    def first(self) -> NDArray[np.int64]:
        """The number of each one's first entry among all, and the number of all."""
        return np.concatenate([[0], np.cumsum(self.sizes)])

    @property
    def hashes(self) -> dict[str, str]:
        """What stands for the hashes of their metadata."""
        return {
            lang: artifacts.digest([lang, size])
            for lang, size in zip(self.codes, self.sizes, strict=True)
        }


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Pairs of a part: the number of each one's language; their entries as a list array's."""

    langs: NDArray[np.int64]
    offsets: NDArray[np.int64]
    entries: NDArray[np.int64]


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
    langs = _languages(num_languages, num_entries)
    plan = _plan(folder / "matched", langs, num_pairs)
    counts, read = np.zeros(sum(langs.sizes), np.int64), np.zeros(len(langs.codes), np.int64)
    for index, part in enumerate(plan.parts):
        drawn = _draw(langs, part.num_rows or 0, index)
        _write_part(plan, index, langs, drawn)
        first = np.repeat(langs.first[drawn.langs], np.diff(drawn.offsets))
        counts += np.bincount(first + drawn.entries, minlength=len(counts))
        read += np.bincount(drawn.langs, minlength=len(read))
    counted = dict(zip(langs.codes, np.split(counts, langs.first[1:-1]), strict=True))
    for lang, count in counted.items():
        _write_counts(plan, lang, count)
    _write_summary(plan, dict(zip(langs.codes, read.tolist(), strict=True)), counted)
    return folder / "matched"


def _languages(num: int, num_entries: int) -> _Languages:
    codes = ["en", *(lang for lang in metadata_languages() if lang != "en")][:num]
    rest = max(20, int(num_entries * 0.9 / max(1, len(codes) - 1)))
    sizes = [max(20, num_entries // 10), *[rest] * (len(codes) - 1)]
    others = 1 / np.arange(2, len(codes) + 1)
    return _Languages(codes, sizes, np.r_[1 / 3, others / others.sum() * 2 / 3])


def _plan(matched: Path, langs: _Languages, num_pairs: int) -> MatchedPlan:
    """Write the plan."""
    rows = [min(PART_ROWS, num_pairs - at) for at in range(0, num_pairs, PART_ROWS)]
    parts = [
        Part(path=f"{i:05d}.parquet", sha256=artifacts.digest(i), kind="parquet", num_rows=num)
        for i, num in enumerate(rows)
    ]
    inputs = [{"path": p.path, "sha256": p.sha256, "size_bytes": 1, "modified": ""} for p in parts]
    parameters = {
        "normalization": "standard", "lang": None, "lid_model": artifacts.digest("lid"),
        "columns": {"url": None, "text": None, "uid": None, "lang": None},
        "metadata": langs.hashes,
    }  # fmt: skip
    plan = MatchedPlan(str(matched), parameters, inputs, parts)
    matched.mkdir(parents=True)
    artifacts.write_json(str(matched / PLAN), plan.as_dict())
    return plan


def _draw(langs: _Languages, num: int, seed: int) -> _Drawn:
    """Draw pairs, and their entries by Zipf's law."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(len(langs.codes), num, p=langs.share / langs.share.sum())
    drawn = rng.integers(1, int(2 * MATCHES), num)
    largest = np.array(langs.sizes)[np.repeat(codes, drawn)]
    # Log-uniform ranks are those of Zipf's law.
    ids = (largest ** rng.random(len(largest))).astype(np.int64) - 1
    row = np.repeat(np.arange(num), drawn)
    keys = np.unique(row * (1 << 32) + ids)
    return _Drawn(codes, np.searchsorted(keys >> 32, np.arange(num + 1)), keys & 0xFFFFFFFF)


def _write_part(plan: MatchedPlan, index: int, langs: _Languages, drawn: _Drawn) -> None:
    num = len(drawn.langs)
    numbers = [f"{index:08x}{i:016x}" for i in range(num)]
    offsets, ids = pa.array(drawn.offsets, pa.int32()), pa.array(drawn.entries, pa.uint32())
    codes = pa.array(drawn.langs, pa.int32())
    table = pa.table({
        "url": [f"https://example.org/{n}.jpg" for n in numbers],
        "text": [f"a photo of number {n}, as it stands on the web" for n in numbers],
        "pair_id": numbers,
        "image_id": numbers,
        "lang": pa.DictionaryArray.from_arrays(codes, pa.array(langs.codes)),
        "lang_score": pa.array(np.ones(num), pa.float32()),
        "entry_ids": pa.ListArray.from_arrays(offsets, ids),
    })  # fmt: skip
    stamp = {"parameters": artifacts.digest(plan.parameters), "part": plan.parts[index].as_dict()}
    metadata = combined_hash(plan.parameters["metadata"])
    artifacts.write_table(plan.pairs_path(index), table, stamp, metadata)


def _write_counts(plan: MatchedPlan, lang: str, count: NDArray[np.int64]) -> None:
    entry = pa.array([f"{lang} entry {i}" for i in range(len(count))])
    ids = pa.array(np.arange(len(count), dtype=np.uint32))
    table = pa.table({"entry_id": ids, "entry": entry, "count": count.astype(np.uint64)})
    stamp = {"lang": lang, "plan": plan.digest()}
    metadata = plan.parameters["metadata"][lang]
    artifacts.write_table(plan.counts_path(lang), table, stamp, metadata)


def _write_summary(
    plan: MatchedPlan, matched: dict[str, int], counts: dict[str, NDArray[np.int64]]
) -> None:
    """Write what happened to pairs; as many as were matched had no match."""
    num = sum(matched.values())
    summary = {
        "schema_version": artifacts.SCHEMA_VERSION, "plan": plan.digest(), "examples": {},
        "metadata_hash": combined_hash(plan.parameters["metadata"]),
        "inputs": len(plan.inputs), "parts": len(plan.parts),
        "read": 2 * num, "matched": num, "dropped": {"no_match": num}, "lost_files": 0,
        "languages": {lang: {"read": 2 * one, "matched": one, "dropped": {"no_match": one}}
                      for lang, one in matched.items()},
        "matches": {lang: int(count.sum()) for lang, count in counts.items()},
    }  # fmt: skip
    artifacts.write_json(f"{plan.folder}/{SUMMARY}", summary)
