#!/usr/bin/env bash
# pyarrow==26.0.1: an invalid_row_handler of csv.ParseOptions that skips rows with too many columns is
# not asked about a row with bytes that are no UTF-8, even where the columns are declared binary, for
# which such bytes are fine: decoding the row for the handler fails, the exception is printed as
# "ignored", and the whole file is refused. Without the surplus column the same bytes are read. One
# Latin-1 caption with a comma too many in a CSV of captions so costs all of its rows.
#   ascii row:   skipped, 2 rows
#   latin-1 row: ArrowInvalid CSV parse error: Expected 2 columns, got 3 (handler called 0 times)
#   latin-1 row without a surplus column: 3 rows
# Seen on 2026-11-29.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PY'
import io

import pyarrow as pa
import pyarrow.csv as csv


def read(row):
    asked = []

    def skip(invalid):
        asked.append(invalid)
        return "skip"

    table = b"caption,width\na dog,1\n" + row + b"\na cat,4\n"
    types = {"caption": pa.binary(), "width": pa.binary()}
    try:
        found = csv.read_csv(
            io.BytesIO(table),
            parse_options=csv.ParseOptions(invalid_row_handler=skip),
            convert_options=csv.ConvertOptions(column_types=types),
        )
    except pa.ArrowInvalid as error:
        print("ArrowInvalid", str(error).encode("ascii", "replace").decode(), len(asked))
        return None
    print(found.num_rows, "rows, handler called", len(asked), "times")
    return found.num_rows, len(asked)


ascii_row = read(b"a bee,2,3")
latin_row = read("M\u00fcller,2,3".encode("latin-1"))
no_surplus = read("M\u00fcller,2".encode("latin-1"))
found = (ascii_row, latin_row, no_surplus)
assert found == ((2, 1), None, (3, 0)), f"{found}: the behaviour has changed"
PY
