"""Small whole files of every kind that is read, to be damaged; each as (name, bytes)."""

import gzip
import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = [
    {"url": f"https://example.org/{i}.jpg", "text": f"a red dog {i}", "size": i / 3, "tags": ["a"]}
    for i in range(40)
]


def _parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), out, row_group_size=15)
    return out.getvalue()


def _tar(format: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for i, row in enumerate(ROWS[:12]):
            members = {
                "txt": row["text"].encode(),
                "json": json.dumps(row).encode(),
                "jpg": b"J" * 9,
            }
            for suffix, content in members.items():
                info = tarfile.TarInfo(f"folder/{'long' * 30 if i == 5 else ''}{i:03d}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _lines() -> bytes:
    return "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def _table(delimiter: str) -> bytes:
    rows = [delimiter.join(["url", "text"])]
    rows += [delimiter.join([row["url"], row["text"]]) for row in ROWS]
    return "\n".join([*rows, ""]).encode()


SEEDS: dict[str, tuple[str, bytes]] = {
    "parquet": ("a.parquet", _parquet()),
    "tar gnu": ("a.tar", _tar(tarfile.GNU_FORMAT)),
    "tar pax": ("a.tar", _tar(tarfile.PAX_FORMAT)),
    "jsonl": ("a.jsonl", _lines()),
    "jsonl.gz": ("a.jsonl.gz", gzip.compress(_lines(), mtime=0)),
    "csv": ("a.csv", _table(",")),
    "csv utf-16": ("a.csv", _table("\t").decode().encode("utf-16")),
    "tsv": ("a.tsv", _table("\t")),
}
