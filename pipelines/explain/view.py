"""An explained text for a terminal: both normalizations side by side, what matched in colour."""

from collections.abc import Mapping
from typing import Any

import click

from curate.pipelines.views.tables import render_table
from curate.pipelines.views.terminal import Inert, inert

__all__ = ["explanation", "highlighted"]


def explanation(result: Mapping[str, Any], *, colour: bool = False) -> Inert:
    """Show what `explain_text` found.

    Args:
        result: of `explain_text`.
        colour: mark what matched with the terminal's colours.
    """
    lines = []
    if result.get("lang") is not None:
        score = "" if result["lang_score"] is None else f" (score {result['lang_score']:.3f})"
        lines.append(f"language: {inert(result['lang'])}{score}")
    lines += [f"  {inert(step)}" for step in result.get("lang_steps", [])]
    lines += _pair_lines(result)
    if "normalizations" not in result:
        notes = [f"note: {inert(note)}" for note in result.get("notes", [])]
        return Inert("\n".join([*lines, inert(result["decision"]), *notes]))
    both = result["normalizations"]
    for name, found in both.items():
        lines.append(f"{name}: {highlighted(found['normalized'], found['matches'], colour)}")
    if any(found["matches"] for found in both.values()):
        lines += ["", _table(both), ""]
    t = "" if result["t"] is None else f"; t is {result['t']:,}"
    lines.append(f"matched with: {result['normalization']}{t}")
    lines += [f"{name}: {inert(found['decision'])}" for name, found in both.items()]
    if lower := result.get("in_lower_case"):
        shown = ", ".join(map(inert, lower))
        lines.append(f"would match in lower case: {shown} (case counts, as published)")
    return Inert("\n".join([*lines, *(f"note: {inert(note)}" for note in result["notes"])]))


def _pair_lines(result: Mapping[str, Any]) -> list[str]:
    lines = []
    if result["pair_id"] is not None:
        stored = result.get("stored")
        where = f", row {stored['row']:,} of {inert(stored['path'])}" if stored else ""
        lines.append(f"pair: {inert(result['pair_id'])}{where}")
    if result["url"] is not None:
        lines.append(f"url: {inert(result['url'])}")
    if "stored" in result:
        lines.append(f"text: {inert(result['text'])}")
    return lines


def _table(both: Mapping[str, Mapping[str, Any]]) -> str:
    """Return each entry once, by id, and which normalization finds it."""
    matches = {m["entry_id"]: m for found in both.values() for m in found["matches"]}
    found_by = {name: {m["entry_id"] for m in found["matches"]} for name, found in both.items()}
    rows = []
    for entry_id, m in sorted(matches.items()):
        found = ["yes" if entry_id in ids else "no" for ids in found_by.values()]
        numbers = [m.get("count"), m.get("probability")]
        rows.append([inert(m["entry"]), entry_id, inert(m["source"]), *numbers, *found])
    return render_table(["entry", "id", "source", "count", "probability", *found_by], rows)


def highlighted(text: str, matches: list[dict[str, Any]], colour: bool) -> str:
    """Return a normalized text, inert, with the characters that some entry covers in colour."""
    covered = [False] * len(text)
    for match in matches:
        for start, stop in match["spans"]:
            covered[start:stop] = [True] * (stop - start)
    first = len(text) - len(text.lstrip(" "))
    pieces: list[str] = []
    last = len(text.rstrip(" "))
    while first < last:
        stop = first
        while stop < last and covered[stop] == covered[first]:
            stop += 1
        piece = inert(text[first:stop])
        styled = colour and covered[first]
        pieces.append(click.style(piece, fg="green", bold=True) if styled else piece)
        first = stop
    return "".join(pieces)
