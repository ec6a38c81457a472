#!/usr/bin/env bash
# fastparquet==2026.9.0 with pyarrow==26.0.1: a column of Parquet's logical type FLOAT16, as
# embeddings are kept in, is read without a word as the two bytes of each number, not as numbers,
# plain or in lists. fastparquet writes float16 itself as float32, so its own files do not show it.
#   plain: [b'\x008', b'\x00=']
#   in lists: [[b'\x008', b'\x00='], [b'\x00@', b'\x00\xb8']]
#   written by fastparquet itself: float (32 bits)
# Seen on 2026-11-29.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q fastparquet==2026.9.0 pyarrow==26.0.1 pandas==3.1.1
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import fastparquet
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

numbers = pa.array(np.array([0.5, 1.25, 2.0, -0.5], np.float16))
pq.write_table(pa.table({"x": numbers[:2]}), "plain.parquet")
pq.write_table(pa.table({"x": pa.FixedSizeListArray.from_arrays(numbers, 2)}), "lists.parquet")
plain = list(fastparquet.ParquetFile("plain.parquet").to_pandas()["x"])
lists = [list(row) for row in fastparquet.ParquetFile("lists.parquet").to_pandas()["x"]]
print("plain:", plain)
print("in lists:", [[bytes(x) for x in row] for row in lists])
assert pq.read_table("plain.parquet").column("x").to_pylist() == [0.5, 1.25]
assert plain == [b"\x008", b"\x00="], "the behaviour has changed"
assert lists == [[b"\x008", b"\x00="], [b"\x00@", b"\x00\xb8"]], "the behaviour has changed"
fastparquet.write("own.parquet", pd.DataFrame({"x": np.array([0.5, 1.25], np.float16)}))
own = pq.read_schema("own.parquet").field("x").type
print("written by fastparquet itself:", own, "(32 bits)")
assert own == pa.float32(), f"{own}: the behaviour has changed"
PY
