"""Tables of images with a label (a number, or a class's name) or with captions.

Hugging Face's layout is one of these: images as structs, labels as numbers whose names stand in
the file's metadata.
"""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from curate.errors import InputError
from curate.training.eval.data import (
    EvalDataset,
    EvalSample,
    image_key,
    table_rows,
)
from curate.training.eval.prompts import Vocabulary, own_vocabulary
from curate.training.eval.table_files import PATH_COLUMNS, table_schema

__all__ = ["open_tables"]

_TEXT_COLUMNS = ("text", "TEXT", "caption", "captions", "alt", "alt_text")


def open_tables(
    path: str,
    tables: Sequence[str],
    given: tuple[Vocabulary, ...],
    num_classes: int,
    classes_file: str | None,
    templates: str | None,
    group_by: str | None,
) -> EvalDataset:
    """Open tables with a column ``label`` (zero-shot) or texts (retrieval).

    Args:
        path: as the user gave it.
        tables: the files.
        given: class names of the user's; () for those in the file, or the labels that occur.
        num_classes: of `given`.
        classes_file: where `given` is from.
        templates: for class names of the file's.
        group_by: a column to give figures by.

    Raises:
        InputError: a column is missing, or a label is no class.
    """
    schema = table_schema(tables[0])
    names = schema.names
    if group_by is not None and group_by not in names:
        raise InputError(f"{path}: there is no column {group_by!r}; it has {', '.join(names)}")
    image = next((c for c in ("image", *PATH_COLUMNS) if c in names), None)
    if image is None:
        raise InputError(
            f"{path}: there is no column image (bytes), nor {', '.join(PATH_COLUMNS)} of the names "
            f"of image files; it has {', '.join(names)}"
        )
    text = next((c for c in _TEXT_COLUMNS if c in names), None)
    if "label" not in names and text is None:
        raise InputError(
            f"{path}: nothing to compare the images with; expected a column label or text, "
            f"it has {', '.join(names)}"
        )
    groups = [group_by] if group_by else []
    if text is not None and "label" not in names:
        columns = [image, text, *groups]
        samples = partial(_caption_samples, tables, columns, text, group_by)
        return EvalDataset(name="", path=path, task="retrieval", samples=samples)
    vocabularies = given or (own_vocabulary(_class_names(tables, schema), templates),)
    number_of = _numbers(tables, schema, vocabularies, classes_file or path)
    samples = partial(_label_samples, tables, [image, "label", *groups], number_of, group_by)
    return EvalDataset(
        name="", path=path, task="zeroshot", samples=samples, vocabularies=vocabularies,
        num_classes=num_classes or len(vocabularies[0].names),
    )  # fmt: skip


def _is_number(schema: pa.Schema) -> bool:
    return bool(pa.types.is_integer(schema.field("label").type))


def _class_names(tables: Sequence[str], schema: pa.Schema) -> tuple[tuple[str, ...], ...]:
    """Return the names in Hugging Face's metadata, else the labels that occur, sorted."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        return tuple((str(name),) for name in features["label"]["names"])
    except (KeyError, TypeError, ValueError):  # the file says nothing of classes
        if _is_number(schema):
            raise InputError(
                f"{tables[0]}: labels are numbers and the file does not say of which classes; "
                "give a file of class names (--classes)"
            ) from None
    return tuple((label,) for label in sorted(_occurring(tables)))


def _occurring(tables: Sequence[str]) -> set[str]:
    return {str(row["label"]) for _, row in table_rows(tables, ["label"], 0, 1)}


def _numbers(
    tables: Sequence[str], schema: pa.Schema, vocabularies: tuple[Vocabulary, ...], classes: str
) -> dict[str, int] | None:
    """Return the number of each label that is a name; None where labels are numbers."""
    if _is_number(schema):
        return None
    number_of: dict[str, int] = {}
    for v in vocabularies:
        for i, several in zip(v.class_ids, v.names, strict=True):
            for name in several:
                number_of.setdefault(name, i)
    unknown = sorted(_occurring(tables) - set(number_of))
    if unknown:
        more = f", nor are {len(unknown) - 1} others" if len(unknown) > 1 else ""
        raise InputError(
            f"{classes}: the label {unknown[0]!r} is not in this list of classes{more}"
        )
    return number_of


def _label_samples(
    tables: Sequence[str],
    columns: Sequence[str],
    number_of: dict[str, int] | None,
    group_by: str | None,
    rank: int,
    world: int,
) -> Iterator[EvalSample]:
    for where, row in table_rows(tables, columns, rank, world):
        label = row["label"] if number_of is None else number_of[str(row["label"])]
        yield EvalSample(
            where=where, key=where, image=row["image"], label=label, groups=_groups(row, group_by)
        )


def _caption_samples(
    tables: Sequence[str],
    columns: Sequence[str],
    text: str,
    group_by: str | None,
    rank: int,
    world: int,
) -> Iterator[EvalSample]:
    for where, row in table_rows(tables, columns, rank, world):
        yield EvalSample(
            where=where,
            key=image_key(row["image"]),
            image=row["image"],
            texts=tuple(_texts(row[text])),
            groups=_groups(row, group_by),
        )


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    decoded = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values]
    return [v for v in decoded if v]


def _groups(row: dict[str, Any], group_by: str | None) -> tuple[str, ...]:
    return () if group_by is None else (str(row[group_by]),)
