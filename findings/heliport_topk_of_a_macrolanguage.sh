#!/usr/bin/env bash
# heliport==1.0.1: identify_topk_with_score(text, k) can give fewer than k languages, where a larger
# k gives more for the same text: the members of a macrolanguage are put together (into hbs, say)
# after the best k were taken. So the margin between the best and the second, asked for with k=2, is
# missing for most Serbo-Croatian texts; k=5 has it.
#   k=2: [('hbs', 2.72...)]
#   k=3: [('hbs', 2.72...), ('slv', 2.89...)]
#   k=5: 4 languages
#   German sentence, k=2: 2 languages
# Seen on 2026-11-29.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q heliport==1.0.1
"$folder/venv/bin/python" - <<'PY'
import heliport

identifier = heliport.Identifier()


def ask(text, k):
    return identifier.identify_topk_with_score(text, k)


for k in (2, 3, 5):
    print(f"k={k}:", ask("To je njihova knjiga.", k))
german = ask("Der Hund schläft unter dem Tisch.", 2)
print("German sentence, k=2:", german)
found = [len(ask("To je njihova knjiga.", k)) for k in (2, 3, 5)] + [len(german)]
assert found == [1, 2, 4, 2], f"{found}: the behaviour has changed"
PY
