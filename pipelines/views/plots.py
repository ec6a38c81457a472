"""Figures in, drawings out: SVG or PNG, by matplotlib, with round ticks and labels that are whole.

The same figures are the same bytes, as long as matplotlib is the same. Nothing here has a global
state, so that threads and notebooks do not get into each other's way.
"""

import io
import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.errors import MissingExtraError, UsageError
from curate.files import storage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Bar", "bar_plot", "can_draw", "curve_plot", "drawn", "kind_of_plot", "write_plot"]

KINDS = ("svg", "png")
_COLOURS = ("#0b7a6b", "#1b66d1", "#b7791f", "#a8455a", "#5a646b")
_SOFT = "#5a646b"
_MAX_POINTS = 600
_LONGEST_LINE = 30  # characters of a name beside a bar, which goes on below then
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "curate", "svg.fonttype": "path", "font.size": 10, "axes.edgecolor": "#b8c0bd",
    "axes.labelcolor": _SOFT, "xtick.color": _SOFT, "ytick.color": _SOFT, "axes.titlesize": 12,
    "axes.titleweight": "bold", "axes.titlelocation": "left", "font.family": "DejaVu Sans",
}  # fmt: skip


class Bar(NamedTuple):
    """A bar: its value, and the ends of its interval where there is one."""

    value: float
    low: float | None = None
    high: float | None = None


def can_draw() -> bool:
    """Tell whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def kind_of_plot(path: str, option: str) -> str:
    """Return what a file's name asks for, and that it can be had, before anything is computed.

    Raises:
        UsageError: it is neither SVG nor PNG.
        MissingExtraError: matplotlib is not installed.
    """
    kind = path.rpartition(".")[2].lower()
    if kind not in KINDS:
        raise UsageError(f"{option} is {path!r}; expected a name that ends in .svg or .png")
    if not can_draw():
        raise MissingExtraError("drawing plots", "plots")
    return kind


def short_number(value: float) -> str:
    """Write a number at a tick: 20,000 as 20k.

    >>> [short_number(v) for v in (0, 0.25, 950, 20_000, 1_500_000, 3e9)]
    ['0', '0.25', '950', '20k', '1.5M', '3G']
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def curve_plot(
    title: str,
    x_label: str,
    y_label: str,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    is_log: bool = False,
    top: float | None = None,
    has_dots: bool = False,
) -> "Figure":
    """Return a drawing of curves.

    Args:
        title: above it.
        x_label: below it.
        y_label: beside it.
        curves: points (x, y) by name, in order of x; those that are not finite are left out.
        is_log: whether x is on a logarithmic axis.
        top: the largest y, whose share the right axis shows; None for none.
        has_dots: whether points are marked.
    """
    figure, axes = _figure(title, (7.2, 4.2))
    for number, (name, points) in enumerate(curves.items()):
        thinned = points if has_dots else _thin(points)
        xs, ys = [x for x, _ in thinned], [y for _, y in thinned]
        axes.plot(xs, ys, color=_COLOURS[number % len(_COLOURS)], label=name, linewidth=1.8,
                  marker="o" if has_dots else None, markersize=4)  # fmt: skip
    if is_log:
        _log_axis(axes, [x for points in curves.values() for x, _ in points])
    else:
        _round_ticks(axes.xaxis)
    _round_ticks(axes.yaxis)
    if top:
        axes.set_ylim(0, top * 1.04)
        beside = axes.secondary_yaxis("right", functions=(_over(top), _times(top)))
        beside.yaxis.set_major_formatter(_formatter(lambda v: f"{100 * v:g} %"))
        beside.spines["right"].set_visible(False)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if len(curves) > 1:
        figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def bar_plot(title: str, x_label: str, bars: Mapping[str, Mapping[str, Bar]]) -> "Figure":
    """Return a drawing of shares as horizontal bars, in the order given.

    Args:
        title: above it.
        x_label: below it.
        bars: by row, and within a row by series.
    """
    series = list(dict.fromkeys(name for row in bars.values() for name in row))
    names = [fill(name, _LONGEST_LINE) for name in bars]
    num_lines = sum(max(1 + name.count("\n"), max(1, len(series)) ** 0.7 * 1.4) for name in names)
    figure, axes = _figure(title, (7.2, 1.3 + 0.21 * num_lines))
    height = 0.78 / max(1, len(series))
    for number, name in enumerate(series):
        at = [i + height * (number - (len(series) - 1) / 2) for i in range(len(bars))]
        found = [row.get(name, Bar(0.0)) for row in bars.values()]
        ends = [
            [max(0.0, b.value - (b.value if b.low is None else b.low)) for b in found],
            [max(0.0, (b.value if b.high is None else b.high) - b.value) for b in found],
        ]
        has_ends = any(any(side) for side in ends)
        drawn_bars = axes.barh(at, [b.value for b in found], height * 0.92, label=name,
                               color=_COLOURS[number % len(_COLOURS)],
                               xerr=ends if has_ends else None, ecolor="#161a1d",
                               error_kw={"elinewidth": 1})  # fmt: skip
        axes.bar_label(drawn_bars, [f"{100 * b.value:.1f} %" for b in found], padding=4, fontsize=8,
                       color=_SOFT)  # fmt: skip
    axes.set_yticks(range(len(bars)), [name.replace("$", r"\$") for name in names])
    axes.invert_yaxis()
    axes.margins(x=0.14)
    _round_ticks(axes.xaxis)
    axes.xaxis.set_major_formatter(_formatter(lambda v: f"{100 * v:g} %"))
    axes.set_xlabel(x_label)
    axes.grid(visible=False, axis="y")
    if len(series) > 1:
        figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def drawn(figure: "Figure", kind: str) -> bytes:
    """Return a drawing as SVG or PNG."""
    from matplotlib import rc_context

    out = io.BytesIO()
    with rc_context(_STYLE):
        nothing: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(out, format=kind, dpi=160, bbox_inches="tight", pad_inches=0.12,
                       metadata=nothing)  # fmt: skip
    return out.getvalue()


def write_plot(path: str, figure: "Figure") -> None:
    """Publish a drawing as what its name says, SVG or PNG."""
    with storage.publish(path) as file:
        file.write(drawn(figure, path.rpartition(".")[2].lower()))


def _figure(title: str, size: tuple[float, float]) -> "tuple[Figure, Axes]":
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        axes = figure.add_subplot()
        axes.set_title(fill(title, 70).replace("$", r"\$"))
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.grid(visible=True, color="#e6eae8", linewidth=0.8)
        axes.set_axisbelow(True)
    return figure, axes


def _formatter(write: Any) -> Any:
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: write(value))


def _round_ticks(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(_formatter(short_number))


def _log_axis(axes: "Axes", xs: Sequence[float]) -> None:
    """Put ticks at 1, 2 and 5 times powers of ten, or at these alone where there are many."""
    from matplotlib.ticker import FixedLocator, NullLocator

    low, high = min(xs, default=1), max(xs, default=10)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if last - first <= 3 else (1,)
    ticks = [m * 10.0**p for p in range(first, last + 1) for m in steps]
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([t for t in ticks if low / 1.5 <= t <= high * 1.5]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(_formatter(short_number))


def _over(top: float) -> Any:
    return lambda value: value / top


def _times(top: float) -> Any:
    return lambda value: value * top


def _thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Average neighbours until there are few enough to draw."""
    finite = [p for p in points if all(math.isfinite(v) for v in p)]
    size = math.ceil(len(finite) / _MAX_POINTS) or 1
    groups = [finite[i : i + size] for i in range(0, len(finite), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]
