"""WebDataset tars in, their samples as pairs out: texts, fields of JSON, where images are."""

import json
from collections.abc import Sequence
from typing import Any, TypeGuard

import pyarrow as pa

from curate.files import storage
from curate.files.remedies import suggest
from curate.files.sizes import several
from curate.pipelines.browse.pair_sets import (
    Group,
    PairSet,
    UnreadableError,
    own_columns,
    vanished,
)  # fmt: skip
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.inputs.rows import Part, Rows, Unreadable
from curate.pipelines.inputs.tar import read_tar
from curate.pipelines.matched.image_sources import ImageSources
from curate.pipelines.store.pools import concat_pool

__all__ = ["tar_set"]

_LONGEST_JSON = 1 << 20
_LOOKED_AT = 8  # tars, for the columns of all


def tar_set(name: str, label: str, paths: Sequence[str]) -> PairSet:
    """Return the pairs of WebDataset tars, ours or anybody's.

    Args:
        name: of the set.
        label: as people read it.
        paths: of the tars.

    Raises:
        UnreadableError: none of the first ones can be read.
    """
    groups: list[Group] = []
    first = 0
    for part, path in enumerate(paths):
        rows = _promised(path)
        groups.append(Group(path, part, None, first, rows))
        first = -1 if rows < 0 or first < 0 else first + rows
    images = ImageSources(tuple((path, "tar") for path in paths), (), True)
    damage: dict[int, str] = {}

    def read(group: Group, columns: list[str] | None) -> pa.Table:
        del columns  # a tar is read whole
        table, lost = _tar_table(group.path)
        if lost:
            damage[group.part] = lost
        return table

    found = PairSet(name, label, groups, {}, images, True, ColumnNames(), read, lambda _: None,
                    damage=damage)  # fmt: skip
    if groups:
        schema = _first_samples(found).schema
        found.columns = own_columns(schema, found.roles((), schema))
    return found


def _first_samples(tars: PairSet) -> pa.Table:
    """Return the samples of a tar, of the first ones one that has some.

    Raises:
        UnreadableError: none of them can be read.
    """
    found: pa.Table | None = None
    failed: UnreadableError | None = None
    for number in range(min(len(tars.groups), _LOOKED_AT)):
        try:
            found = tars.table(number, None)
        except UnreadableError as error:  # it is told when its samples are asked for
            failed = failed or error
            continue
        if found.num_rows:
            return found
    if found is None and failed is not None:
        raise failed
    assert found is not None
    return found


def _promised(path: str) -> int:
    """Return how many samples the index beside a tar lists, -1 without one."""
    beside = path.removesuffix(".tar") + ".idx"
    if not storage.exists(beside):
        return -1
    with storage.open_read(beside) as file:
        words = file.readline(64).split()
    return int(words[1]) if len(words) == 2 and words[1].isdigit() else -1


def _tar_table(path: str) -> tuple[pa.Table, str]:
    """Read the texts and the JSON of a tar's samples as columns, and where their images are.

    Returns:
        The table; and what of the tar cannot be read, "" where all can.

    Raises:
        ArtifactError: it is gone.
        UnreadableError: it is damaged from the beginning on.
    """
    if not storage.exists(path):
        raise vanished(path)
    found = list(read_tar(Part(path=path, sha256="", kind="tar")))
    pieces = [
        pa.table({**{n: rows.batch.column(n) for n in rows.batch.schema.names if n != "json"},
                  **_fields(rows.batch.column("json").to_pylist())})
        for rows in found if isinstance(rows, Rows)
    ]  # fmt: skip
    why = "; ".join(one.detail for one in found if isinstance(one, Unreadable))
    again = (f"Run `{suggest('balance')}` or `{suggest('download')}` again if it is ours; else "
             "fetch it again, or leave it out.")  # fmt: skip
    if not pieces and why:
        raise UnreadableError(f"{path}: it holds no samples ({why}). {again}")
    if not pieces:  # a whole tar, as of a shard whose images could not be had
        return pa.table({"uid": pa.array([], pa.string()), "text": pa.array([], pa.string())}), ""
    table = concat_pool(pieces)
    at = table.column_names.index("text")
    texts = [None if t is None else t.decode("utf-8", "replace") for t in table["text"].to_pylist()]
    num = several(table.num_rows, "sample")
    lost = why and f"{path}: only the first {num} can be read ({why}). {again}"
    return table.set_column(at, "text", pa.array(texts, pa.string())), lost


def _fields(raws: list[bytes | None]) -> dict[str, pa.Array]:
    """Return the fields of samples' JSON as columns: what `balance` writes, and the input's own."""
    objects = []
    for raw in raws:
        try:
            value = json.loads(raw) if raw and len(raw) < _LONGEST_JSON else {}
        except (ValueError, RecursionError):
            value = {}
        objects.append(value if isinstance(value, dict) else {})
    names = dict.fromkeys(n for one in objects for n in one)
    found: dict[str, pa.Array] = {}
    taken = {"uid", "url", "text", "lang", "image_file", "image_offset", "image_size", "image_ext",
             "image_more", "json", "caption"}  # fmt: skip
    for name in names:
        values = [one.get(name) for one in objects]
        if name == "entry_ids":
            ids = [v if isinstance(v, list) and all(type(i) is int and 0 <= i < 1 << 32 for i in v)
                   else None for v in values]  # fmt: skip
            found[name] = pa.array(ids, pa.list_(pa.uint32()))
        elif name == "probability":
            found[name] = pa.array([float(v) if _is_exact(v) else None for v in values],
                                   pa.float64())  # fmt: skip
        elif name == "pair_id":  # what is no text is no id of ours; the sample's key is one
            if any(isinstance(v, str) for v in values):
                found[name] = _column([v if isinstance(v, str) else None for v in values])
        elif name not in taken and not name.startswith("image_") and _encodable(name):
            found[name] = _column(values)
    return found


def _is_exact(value: Any) -> TypeGuard[float]:
    """Tell whether a value is a number that a float holds as it is: long ids are not."""
    return isinstance(value, float) or (type(value) is int and abs(value) <= 1 << 53)


def _column(values: list[Any]) -> pa.Array:
    if all(v is None or _is_exact(v) for v in values):
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    shown = [
        None if v is None else v if isinstance(v, str) else json.dumps(v, ensure_ascii=False)
        for v in values
    ]
    return pa.array(
        [None if v is None else v.encode("utf-8", "replace").decode() for v in shown], pa.string()
    )


def _encodable(name: str) -> bool:
    return name.isprintable() and len(name) <= 100
