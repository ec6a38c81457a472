r"""Ids of pairs and images: the input's own where it has some, else hashes that the contract fixes.

A pair's id is the input's uid; in tars the whole key; else the first 24 hexadecimal digits of the
SHA-224 of ``url \t text``; without a URL, of the text and what else is known of the pair. So
neither the file nor a row's place in it decides: the same rows in other files have the same ids.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

from curate.curation.hashing.ids import short_hashes
from curate.pipelines.inputs.columns.images import FILE_COLUMNS, encoded_images
from curate.pipelines.inputs.columns.values import value_strings
from curate.pipelines.inputs.records import Records

__all__ = ["content_hashes", "image_ids", "pair_ids"]

# What commands of ours add, and the number of a row as pandas writes it: neither is the pair's.
# The size of an image file is: tables of two folders may name files alike.
_NOT_CONTENT = (FILE_COLUMNS - {"image_size"}) | {
    "pair_id", "image_id", "lang", "lang_score", "entry_ids", "probability",
    "text_source",
}  # fmt: skip
_ROW_NUMBER = re.compile(r"__index_level_\d+__")


def pair_ids(records: Records) -> pa.StringArray:
    """Return the id of each pair; shape (num_records,), no nulls."""
    uids, urls = _filled(records.uids), _filled(records.urls)
    if uids is not None and not uids.null_count:
        return uids
    if urls is None:
        ids = content_hashes(records)
    else:
        ids = short_hashes(urls, records.texts)
        if urls.null_count:
            without = pc.is_null(urls)
            rows = records.select(without.to_numpy(zero_copy_only=False))
            ids = pc.replace_with_mask(ids, without, content_hashes(rows))
    return ids if uids is None else pc.coalesce(uids, ids)


def image_ids(records: Records) -> pa.StringArray:
    """Return the first 24 hexadecimal digits of the sha224 of each URL; null without one."""
    urls = _filled(records.urls)
    if urls is None:
        return pa.nulls(len(records.rows), pa.string())
    ids = short_hashes(urls)
    return pc.if_else(pc.is_valid(urls), ids, None) if urls.null_count else ids


def content_hashes(records: Records) -> pa.StringArray:
    r"""Return ids made of texts and all other columns; shape (num_records,).

    The first 24 hexadecimal digits of the SHA-224 of the text and, for each other column, by name,
    whose value is neither null nor empty, ``\t name \t`` and the same hash of the value. Of an
    image column the image is hashed, however it is stored. Left out are the language, the columns
    that commands of ours add, and the row numbers that pandas adds.
    """
    pieces = [records.texts]
    for name in sorted(records.batch.schema.names):
        if name in records.columns | _NOT_CONTENT or _ROW_NUMBER.fullmatch(name):
            continue
        column = records.batch.column(name)
        values = _filled(_image_strings(column) if name == records.image else value_strings(column))
        hashes = pc.binary_join_element_wise(name, short_hashes(values), "\t")
        pieces.append(pc.if_else(pc.is_valid(values), hashes, None))
    return short_hashes(pc.binary_join_element_wise(*pieces, "\t", null_handling="skip"))


def _image_strings(column: pa.Array) -> pa.LargeStringArray:
    """Return images as strings for hashing; what is none, such as a file's name, as it is."""
    images = value_strings(encoded_images(column)).cast(pa.large_string())
    if not images.null_count:
        return images
    without = pc.is_null(images)
    others = column.filter(without)
    if pa.types.is_struct(column.type):
        has_path = column.type.get_field_index("path") >= 0
        others = pc.struct_field(others, "path") if has_path else pa.nulls(len(others), pa.string())
    others = value_strings(others).cast(pa.large_string())
    return pc.replace_with_mask(images, without, others)


def _filled(column: pa.Array | None) -> pa.Array | None:
    """Return a column with nulls for its empty strings."""
    if column is None:
        return None
    is_empty = pc.equal(pc.binary_length(column), 0)
    return pc.if_else(is_empty, None, column) if pc.any(is_empty).as_py() else column
