"""A model that knows colours exactly, and evaluation sets of coloured images in every layout."""

import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

from tests.pipelines.helpers import png

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
WORDS = {**COLOURS, "rot": COLOURS["red"], "blau": COLOURS["blue"], "scarlet": COLOURS["red"]}
NAMES = list(COLOURS)


class ColourModel(nn.Module):
    """An image's embedding is its mean colour, a text's that of its first word for a colour."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def encode_image(self, image_B3HW):
        return self.scale * image_B3HW.mean(dim=(2, 3))

    def encode_text(self, tokens_B3):
        return self.scale * tokens_B3


def tokenize(texts):
    rows = [next((WORDS[w] for w in text.split() if w in WORDS), (9, 9, 9)) for text in texts]
    return torch.tensor(rows, dtype=torch.float32) / 255


def preprocess(image):
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 255


def shade(name, number):
    """An image of a colour, a little different each time, so that no two are one image."""
    return png(tuple(min(255, channel + number) for channel in COLOURS[name]), size=8)


def add(tar, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


# Eight images; the last one is labelled wrongly.
LABELLED = [(NAMES[i % 3], NAMES[i % 3], i) for i in range(7)] + [("red", "blue", 7)]


def write_folder(root):
    for shown, label, i in LABELLED:
        (root / label).mkdir(parents=True, exist_ok=True)
        (root / label / f"{i}.png").write_bytes(shade(shown, i))
    (root.parent / "classes.txt").write_text("\n".join(NAMES) + "\n")
    return root


def write_wds(root, *, num_tars=2):
    (root / "test").mkdir(parents=True)
    for number in range(num_tars):
        with tarfile.open(root / "test" / f"{number}.tar", "w") as tar:
            for shown, label, i in LABELLED[number::num_tars]:
                add(tar, f"s{i:07d}.png", shade(shown, i))
                add(tar, f"s{i:07d}.cls", str(NAMES.index(label)).encode())
    (root / "test" / "nshards.txt").write_text(f"{num_tars}\n")
    (root / "classnames.txt").write_text("\n".join(NAMES) + "\n")
    (root / "zeroshot_classification_templates.txt").write_text("a photo of {c}\n{c}\n")
    return root


def write_table(path, *, numbers=False, huggingface=False):
    labels = [NAMES.index(label) if numbers else label for _, label, _ in LABELLED]
    images = [shade(shown, i) for shown, _, i in LABELLED]
    table = pa.table({
        "image": [{"bytes": b, "path": None} for b in images] if huggingface else images,
        "label": labels,
        "split": ["even" if i % 2 == 0 else "odd" for _, _, i in LABELLED],
    })  # fmt: skip
    if huggingface:
        features = {"label": {"names": NAMES, "_type": "ClassLabel"}}
        info = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": info})
    pq.write_table(table, path, row_group_size=3)
    return path


def write_cvqa(path, *, options_as_text=False, label=None):
    rows = []
    for i, name in enumerate(["red", "green", "blue", "blue"]):
        options = ["green", "red", "blue", "grey"]
        right = options.index(name) if i < 3 else 0  # the last answer is not what is seen
        rows.append({
            "image": {"bytes": shade(name, i), "path": None},
            "Question": "Welche Farbe?",
            "Translated Question": "Which colour?",
            "Options": str(options) if options_as_text else options,
            "Translated Options": options,
            "Label": right if label is None else label,
            "Subset": str(("German", "Germany") if i % 2 else ("Chinese", "Singapore")),
        })  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path
