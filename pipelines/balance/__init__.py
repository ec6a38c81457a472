"""`curate balance`: matched pairs in; probabilities, the kept pairs and their card out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
    from curate.pipelines.balance.uid_file import UID_DTYPE, parse_uids
    from curate.pipelines.balance.view import balance_table

__all__ = ["UID_DTYPE", "BalanceOptions", "balance_pairs", "balance_table", "parse_uids"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "stage": ["BalanceOptions", "balance_pairs"],
        "uid_file": ["UID_DTYPE", "parse_uids"],
        "view": ["balance_table"],
    },
)
