"""Small inputs for the stages, and ways to compare what they write."""

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from curate.metadata.entries import assemble_entries, metadata_hash
from curate.pipelines.match.stage import MatchOptions, match_inputs
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import write_indices

# How often the kill loops kill in all, about; more finds more, and takes as much longer.
KILLS = int(os.environ.get("CURATE_KILLS", "15"))

WORDS = ["red", "blue", "dog", "cat", "tree", "house", "St. John", "red dog"]


def write_metadata(folder: Path, entries: Mapping[str, Sequence[str]]) -> Path:
    """Write a metadata folder as `build-metadata` does, with given unigrams."""
    languages = {}
    for lang, words in entries.items():
        table, _ = assemble_entries({"unigram": [(w, 1.0) for w in words]}, 256)
        sha256 = metadata_hash(table.column("entry").to_pylist())
        stamp = {"made_from": {"lang": lang}, "sha256": sha256, "report": {}}
        artifacts.write_table(str(folder / f"{lang}.parquet"), table, stamp, sha256)
        write_indices(str(folder), lang, table.column("entry"), sha256)
        languages[lang] = {"sha256": sha256, "entries": table.num_rows}
    artifacts.write_json(
        str(folder / "manifest.json"),
        {"schema_version": artifacts.SCHEMA_VERSION, "languages": languages},
    )
    return folder


def texts(num: int, seed: int = 0) -> list[str]:
    """Return texts whose words follow Zipf's law."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, len(WORDS) + 1)
    drawn = rng.choice(len(WORDS), (num, 3), p=share / share.sum())
    return [f"a {' '.join(WORDS[i] for i in row)} number" for row in drawn]


def write_pairs(path: Path, values: Sequence[Any], *, first: int = 0, **columns: Any) -> Path:
    """Write a Parquet file of (url, text) in small row groups."""
    urls = [f"https://example.org/{first + i}.jpg" for i in range(len(values))]
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"url": urls, "text": values, **columns})
    pq.write_table(table, path, row_group_size=max(1, len(values) // 3))
    return path


def match(inputs: Sequence[Path], metadata: Path, output: Path, **options: Any) -> dict[str, Any]:
    """Match with one worker, in English unless told otherwise."""
    run = {k: options.pop(k) for k in ("workers", "overwrite", "dry_run") if k in options}
    return match_inputs(
        [str(path) for path in inputs],
        metadata=str(metadata),
        output=str(output),
        options=MatchOptions(**{"lang": "en", **options}),
        quiet=True,
        **run,
    )


def read_pairs(folder: Path) -> pa.Table:
    """Read all pairs of a matched or balanced folder."""
    files = sorted((folder / "pairs").glob("*.parquet"))
    return pa.concat_tables([pq.read_table(f) for f in files], promote_options="permissive")


def contents(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file below a folder, logs and leases left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".curate" not in path.relative_to(folder).parts
    }


def png(colour: tuple[int, int, int], size: int = 16) -> bytes:
    """Return an image of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(buffer, "PNG")
    return buffer.getvalue()
