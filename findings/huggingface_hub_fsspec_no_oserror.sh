#!/usr/bin/env bash
# huggingface_hub==2.4.0 (httpx2==2.16.2, fsspec==2026.9.0): opening, globbing or looking for hf://
# files through fsspec while the hub cannot be reached raises httpx2.ConnectError, whose classes are
# none of Python's: neither OSError nor ConnectionError, which other file systems raise and on which
# callers of fsspec wait and try again; exists() raises as well, where fsspec's own gives False.
#   open: ConnectError, an OSError: False
#   exists: ConnectError, an OSError: False
#   glob: ConnectError, an OSError: False
# Seen on 2026-11-29.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q huggingface_hub==2.4.0 httpx2==2.16.2 fsspec==2026.9.0
# A port of this machine that was free a moment ago, so that nobody listens there.
cat >"$folder/ask.py" <<'PY'
import os
import socket

with socket.socket() as one:
    one.bind(("127.0.0.1", 0))
    port = one.getsockname()[1]
os.environ.update(HF_ENDPOINT=f"http://127.0.0.1:{port}", HF_HUB_DISABLE_TELEMETRY="1")

import fsspec

hub = fsspec.filesystem("hf")
path = "datasets/someone/pairs/part.parquet"
calls = {
    "open": lambda: hub.open(path),
    "exists": lambda: hub.exists(path),
    "glob": lambda: hub.glob("datasets/someone/pairs/*.parquet"),
}
found = set()
for name, call in calls.items():
    try:
        raise SystemExit(f"{name} gave {call()!r}: the behaviour has changed")
    except Exception as error:
        found.add((type(error).__name__, isinstance(error, OSError)))
        print(f"{name}: {type(error).__name__}, an OSError: {isinstance(error, OSError)}")
assert found == {("ConnectError", False)}, f"{found}: the behaviour has changed"
PY
HF_HOME="$folder" "$folder/venv/bin/python" "$folder/ask.py"
