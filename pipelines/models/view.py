"""Published models for a terminal."""

from collections.abc import Mapping
from typing import Any

from curate.pipelines.views.tables import cell, render_table

__all__ = ["models_table"]

_SHORT = {"ImageNet": "IN", "CVQA-LOCAL": "CVQA"}


def models_table(result: Mapping[str, Any]) -> str:
    """Show the models, a row each, and what one has to know of them."""
    rows = [
        [
            one["name"], f"{one['parameters'] / 1e6:,.0f} M", one["image_size"], one["languages"],
            f"{one['score']:.1f} {_SHORT[one['measure']]}", "yes" if one["cached"] else "",
        ]
        for one in result["models"]
    ]  # fmt: skip
    header = ["model", "parameters", "pixels", "languages", "zero-shot", "here"]
    table = render_table(header, [[cell(value) for value in row] for row in rows])
    notes = [f"{one['name']}: {one['note']}" for one in result["models"] if one["note"]]
    licences = ", ".join(sorted({one["licence"] for one in result["models"]}))
    last = (
        f"scores as published, in percent (IN: ImageNet; CVQA: CVQA-LOCAL). Licence of the "
        f"weights: {licences}"
    )
    return "\n".join([table, *notes, last, f"cache: {result['cache']}"])
