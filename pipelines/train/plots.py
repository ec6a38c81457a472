"""What a run saw and how its loss fell in, drawings of it out."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from curate.pipelines.views.plots import Bar, bar_plot, can_draw, curve_plot, write_plot
from curate.pipelines.views.progress import log

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["languages_plot", "loss_plot", "write_plots"]


def loss_plot(points: Sequence[tuple[float, float]]) -> "Figure":
    """Return a drawing of the loss over steps.

    Args:
        points: (step, loss), in order.
    """
    return curve_plot("Loss", "step", "loss", {"loss": points})


def languages_plot(shares: Mapping[str, float]) -> "Figure":
    """Return a drawing of the share of pairs of each language, in the order given."""
    bars = {lang: {"pairs": Bar(share)} for lang, share in shares.items()}
    return bar_plot("Languages of the pairs seen", "share of the pairs", bars)


def write_plots(
    folder: str, points: Sequence[tuple[float, float]], shares: Mapping[str, float]
) -> None:
    """Write both drawings of a run as SVG and PNG, if there is something to draw with."""
    if not can_draw():
        log(f"{folder}: no plots, since matplotlib is not installed; the extra `plots` brings it")
        return
    for name, figure in (("loss", loss_plot(points)), ("languages", languages_plot(shares))):
        for kind in ("svg", "png"):
            write_plot(f"{folder}/{name}.{kind}", figure)
