"""What was embedded, as a table for a terminal."""

from collections.abc import Mapping
from typing import Any

from curate.files.sizes import several
from curate.pipelines.embedded.figures import BORROWED

__all__ = ["embed_table"]


def embed_table(result: Mapping[str, Any], output: str) -> str:
    """Show how many pairs have which vectors, and what the others lack."""
    if "parts_to_do" in result:
        return "\n".join(f"{key.replace('_', ' ')}: {result[key]:,}"
                         for key in ("parts", "parts_to_do"))  # fmt: skip
    lines = [f"{several(result['pairs'], 'pair')} in {several(result['parts'], 'part')}"]
    if "images" in result:
        again = result.get(BORROWED, 0)
        lines.append(f"images looked at, each once: {result['images']:,}"
                     + (f"; handed over to later parts: {again:,}" if again else ""))  # fmt: skip
    for kind in ("image", "text"):
        about = result["columns"].get(kind)
        if about is not None:
            lines.append(f"{kind} vectors: {result[f'{kind}_vectors']:,} of width {about['width']}"
                         f" by {about['sha256'][:12]}")  # fmt: skip
        if lost := result[f"without_{kind}"]:
            shown = ", ".join(f"{reason} {num:,}" for reason, num in lost.items())
            lines.append(f"pairs without a usable {kind}: {shown}")
    if repeated := result.get("repeated_ids"):
        lines.append(f"pairs whose id has stood before: copies {repeated['copies']:,}, other pairs "
                     f"{repeated['others']:,}")  # fmt: skip
    return "\n".join([*lines, f"→ {output}"])
