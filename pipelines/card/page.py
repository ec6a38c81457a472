"""The data card as one HTML file: page, style, script and figures, and nothing from elsewhere.

The figures stand in it as JSON, and the script makes text nodes of what it shows; a policy in the
page's head lets nothing run but this script, whose hash it names, and lets nothing be fetched.
"""

import html
import re
import shlex
from base64 import b64encode
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from curate.metadata.languages import OTHER, english_name, metadata_languages, own_name
from curate.pipelines.card.counted.content import content_lines
from curate.pipelines.card.kept import beside_text, opt_outs_text, said_of_use
from curate.pipelines.card.thumbnails import Thumbnails
from curate.pipelines.lid.step_names import STEP_NAMES
from curate.pipelines.views.html import embedded_json, policy_hash

__all__ = ["MOST_INPUTS", "page_data", "render_page", "shown_command", "target_sentence"]

MOST_INPUTS = 200
_UNSHOWN = ("metadata", "pages", "checksum")
_LISTS = ("top_entries", "top_entries_after", "tail_entries")


def render_page(card: Mapping[str, Any], thumbnails: Thumbnails | None = None) -> str:
    """Write the data card as HTML.

    Args:
        card: as `curate.pipelines.card.write` puts it together.
        thumbnails: images of its examples, JPEGs; None for none.
    """
    style, script, page = (_source(name) for name in ("card.css", "card.js", "card.html"))
    total = card["total"]
    values = {
        "title": f"{card.get('name') or 'Data card'}: {total['kept']:,} pairs",
        "summary": f"{total['kept']:,} pairs kept of {total['matched']:,} matched and "
        f"{total['read']:,} read.",
        "style": style,
        "script": script,
        "style-hash": policy_hash(style),
        "script-hash": policy_hash(script),
        "images": "; img-src data:" if thumbnails else "",
        "data": embedded_json({**page_data(card), "thumbnails": _data_urls(thumbnails or {})}),
    }
    for name in ("title", "summary"):
        values[name] = html.escape(values[name])
    return re.sub("%([a-z-]+)%", lambda found: values[found[1]], page)


def _data_urls(thumbnails: Thumbnails) -> dict[str, str]:
    """Return images as addresses that hold them, by language, decision and place."""
    return {
        f"{lang} {decision} {place}": f"data:image/jpeg;base64,{b64encode(content).decode()}"
        for (lang, decision, place), content in sorted(thumbnails.items())
    }


def _source(name: str) -> str:
    return (files("curate.pipelines.card") / "page_files" / name).read_text("utf-8")


def shown_command(card: Mapping[str, Any]) -> str:
    """Return the commands that make the set again, of very many inputs only the first.

    Args:
        card: as `curate.pipelines.card.write` puts it together.
    """
    paths = [i["path"] for i in card["inputs"]]
    command = str(card["command"])
    if len(paths) <= MOST_INPUTS:
        return command
    first = f"{shlex.join(paths[:MOST_INPUTS])} …"
    note = f"# The first {MOST_INPUTS} of {len(paths):,} inputs; datacard.json has all of them."
    return f"{note}\n{command.replace(shlex.join(paths), first)}"


def target_sentence(card: Mapping[str, Any]) -> str:
    """Say what stands on either side of the number of pairs that was asked for, and what is kept.

    >>> target = {"pairs": 60, "t": 9, "kept": 65, "below": 58}
    >>> target_sentence({"target": target, "exact": None})
    '60 pairs were asked for: t = 9 keeps 65, t = 8 keeps 58; all that t = 9 keeps are kept.'
    """
    found = card["target"]
    t = found["t"]
    below = f", t = {t - 1:,} keeps {found['below']:,}" if t > 1 else ""
    asked = f"{found['pairs']:,} pairs were asked for: t = {t:,} keeps {found['kept']:,}{below}; "
    if not card.get("exact"):
        return f"{asked}all that t = {t:,} keeps are kept."
    first = f"all that t = {t - 1:,} keeps, and of those" if t > 1 else "of those"
    return (
        f"{asked}exactly {found['pairs']:,} are kept: {first} that t = {t:,} adds the ones whose "
        "draws are the smallest share of their probability."
    )


def page_data(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows of a card: entries as rows, the first inputs, names of languages.

    Args:
        card: as `curate.pipelines.card.write` puts it together.
    """
    known = {*metadata_languages(), OTHER}
    thresholds = {c["t"] for c in card["languages"].values()} - {None}
    return {
        **{name: value for name, value in card.items() if name not in _UNSHOWN},
        "total": _compact(card["total"]),
        "languages": {lang: _compact(c) for lang, c in card["languages"].items()},
        "names": {
            lang: [english_name(lang), own_name(lang)]
            for lang in card["languages"]
            if lang in known
        },
        "t_everywhere": thresholds.pop() if len(thresholds) == 1 else None,
        "target": target_sentence(card) if card.get("target") else None,
        "command": shown_command(card),
        "beside": beside_text(card),
        "said": _said(card),
        "decided": _decided(card),
        "content_lines": content_lines(card),
        "inputs": card["inputs"][:MOST_INPUTS],
        "num_inputs": len(card["inputs"]),
    }


def _decided(card: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return how many texts each step of language identification decided, in words."""
    found = card.get("language_decided_by")
    if not found:
        return None
    steps = [[name, found[step]] for step, name in STEP_NAMES.items() if found.get(step)]
    return {"steps": steps, "second": card["lid"]["second"]}


def _said(card: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what pages and servers said of the use of their pairs: a sentence, and signals."""
    if "opt_outs" not in card:
        return []
    return [
        {"of": what, "text": opt_outs_text(found, what),
         "signals": [[name, num] for name, num in found.items() if ":" in name]}
        for what, found in said_of_use(card).items()
    ]  # fmt: skip


def _compact(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures with each entry as a row: entry, count, slots, kept, and maybe language."""
    rows = {
        name: [
            [e["entry"], e["count"], e["slots"], e["kept"], *([e["lang"]] if "lang" in e else [])]
            for e in figures[name]
        ]
        for name in _LISTS
        if name in figures
    }
    return {**figures, **rows}
