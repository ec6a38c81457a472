#!/usr/bin/env bash
# clip-benchmark==1.6.2 with numpy==2.4.6 (torch==2.13.0, scikit-learn==1.9.1): zero-shot evaluation
# cannot end. `accuracy` of metrics/zeroshot_classification.py makes a float of an array of one
# element that is not 0-dimensional, which numpy 2.4 refuses after warning of it since 1.25; with
# numpy==2.3.5 the same call gives [1.0, 1.0].
#   TypeError: only 0-dimensional arrays can be converted to Python scalars
# Seen on 2026-11-29.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 scikit-learn==1.9.1 tqdm
"$folder/venv/bin/pip" install -q --no-deps clip-benchmark==1.6.2
cat >"$folder/ask.py" <<'PY'
import numpy as np
import torch
from clip_benchmark.metrics.zeroshot_classification import accuracy

try:
    found = str(accuracy(torch.eye(5), torch.arange(5), topk=(1, 5)))
except TypeError as error:
    found = f"TypeError: {error}"
print(f"numpy {np.__version__}: {found}")
PY
"$folder/venv/bin/python" "$folder/ask.py" | tee "$folder/new"
grep -q "TypeError: only 0-dimensional arrays" "$folder/new" || { echo "the behaviour has changed"; exit 1; }
"$folder/venv/bin/pip" install -q numpy==2.3.5
"$folder/venv/bin/python" -W ignore "$folder/ask.py" | tee "$folder/old"
grep -q "\[1.0, 1.0\]" "$folder/old" || { echo "the behaviour has changed"; exit 1; }
