"""Filters of your own, for `curate extract`, `match` and `balance`.

    curate extract 'crawl/*.warc.gz' --filter examples.filters:no_contact_data
    curate match data/pairs --filter examples.filters:few_symbols=0.3

`pipelines/inputs/filters.py` says what a filter takes and gives. To install one under a name of
its own, put this into the pyproject.toml of its package, and say `--filter no-contact-data`:

    [project.entry-points."curate.filters"]
    no-contact-data = "my_package.filters:no_contact_data"
"""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

MAIL = r"[\w.+-]+@[\w-]+\.[\w.-]*\w"
PHONE = r"\+\d[\d ()./-]{7,}\d"


def no_contact_data(batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
    """Leave out texts with a mail address or an international phone number, each with its reason.

    >>> texts = ["a red dog", "write to a.dog@example.org", "call +49 (30) 1234-567"]
    >>> keep, reasons = no_contact_data(pa.record_batch({"text": texts}))
    >>> keep.to_pylist(), reasons.to_pylist()
    ([True, False, False], [None, 'mail', 'phone'])
    """
    text = batch.column("text")
    has_mail = pc.match_substring_regex(text, MAIL)
    has_phone = pc.match_substring_regex(text, PHONE)
    reasons = pc.case_when(pc.make_struct(has_mail, has_phone), "mail", "phone")
    return pc.is_null(reasons), reasons


def few_symbols(share: str) -> Callable[[pa.RecordBatch], pa.Array]:
    """Return a filter that leaves out texts with more than a share of symbols.

    A symbol is what is no letter, mark, digit or space. A function that is given an argument on the
    command line returns the filter.

    >>> few_symbols("0.3")(pa.record_batch({"text": ["a dog!", "$$$ 9.99 $$$"]})).to_pylist()
    [True, False]
    """
    limit = float(share)

    def function(batch: pa.RecordBatch) -> pa.Array:
        text = batch.column("text")
        symbols = pc.utf8_length(pc.replace_substring_regex(text, r"[\p{L}\p{M}\p{N}\s]", ""))
        return pc.less_equal(
            pc.cast(symbols, pa.float64()), pc.multiply(limit, pc.utf8_length(text))
        )

    return function
