"""A small workspace with drawn images and captions in several scripts, to be browsed."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.match.stage import MatchOptions, match_inputs
from tests.pipelines.helpers import write_metadata
from tests.pipelines.tar_helpers import write_tar

COLOURS = {
    "red": (200, 60, 60), "blue": (60, 90, 200), "green": (60, 160, 90), "golden": (220, 170, 50),
    "violet": (140, 80, 180), "grey": (130, 135, 140),
}  # fmt: skip
SHAPES = ("circle", "square", "triangle", "house", "tree", "moon")
WORDS = {
    "en": {**{c: c for c in COLOURS}, **{s: s for s in SHAPES}},
    "de": {"red": "rot", "blue": "blau", "green": "grün", "golden": "golden", "violet": "lila",
           "grey": "grau", "circle": "Kreis", "square": "Quadrat", "triangle": "Dreieck",
           "house": "Haus", "tree": "Baum", "moon": "Mond"},
    "ar": {"red": "أحمر", "blue": "أزرق", "green": "أخضر", "golden": "ذهبي", "violet": "بنفسجي",
           "grey": "رمادي", "circle": "دائرة", "square": "مربع", "triangle": "مثلث",
           "house": "بيت", "tree": "شجرة", "moon": "قمر"},
    "ja": {"red": "赤い", "blue": "青い", "green": "緑の", "golden": "金色の", "violet": "紫の",
           "grey": "灰色の", "circle": "円", "square": "四角形", "triangle": "三角形",
           "house": "家", "tree": "木", "moon": "月"},
}  # fmt: skip
_LAYOUT = {"en": "a {} {} above the sea", "de": "{} wie das Meer: {}", "ar": "{1} {0} فوق البحر",
           "ja": "海の上の{}{}"}  # fmt: skip
_EXTRA = {"en": ["sea", "above the sea", "the"], "de": ["Meer", "wie das Meer"], "ar": ["البحر"],
          "ja": ["海", "海の上"]}  # fmt: skip


def picture(colour: str, shape: str, size: int = 320) -> bytes:
    """Return a JPEG of a shape above the sea."""
    image = Image.new("RGB", (size, size * 3 // 4), (206, 224, 236))
    draw = ImageDraw.Draw(image)
    low, middle, far = size * 3 // 4, size // 2, size // 5
    draw.rectangle([0, low * 2 // 3, size, low], fill=(88, 130, 160))
    box = [middle - far, low // 6, middle + far, low // 6 + 2 * far]
    fill = COLOURS[colour]
    if shape == "circle":
        draw.ellipse(box, fill=fill)
    elif shape == "moon":
        draw.ellipse(box, fill=fill)
        shade = [box[0] + far // 2, box[1], box[2] + far // 2, box[3]]
        draw.ellipse(shade, fill=(206, 224, 236))
    elif shape == "square":
        draw.rectangle(box, fill=fill)
    else:
        points = [(middle, box[1]), (box[2], box[3]), (box[0], box[3])]
        if shape == "house":
            draw.rectangle([box[0], middle // 2, box[2], box[3]], fill=fill)
            points = [(middle, box[1]), (box[2] + 8, middle // 2), (box[0] - 8, middle // 2)]
        if shape == "tree":
            draw.rectangle([middle - 8, box[3] - far // 2, middle + 8, box[3] + far // 2],
                           fill=(110, 80, 60))  # fmt: skip
        draw.polygon(points, fill=fill)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


def caption(lang: str, colour: str, shape: str) -> str:
    """Return a text of a language for a picture."""
    words = WORDS[lang]
    return _LAYOUT[lang].format(words[colour], words[shape])


def write_world(
    folder: Path, num: int = 240, t: int | None = 12, more: Sequence[dict[str, Any]] = ()
) -> Path:
    """Write tars, match and balance them; `t` None leaves them unbalanced.

    Args:
        folder: of the workspace.
        num: pairs.
        t: pairs per entry.
        more: further samples: key, txt, lang, image and url.
    """
    entries = {lang: [*words.values(), *_EXTRA[lang]] for lang, words in WORDS.items()}
    metadata = write_metadata(folder / "metadata", entries)
    langs = ["en", "en", "en", "de", "en", "ar", "de", "ja"]
    members: dict[str, Any] = {}
    names, shapes = list(COLOURS), list(SHAPES)
    for i in range(num):
        lang = langs[i % len(langs)]
        colour = names[min(i * i % 11, i % 7, 5)]
        shape = shapes[min(i % 6, (i * 5) % 8, 5)]
        key = f"{i:06d}"
        members |= {
            f"{key}.jpg": picture(colour, shape), f"{key}.txt": caption(lang, colour, shape),
            f"{key}.json": {"url": f"https://images{i % 5}.example.org/{key}.jpg", "lang": lang,
                            "similarity": round(0.2 + (i * 37 % 100) / 500, 3),
                            "license": ("cc0", "cc-by")[i % 2]},
        }  # fmt: skip
    for one in more:
        members |= {
            f"{one['key']}.jpg": one["image"],
            f"{one['key']}.txt": one["txt"],
            f"{one['key']}.json": {"url": one["url"], "lang": one["lang"]},
        }
    tar = write_tar(folder / "in" / "00000.tar", members)
    match_inputs([str(tar)], metadata=str(metadata), output=str(folder / "matched"),
                 options=MatchOptions(), quiet=True)  # fmt: skip
    if t is not None:
        balance_pairs(matched=str(folder / "matched"), output=str(folder / "balanced"),
                      options=BalanceOptions(t=t, pairs_per_shard=50), quiet=True)  # fmt: skip
    return folder
