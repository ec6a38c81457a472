"""Cells, sentences and lines of code in, Markdown that reads well as its source out."""

import re
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len

from curate.pipelines.views.markdown import inert_markdown
from curate.pipelines.views.tables import cell
from curate.pipelines.views.terminal import inert

__all__ = ["code", "md_cell", "paragraph", "table"]

WIDTH = 100  # columns of a line of prose
_WIDEST = 36  # a longer cell goes beyond its column, and leaves the others as they are


def md_cell(value: Any) -> str:
    """Write a value of a table: numbers with commas, texts inert."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return cell(value)
    return f"{value:,}" if isinstance(value, int) else inert_markdown(str(value))


def code(text: str) -> str:
    """Write lines as code, in a fence that nothing in them can close."""
    shown = inert(text, allowed="\n")
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", shown))])
    return f"{fence}\n{shown}\n{fence}"


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], num_texts: int = 1) -> str:
    r"""Write a Markdown table whose columns are aligned in its source too.

    Args:
        header: names of the columns.
        rows: of values.
        num_texts: columns at the beginning that hold texts; the others hold numbers.

    >>> print(table(["entry", "pairs"], [["a|b", 1200], ["c", 7]]))
    | entry | pairs |
    | :---- | ----: |
    | a\|b  | 1,200 |
    | c     |     7 |
    """
    cells = [list(header), *([md_cell(v) for v in row] for row in rows)]
    widths = [
        max(3, *(w for row in cells if (w := cell_len(row[i])) <= _WIDEST), 0)
        for i in range(len(header))
    ]
    rule = [
        ":" + "-" * (w - 1) if i < num_texts else "-" * (w - 1) + ":" for i, w in enumerate(widths)
    ]
    lines = [_line(cells[0], widths, num_texts), "| " + " | ".join(rule) + " |"]
    return "\n".join([*lines, *(_line(row, widths, num_texts) for row in cells[1:])])


def _line(row: Sequence[str], widths: Sequence[int], num_texts: int) -> str:
    padded = []
    for i, (text, width) in enumerate(zip(row, widths, strict=True)):
        room = " " * (width - cell_len(text))
        padded.append(text + room if i < num_texts else room + text)
    return "| " + " | ".join(padded) + " |"


def paragraph(text: str) -> str:
    """Break a paragraph into lines, each of which begins with a letter, and so is no list.

    >>> [len(line) for line in paragraph("of which " * 12 + "- 2. and").splitlines()]
    [98, 17]
    """
    lines: list[str] = []
    for word in text.split(" "):
        fits = lines and len(lines[-1]) + 1 + len(word) <= WIDTH
        if lines and (fits or not word[:1].isalpha()):
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)
