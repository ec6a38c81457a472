"""Thresholds and what they keep in, the curve of pairs kept over t out."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from curate.pipelines.views.plots import curve_plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["yield_plot"]


def yield_plot(rows: Sequence[Mapping[str, Any]], num_matched: int) -> "Figure":
    """Return a drawing of kept pairs over t on a logarithmic axis.

    Args:
        rows: of `table_of_yields`; those without a t are left out.
        num_matched: pairs matched, the top of the drawing.
    """
    points = sorted((row["t"], row["kept"]) for row in rows if row["t"])
    title = f"Pairs kept, of {num_matched:,} that matched"
    return curve_plot(
        title, "t, pairs per entry", "pairs kept", {"kept": points}, is_log=bool(points),
        top=num_matched, has_dots=True,
    )  # fmt: skip
