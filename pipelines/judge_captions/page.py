"""The best and the worst captions beside their images and alt-texts, as one HTML file.

It holds its images and its style, runs nothing and fetches nothing; texts of pages and models stand
in it as text.
"""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from PIL import Image

__all__ = ["Example", "render_examples", "thumbnail"]

_SIDE = 192
_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem}"
    "figure{display:grid;grid-template-columns:200px 1fr;gap:1rem;margin:1rem 0;"
    "border-top:1px solid #ddd;padding-top:1rem}img{max-width:192px;border-radius:4px}"
    "dt{color:#666;font-size:13px}dd{margin:0 0 .5rem}table{border-collapse:collapse}"
    "td,th{padding:.2rem .8rem .2rem 0;text-align:left}"
)


class Example(NamedTuple):
    """A caption beside its image and alt-text.

    Attributes:
        score: that it is put in order by.
        pair_id: of the pair.
        image: a small JPEG; b"" without one.
        alt: the alt-text.
        caption: the caption.
        figures: in words.
    """

    score: float
    pair_id: str
    image: bytes
    alt: str
    caption: str
    figures: str


def thumbnail(image: Image.Image) -> bytes:
    """Return an image as a small JPEG."""
    small = image.copy()
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    small.convert("RGB").save(out, "JPEG", quality=80)
    return out.getvalue()


def render_examples(
    summary: Mapping[str, Any], best: Sequence[Example], worst: Sequence[Example]
) -> str:
    """Write the page."""
    style = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{style}'"
    rows = "".join(
        f"<tr><th>{html.escape(str(name))}</th><td>{html.escape(str(value))}</td></tr>"
        for name, value in summary.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>Captions</title><style>{_STYLE}</style></head><body><h1>Captions</h1>"
        f"<table>{rows}</table><h2>Best</h2>{_figures(best)}<h2>Worst</h2>{_figures(worst)}"
        "</body></html>\n"
    )


def _figures(examples: Sequence[Example]) -> str:
    return "".join(
        f"<figure>{_image(e.image)}"
        f"<dl><dt>alt-text</dt><dd>{html.escape(e.alt)}</dd>"
        f"<dt>caption</dt><dd>{html.escape(e.caption)}</dd>"
        f"<dt>{html.escape(e.pair_id)}: {html.escape(e.figures)}</dt></dl></figure>"
        for e in examples
    )


def _image(encoded: bytes) -> str:
    if not encoded:
        return "<span>(no image)</span>"
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(encoded).decode()}">'
