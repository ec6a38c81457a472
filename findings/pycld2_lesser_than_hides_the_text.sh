#!/usr/bin/env bash
# pycld2==0.42: detect(text) takes its input for HTML unless it is told isPlainText=True, so that a
# "<" that stands before a letter or a digit, as in "<3" or "< 5 cm", hides what follows up to the
# next ">", or to the end. Such captions have no language at all ("un"), though all of their words
# are German; the number of bytes that it looked at is the only trace.
#   Ich <3 meinen Hund, der im Garten schläft: un, 5 of 42 bytes; as plain text: de, 40 of 42
#   Länge < 5 cm, rote Schuhe für Damen und Herren: un, 8 of 48 bytes; as plain text: de, 45 of 48
# Seen on 2026-11-29.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pycld2==0.42
"$folder/venv/bin/python" - <<'PY'
import pycld2

found = []
for text in (
    "Ich <3 meinen Hund, der im Garten schläft",
    "Länge < 5 cm, rote Schuhe für Damen und Herren",
):
    for plain in (False, True):
        _, num_bytes, languages = pycld2.detect(text, isPlainText=plain)
        found.append((languages[0][1], num_bytes))
        print(f"{text} (isPlainText={plain}): {found[-1]} of {len(text.encode())} bytes")
expected = [("un", 5), ("de", 40), ("un", 8), ("de", 45)]
assert found == expected, f"{found}: the behaviour has changed"
PY
