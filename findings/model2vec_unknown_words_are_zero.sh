#!/usr/bin/env bash
# model2vec==0.10.0: words that the vocabulary lacks are left out before the mean, so that a text of
# such words alone (another script than the model's, a camera's file name) has a vector of zeros,
# also with normalize=True and without a warning: its cosine to anything is nan or 0, and all such
# texts are each other's duplicates. Beside known words, unknown ones change nothing.
#   lengths: [1.0, 0.0, 0.0]
#   "red cat" equals "red xyzzy cat": True
# Seen on 2026-11-29.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q model2vec==0.10.0 numpy==2.4.6 tokenizers==0.23.3
"$folder/venv/bin/python" -W error - <<'PY'
import numpy as np
from model2vec import StaticModel
from tokenizers import Tokenizer, models, pre_tokenizers

words = Tokenizer(models.WordLevel({"[UNK]": 0, "red": 1, "cat": 2}, unk_token="[UNK]"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
vectors = np.array([[3, 1], [1, 2], [2, -1]], np.float32)
model = StaticModel(vectors, words, normalize=True)
found = model.encode(["red cat", "xyzzy", "\u732b \u72ac"])
lengths = [round(float(length), 3) for length in np.linalg.norm(found, axis=1)]
is_same = bool(np.array_equal(*model.encode(["red cat", "red xyzzy cat"])))
print("lengths:", lengths)
print('"red cat" equals "red xyzzy cat":', is_same)
assert lengths == [1, 0, 0] and is_same, "the behaviour has changed"
PY
