#!/usr/bin/env bash
# ImageHash==4.3.2 with pillow==13.0.0: images that have nothing in common hash alike, and fall as
# duplicates of one another, where their picture is in the transparency (black signs and logos on a
# transparent ground, frequent on the web) or in 16 bits (scans, depth maps): the hashes look at
# Image.convert("L"), which leaves transparency out and cuts 16-bit values off at 255.
#   20 signs: 1 phash, 1 dhash, 1 whash; on white: 20 phashes
#   20 pictures of 16 bits: 1 phash; their upper 8 bits: 20 phashes
# Seen on 2026-11-29.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q ImageHash==4.3.2 pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import imagehash
import numpy as np
from PIL import Image

random = np.random.default_rng(0)


def pattern(low, high):
    return np.kron(random.integers(low, high, (8, 8)), np.ones((8, 8), int))


signs, flat, deep, shallow = [], [], [], []
white = Image.new("RGBA", (64, 64), "white")
for _ in range(20):
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[..., 3] = pattern(0, 2) * 255
    signs.append(Image.fromarray(rgba))
    flat.append(Image.alpha_composite(white, signs[-1]))
    values = pattern(256, 65536).astype(np.uint16)
    deep.append(Image.fromarray(values))
    shallow.append(Image.fromarray((values >> 8).astype(np.uint8)))


def count(images, hashed=imagehash.phash):
    return len({str(hashed(image)) for image in images})


kinds = [count(signs, one) for one in (imagehash.phash, imagehash.dhash, imagehash.whash)]
print("20 signs: %d phash, %d dhash, %d whash;" % tuple(kinds), f"on white: {count(flat)} phashes")
print(f"20 pictures of 16 bits: {count(deep)} phash; their upper 8 bits: {count(shallow)} phashes")
found = (*kinds, count(flat), count(deep), count(shallow))
assert found == (1, 1, 1, 20, 1, 20), f"{found}: the behaviour has changed"
PY
