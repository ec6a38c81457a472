"""What is known of texts' languages besides the texts: a page's own label, an address's country.

Records and options in, for each kind of prior the language of every record out. A column that is
not there, or holds no strings, says nothing; whether that is right, `prior_problem` tells of a
schema before the work begins.
"""

import pyarrow as pa
import pyarrow.compute as pc

from curate.curation.lid.steps import Prior
from curate.metadata.languages import OTHER, is_known_label, metadata_language
from curate.pipelines.inputs.columns.values import is_text
from curate.pipelines.inputs.records import Records
from curate.pipelines.inputs.text import invalid_utf8
from curate.pipelines.lid.addresses import languages_of_addresses
from curate.pipelines.lid.options import LidOptions

__all__ = ["prior_problem", "priors_of"]

_PAGE_LANG = "page_lang"  # as `extract` names the column
_PAGE_WEIGHT, _ADDRESS_WEIGHT = 1.5, 0.75  # nats


def prior_problem(schema: pa.Schema, column: str | None) -> str | None:
    """Return why a table's column says nothing of languages, None if it does or is not asked.

    Args:
        schema: of the table.
        column: that the user named; None for the usual one, if it is there; "" for none.
    """
    name = _PAGE_LANG if column is None else column
    if not name or (column is None and name not in schema.names):
        return None
    if name not in schema.names:
        return f"there is no column {name!r}; it has {', '.join(schema.names)}"
    kind = schema.field(name).type
    return None if _holds_text(kind) else f"column {name!r} is {kind}, expected string"


def priors_of(options: LidOptions, records: Records) -> list[Prior]:
    """Return what is known of records' languages besides their texts."""
    priors = []
    name = _PAGE_LANG if options.prior_column is None else options.prior_column
    if name in records.batch.schema.names and _holds_text(records.batch.schema.field(name).type):
        langs = _languages(records.batch.column(name))
        priors.append(Prior(langs, _PAGE_WEIGHT))
    if options.address_prior and records.urls is not None:
        priors.append(Prior(languages_of_addresses(records.urls), _ADDRESS_WEIGHT))
    return priors


def _holds_text(kind: pa.DataType) -> bool:
    return is_text(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _languages(column: pa.Array) -> pa.StringArray:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    bad = invalid_utf8(column)
    if bad:
        mask = pa.array([i in set(bad) for i in range(len(column))])
        column = pc.if_else(mask, None, column)
    labels = pc.cast(column, pa.string()).dictionary_encode()
    langs = [_language(label) for label in labels.dictionary.to_pylist()]
    return pa.array(langs, pa.string()).take(labels.indices)


def _language(label: str) -> str | None:
    """Return the language of a page's own label; None where it is no code (and often it is not)."""
    code = label.strip().replace("-", "_")
    for candidate in (code, code.split("_")[0].lower()):
        if is_known_label(candidate):
            found = metadata_language(candidate)
            return found if found != OTHER else None
    return None
