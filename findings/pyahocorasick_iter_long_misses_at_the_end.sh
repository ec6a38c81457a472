#!/usr/bin/env bash
# pyahocorasick==2.3.1: iter_long(), the longest matches from the left, misses what iter() finds where
# a text ends inside the beginning of a longer entry: behind the last character no shorter entry is
# looked for any more. With one character behind it is found, so captions lose matches at their
# ends only. (Open upstream: github.com/WojciechMula/pyahocorasick, pull request 224.)
#   "a red fox": iter ['red fox', 'fox'], iter_long []
#   "a red fox.": iter ['red fox', 'fox'], iter_long ['red fox']
# Seen on 2026-11-29.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyahocorasick==2.3.1
"$folder/venv/bin/python" - <<'PY'
import ahocorasick

automaton = ahocorasick.Automaton()
for entry in ("fox", "red fox", "a red fox cub"):
    automaton.add_word(entry, entry)
automaton.make_automaton()
found = []
for text in ("a red fox", "a red fox."):
    every = [entry for _, entry in automaton.iter(text)]
    longest = [entry for _, entry in automaton.iter_long(text)]
    print(f'"{text}": iter {every}, iter_long {longest}')
    found.append((sorted(every), longest))
both = ["fox", "red fox"]
assert found == [(both, []), (both, ["red fox"])], f"{found}: the behaviour has changed"
PY
