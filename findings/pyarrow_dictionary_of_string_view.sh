#!/usr/bin/env bash
# pyarrow==26.0.1: a dictionary array whose values are string views, as Polars gives categorical columns
# to whoever takes Arrow, can be made and validated, but neither decoded nor written to Parquet; cast to
# a dictionary of large strings first, it can be both.
#   decode:  ArrowNotImplementedError ... array_take ...
#   parquet: ArrowNotImplementedError ... utf8_view ...
#   cast to dictionary<large_string> first: ['a', 'b', 'a'], 3 rows
# Seen on 2026-11-29.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PY'
import io

import pyarrow as pa
import pyarrow.parquet as pq

views = pa.array(["a", "b"], pa.string_view())
column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.int32()), views)
column.validate(full=True)


def outcome(call):
    try:
        return call()
    except pa.ArrowException as error:
        return f"{type(error).__name__} {error}"


decoded = outcome(lambda: column.dictionary_decode().to_pylist())
written = outcome(lambda: pq.write_table(pa.table({"text": column}), io.BytesIO()))
print("decode: ", decoded)
print("parquet:", written)
plain = column.cast(pa.dictionary(pa.int32(), pa.large_string()))
sink = io.BytesIO()
pq.write_table(pa.table({"text": plain}), sink)
print("cast to dictionary<large_string> first:", plain.to_pylist(), pq.read_table(sink).num_rows, "rows")
assert "ArrowNotImplementedError" in str(decoded), "decoding works now"
assert "ArrowNotImplementedError" in str(written), "writing works now"
PY
