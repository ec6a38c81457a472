#!/usr/bin/env bash
# transformers==5.24.0 (pillow==13.0.0): CLIPImageProcessorPil, which CLIPImageProcessor becomes where
# torchvision is not installed, cuts the centre of an image that is an odd number of pixels larger
# one row (or column) earlier than torchvision's CenterCrop, with which CLIP was trained: it rounds
# (227 - 224) / 2 = 1.5 down to 1, CenterCrop to the even neighbour, 2. Images of 225 agree (0.5 is 0
# for both), those of 227, 231, 235 and so on do not, and none of their pixels is the same one.
#   first row of 224 in 225: 0 (CenterCrop: 0)
#   first row of 224 in 227: 1 (CenterCrop: 2)
#   first row of 224 in 229: 2 (CenterCrop: 2)
#   first row of 224 in 231: 3 (CenterCrop: 4)
# Seen on 2026-11-29.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.24.0 pillow==13.0.0 numpy
"$folder/venv/bin/python" - <<'PY'
import numpy as np
from PIL import Image
from transformers import CLIPImageProcessorPil

processor = CLIPImageProcessorPil(do_rescale=False, do_normalize=False)
found, expected = [], []
for height in (225, 227, 229, 231):
    rows = np.repeat(np.arange(height, dtype=np.uint8)[:, None], 224, axis=1)
    image = Image.fromarray(np.stack([rows] * 3, axis=-1))  # every pixel is its row's number
    pixels = np.asarray(processor(image)["pixel_values"][0])
    assert pixels.shape == (3, 224, 224)
    found.append(int(pixels[0, 0, 0]))
    expected.append(round((height - 224) / 2))  # as torchvision's center_crop has it
    print(f"first row of 224 in {height}: {found[-1]} (CenterCrop: {expected[-1]})")
assert expected == [0, 2, 2, 4]
assert found == [0, 1, 2, 3], f"{found}: the behaviour has changed"
PY
