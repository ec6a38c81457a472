"""Drawings: whole labels, round ticks, the same bytes for the same figures."""

import re

import numpy as np
import pytest

from curate.pipelines.views.plots import Bar, bar_plot, curve_plot, drawn

pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")


def labels_of(figure):
    """Return the boxes of all texts, and of the page that is written, in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = []
    for axes in figure.axes:
        low, high = sorted(axes.get_ylim())
        beside = [t for t in axes.get_yticklabels() if low <= t.get_position()[1] <= high]
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts, *beside]
    page = figure.get_tightbbox(renderer).padded(0.12).transformed(figure.dpi_scale_trans)
    shown = [t for t in texts if t.get_text() and t.get_visible()]
    return shown, [t.get_window_extent(renderer) for t in shown], page


@pytest.mark.parametrize("long", ["en", "a language with a very long name, such as Zhangzhung" * 2])
def test_labels_are_whole_and_ticks_are_round(long):
    bars = bar_plot("Shares", "share", {long: {"all": Bar(0.731, 0.7, 0.78)}, "de": {}})
    curve = curve_plot("Pairs kept", "t", "pairs", {"kept": [(3, 10), (7_000, 123_457)]},
                       is_log=True, top=123_457, has_dots=True)  # fmt: skip
    for figure in (bars, curve):
        shown, boxes, page = labels_of(figure)
        for text, box in zip(shown, boxes, strict=True):
            inside = (box.x0 >= page.x0 and box.x1 <= page.x1 and box.y0 >= page.y0
                      and box.y1 <= page.y1)  # fmt: skip
            assert inside or not re.search(r"\w", text.get_text()), text.get_text()
    axes = curve.axes[0]
    for ticks in (axes.get_xticks(), axes.get_yticks()):
        digits = {f"{t:.4e}".split("e")[0].rstrip("0").rstrip(".") for t in ticks if t > 0}
        assert digits and all(len(d) <= 3 for d in digits), digits  # 1, 2, 2.5, 5, 7.5 …
    ticks = [t.get_text() for t in axes.get_xticklabels()]
    assert ticks[0] in ("2", "5", "10") and ticks[-1] in ("5k", "10k") and len(ticks) >= 4


def test_the_same_figures_are_the_same_bytes():
    points = [(float(x), float(np.sin(x))) for x in range(2000)] + [(2001.0, float("nan"))]
    one, two = (curve_plot("a $ <b>", "step", "loss", {"loss": points}) for _ in range(2))
    for kind, start in (("svg", b"<?xml"), ("png", b"\x89PNG")):
        found = drawn(one, kind)
        assert found == drawn(two, kind) and found.startswith(start)
    assert b"<b>" not in drawn(one, "svg")
    assert drawn(curve_plot("nothing", "x", "y", {"none": []}), "svg")
