"""Captions of one file are those of one image: it is looked at once, and `dedup` keeps them all."""

import pyarrow as pa
import pyarrow.parquet as pq

from curate.curation.hashing.ids import short_hash
from curate.pipelines.dedup.options import DedupOptions
from curate.pipelines.dedup.stage import dedup_pairs
from tests.pipelines.embed.test_images_once import embed, looks, tables
from tests.pipelines.helpers import match, write_metadata
from tests.pipelines.image_server import photo

__all__ = ["looks"]

ROWS = [("1.jpg", "a dog"), ("1.jpg", "a dog that sits"), ("copy.jpg", "the dog"),
        ("2.jpg", "another dog"), ("1.jpg", "dog and cat")]  # fmt: skip


def test_captions_of_one_file_are_of_one_image(tmp_path, looks):
    source = tmp_path / "in"
    source.mkdir()
    for name, seed in (("1.jpg", 1), ("copy.jpg", 1), ("2.jpg", 2)):
        (source / name).write_bytes(photo(seed))
    for part, rows in enumerate((ROWS[:3], ROWS[3:])):
        names, texts = zip(*rows, strict=True)
        table = pa.table({"file_name": names, "text": texts})
        pq.write_table(table, source / f"{part}.parquet")
    write_metadata(tmp_path / "metadata", {"en": ["dog"]})
    match([source / "0.parquet", source / "1.parquet"], tmp_path / "metadata", tmp_path / "matched")
    embed(tmp_path / "embeddings", matched=tmp_path / "matched")
    rows = pa.concat_tables(tables(tmp_path / "embeddings"))
    assert rows.column("image_id").to_pylist() == [
        short_hash(str(source / name)) for name, _ in ROWS
    ]
    assert len(looks[0]) == 3  # 1.jpg, though it stands in both parts, its copy, and 2.jpg
    found = dedup_pairs(
        embeddings=str(tmp_path / "embeddings"), output=str(tmp_path / "deduped"),
        matched=str(tmp_path / "matched"), options=DedupOptions(methods=("exact",)), workers=1,
        overwrite=False, quiet=True,
    )  # fmt: skip
    fallen = pa.concat_tables(
        pq.read_table(path) for path in sorted((tmp_path / "deduped/pairs").glob("*.parquet"))
    )
    fallen = set(fallen.column("pair_id").to_pylist())
    names = [name for (name, _), pair in zip(ROWS, rows.column("pair_id").to_pylist(), strict=True)
             if pair in fallen]  # fmt: skip
    assert names in (
        ["1.jpg"] * 3,
        ["copy.jpg"],
    )  # one of both, with all captions
    assert found["read"] == found["kept"] + len(names) == len(ROWS)
