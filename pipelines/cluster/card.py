"""What is in clusters, as Markdown and as lines for a terminal."""

from collections.abc import Mapping
from typing import Any

from curate.pipelines.views.markdown import inert_markdown

__all__ = ["as_markdown", "encoder_line"]

_SHOWN_LANGUAGES = 6


def encoder_line(model: Mapping[str, Any]) -> str:
    """Say which encoder the captions' vectors are by."""
    kind = model.get("library", "a CLIP model's text tower")
    return f"{kind}, sha256 {model['sha256'][:12]}…, {model['width']} dimensions"


def as_markdown(card: Mapping[str, Any]) -> str:
    """Return the card of clusters.

    Args:
        card: as in `summary.json`.
    """
    empty = sum(one["empty_fine"] for one in card["clusters"])
    lines = [
        "# Clusters of captions", "",
        f"- pairs: {card['pairs']:,}, of which {card['without_text']:,} have no vector of their "
        "caption and are in no cluster",
        f"- vectors by: {inert_markdown(encoder_line(card['model']))}",
        f"- {card['fine']:,} fine centres ({empty:,} of them without a pair) in "
        f"{len(card['clusters']):,} clusters",
    ]  # fmt: skip
    for one in card["clusters"]:
        lines += [
            "",
            f"## Cluster {one['cluster']}",
            "",
            f"{one['pairs']:,} pairs ({one['share']:.1%}), {one['fine']:,} fine centres",
        ]
        if one["languages"]:
            shown = [f"{inert_markdown(lang)} {num / max(1, one['pairs']):.0%}"
                     for lang, num in [*one["languages"].items()][:_SHOWN_LANGUAGES]]  # fmt: skip
            lines += ["", f"Languages: {', '.join(shown)}"]
        if one["captions"]:
            lines += ["", "Captions nearest to its largest centres:", ""]
            lines += [f"- {inert_markdown(c['text'] or '')} ({inert_markdown(c['lang'] or '?')})"
                      for c in one["captions"]]  # fmt: skip
        if one["entries"]:
            lines += [
                "",
                "| entries that it has more of | language | pairs | times its share |",
                "|---|---|---|---|",
            ]
            lines += [
                f"| {inert_markdown(e.get('entry', str(e['entry_id'])))} "
                f"| {inert_markdown(e['lang'])} | {e['pairs']:,} | {e['times']:.1f} |"
                for e in one["entries"]
            ]
    return "\n".join(lines) + "\n"
