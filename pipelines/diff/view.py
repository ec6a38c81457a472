"""What `curate diff` found, as short tables for a terminal."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from curate.files.sizes import several
from curate.pipelines.views.tables import render_table
from curate.pipelines.views.terminal import inert

__all__ = ["diff_table"]

_MOST_ROWS = 20
_SHOWN = 60


def diff_table(result: Mapping[str, Any]) -> str:
    """Show what `compare_folders` found."""
    if result["kind"] == "metadata":
        lines = _metadata_lines(result)
    else:
        lines = _pair_lines(result)
    if result["differences"]:
        lines += ["", "made with:"]
        lines += [
            f"  {inert(d['name'])}: {_short(d['a'])} → {_short(d['b'])}"
            for d in result["differences"][:_MOST_ROWS]
        ]
    return "\n".join(lines)


def _short(value: Any) -> str:
    text = "nothing" if value is None else inert(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _names(values: Sequence[str]) -> str:
    return ", ".join(map(inert, values))


def _metadata_lines(result: Mapping[str, Any]) -> list[str]:
    rows = sorted(
        result["languages"].items(), key=lambda item: -item[1]["added"] - item[1]["removed"]
    )
    keys = ("a", "b", "both", "removed", "added", "other_source", "other_id")
    header = ["lang", "A", "B", "both", "removed", "added", "other source", "other id"]
    table = [["all", *(result["entries"][k] for k in keys)]]
    table += [[inert(lang), *(v[k] for k in keys)] for lang, v in rows[:_MOST_ROWS]]
    lines = [render_table(header, table)]
    if len(rows) > _MOST_ROWS:
        lines.append(f"… and {several(len(rows) - _MOST_ROWS, 'more language')}")
    lines.append(f"equal: {_names(result['languages_equal']) or 'no language'}")
    for lang, values in rows[:_MOST_ROWS]:
        for what in ("removed", "added"):
            if values[f"examples_{what}"]:
                more = ", …" if len(values[f"examples_{what}"]) < values[what] else ""
                lines.append(f"{inert(lang)} {what}: {_names(values[f'examples_{what}'])}{more}")
    return lines


def _pair_lines(result: Mapping[str, Any]) -> list[str]:
    rows = sorted(result["languages"].items(), key=lambda item: -sum(item[1]["pairs"].values()))
    pairs = ("both", "changed", "only_a", "only_b")
    shift = ("kl_a_b_bits", "moved_share")
    header = ["lang", "both", "changed", "only A", "only B", "KL bits", "moved", "tail A", "tail B"]
    table: list[list[Any]] = [
        ["all", *(result["pairs"][k] for k in pairs), *(result[k] for k in shift), None, None]
    ]
    table += [
        [inert(lang), *(v["pairs"][k] for k in pairs), *(v[k] for k in shift),
         v["a"]["tail_share"], v["b"]["tail_share"]]
        for lang, v in rows[:_MOST_ROWS]
    ]  # fmt: skip
    lines = [render_table(header, table)]
    if len(rows) > _MOST_ROWS:
        lines.append(f"… and {several(len(rows) - _MOST_ROWS, 'more language')}")
    if result["largest_changes"]:
        changes = [
            [inert(c["entry"]), inert(c["lang"]), c["count_a"], c["count_b"],
             f"{c['share_a']:.3%}", f"{c['share_b']:.3%}"]
            for c in result["largest_changes"]
        ]  # fmt: skip
        lines += ["", "largest changes of an entry's share of the matches:"]
        lines.append(render_table(["entry", "lang", "A", "B", "share A", "share B"], changes))
    if gained := result["tail_gained"]:
        num = sum(v["tail_entries_that_gain"] for v in result["languages"].values())
        gain, lose = (
            sum(v[f"entries_that_{what}"] for v in result["languages"].values())
            for what in ("gain", "lose")
        )
        shown = ", ".join(
            f"{inert(c['entry'])} ({inert(c['lang'])}) {c['count_a']:,}→{c['count_b']:,}"
            for c in gained
        )
        more = ", …" if len(gained) < num else ""
        lines += ["", f"entries that gain matches from A to B: {gain:,}, that lose: {lose:,}; of "
                      f"A's tail {num:,} gain: {shown}{more}"]  # fmt: skip
    for side in ("a", "b"):
        if result[f"examples_only_{side}"]:
            lines.append(f"only {side.upper()}: {_names(result[f'examples_only_{side}'])}")
    return lines
