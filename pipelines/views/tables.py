"""Results as short tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len

from curate.files.sizes import several
from curate.pipelines.views.terminal import Inert, inert

__all__ = ["by_size", "cell", "in_words", "plan_lines", "render_table", "with_rest"]

MAX_LANGUAGES = 20


def render_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Align columns: the first to the left, numbers to the right.

    >>> print(render_table(["lang", "pairs"], [["en", 1200], ["de", 7]]))
    lang  pairs
    en    1,200
    de        7
    """
    cells = [list(header), *([cell(v) for v in row] for row in rows)]
    widths = [max(cell_len(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for row in cells:
        room = [" " * (w - cell_len(c)) for c, w in zip(row, widths, strict=True)]
        aligned = [row[0] + room[0], *(r + c for r, c in zip(room[1:], row[1:], strict=True))]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def cell(value: Any) -> str:
    """Return a value as a table shows it; of a text nothing is obeyed, and a row stays a row."""
    if value is None:
        return "-"
    if isinstance(value, bool | str):
        return value if isinstance(value, Inert) else inert(str(value))
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.4g}"


def plan_lines(result: Mapping[str, Any]) -> str:
    """Show what would be done, a line each."""
    return "\n".join(f"{key}: {in_words(value)}" for key, value in result.items())


def in_words(value: Any) -> str:
    """Return a value as a sentence has it, whatever it is made of.

    >>> in_words({"en": 1200, "de": None}), in_words([]), in_words({"a": [0.5, True]})
    ('en 1,200, de -', 'none', 'a 0.5, yes')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{inert(str(k))} {in_words(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(in_words, value)) or "none"
    return ("yes" if value else "no") if isinstance(value, bool) else cell(value)


def by_size(languages: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    """Return languages and their figures, the largest by `key` first."""
    return sorted(languages.items(), key=lambda item: -(item[1].get(key) or 0))


def with_rest(header: Sequence[str], rows: list[list[Any]]) -> str:
    """Show a table of languages, and how many more there are."""
    shown = render_table(header, rows[:MAX_LANGUAGES])
    more = len(rows) - MAX_LANGUAGES
    return f"{shown}\n… and {several(more, 'more language')}" if more > 0 else shown
