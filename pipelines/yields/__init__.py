"""`curate yield`: matched pairs in, how many each threshold t would keep out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.yields.exact import exact_cut
    from curate.pipelines.yields.plot import yield_plot
    from curate.pipelines.yields.stage import measure_yields
    from curate.pipelines.yields.target import Target, threshold_for_pairs
    from curate.pipelines.yields.view import yield_table

__all__ = [
    "Target", "exact_cut", "measure_yields", "threshold_for_pairs", "yield_plot", "yield_table",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "stage": ["measure_yields"],
        "exact": ["exact_cut"],
        "target": ["Target", "threshold_for_pairs"],
        "plot": ["yield_plot"],
        "view": ["yield_table"],
    },
)
