#!/usr/bin/env bash
# pyarrow==26.0.1: Table.cast of a column of lists of structs that only renames the list's child
# ("item", as pyarrow makes it, to "element", as Parquet files have it) fails as soon as a field of
# the struct is of type null: the field's array keeps the number of rows instead of the number of
# list items. The same cast with a string field of nulls works, and so do reading and slicing. JSON
# lines and from_pylist give such fields wherever a key has no value yet (captions' languages, say).
#   null field:   ArrowInvalid ... Struct child array #1 has length smaller than expected for struct
#                 array (3 < 6)
#   string field: list<element: struct<a: int64, b: string>>
# Seen on 2026-11-28.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PY'
import pyarrow as pa


def cast(kind):
    struct = pa.struct([("a", pa.int64()), ("b", kind)])
    rows = [[{"a": 1, "b": None}, {"a": 2, "b": None}]] * 3
    table = pa.table({"x": pa.array(rows, pa.list_(struct))})
    target = pa.schema([("x", pa.list_(pa.field("element", struct)))])
    return table.cast(target).schema.field("x").type


print("string field:", cast(pa.string()))
try:
    print("null field:", cast(pa.null()))
except pa.ArrowInvalid as error:
    print("null field: ArrowInvalid", error)
    assert "(3 < 6)" in str(error), "another message than the one noted"
else:
    raise SystemExit("the cast works now: the behaviour has changed")
PY
