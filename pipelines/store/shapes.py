"""What stands in the JSON files and footers of a workspace: types of values, for whoever reads.

A checksum tells that a file is what was written, not that this program wrote it. A file that has
another shape than ours is refused where it is read, with its name and the place in it. Keys that
are not there are told when they are asked for (`curate.files.own_json`).
"""

from typing import Any

from curate.errors import ArtifactError
from curate.files import sealed_json
from curate.files.own_json import OwnObject
from curate.files.remedies import remedy

__all__ = ["read_json", "require_shape", "require_stamp"]

_NUM, _T = range(2**53), range(1, 2**53 + 1)  # whole numbers that they stand for
_COUNTS = {"*": _NUM}
_SUM = {"size_bytes": _NUM, "xxh3_128": str}
_INPUTS = [
    {"path": str, "sha256": (str, None), "size_bytes": _NUM, "modified": str, "opt_outs": _COUNTS}
]
_FILTERS = [{"filter": str}]
_LID = {
    "second": str, "no_language": str, "prior_column": (str, None), "address_prior": bool,
}  # fmt: skip
_EXACT = {"pairs": int, "below": {"*": (_T, None)}, "largest": int}

_MATCHED_PLAN = {
    "schema_version": str, "inputs": _INPUTS, "parts": [dict], "retracted": (str, None),
    "dropped": (str, None),
    "parameters": {
        "normalization": str, "lang": (str, None), "lid_model": (str, None),
        "columns": {"*": (str, None)}, "metadata": {"*": str}, "filters": _FILTERS,
        "image_roots": [str], "lid": _LID, "captions": str,
    },
}  # fmt: skip
_BALANCED_PLAN = {
    "schema_version": str,
    "parameters": {
        "matched": str, "t": (_T, None), "target_pairs": (_T, None), "seed": int, "format": str,
        "reference_lang": (str, None), "t_of_language": {"*": (_T, None)}, "filters": _FILTERS,
        "exact": (_EXACT, None), "pairs_per_shard": (_T, None), "shards": (dict, None),
    },
}  # fmt: skip
_OTHER_PLAN = {"schema_version": str, "parameters": dict, "inputs": _INPUTS}
_OF_PAIRS = {
    "read": _NUM, "matched": _NUM, "dropped": _COUNTS, "lost_files": _NUM, "with_image": _NUM,
    "without_url": _NUM, "more_images": _NUM, "by_caption": _NUM, "pairs": _NUM,
    "opt_outs": _COUNTS,
    "records": {"read": _NUM, "pages": _NUM, "skipped": _COUNTS},
    "languages": {"*": {"read": _NUM, "matched": _NUM, "dropped": _COUNTS}},
    "examples": {"*": [{"lang": str, "text": str}]}, "language_decided_by": _COUNTS,
}  # fmt: skip
_SUMMARY = {
    "plan": str, "metadata_hash": str, "inputs": _NUM, "matches": _COUNTS, "parts": _NUM,
    "unknown_labels": {"*": int}, "repeated_ids": {"copies": _NUM, "others": _NUM}, **_OF_PAIRS,
}  # fmt: skip
_CARD = {
    "matched": str, "balanced": str, "total": {"kept": _NUM, "matched": _NUM, "read": _NUM},
    "languages": {"*": {"kept": _NUM, "matched": _NUM, "read": _NUM}},
    "pages": {"*": _SUM}, "metadata": {"*": str},
    "opt_outs": {"pairs": _COUNTS, "sources": {"*": str}},
    "downloaded": {"pairs": _NUM, "images": _NUM, "failed": _COUNTS, "opt_outs": _COUNTS},
    "name": str, "license": str, "date": str,
    "by": {"*": [{"value": (str, None), "matched": _NUM, "kept": _NUM}]}, "content": dict,
}  # fmt: skip
_FILES = ([{"url": (str, None), "file": str}], None)
_MADE_FROM = {
    "kinds": [str], "thresholds": {"*": (float, None)}, "dumps": _FILES, "pageviews": _FILES,
    "wordnet": _FILES, "union_of": {"*": str},
}  # fmt: skip
_REPORT = {
    "most_viewed": ({"missing_share": float, "titles": _NUM, "examples": [str]}, None),
    "script": (str, None),
}  # fmt: skip
_MANIFEST = {
    "languages": {"*": {
        "sha256": str, "entries": _NUM, "made_from": _MADE_FROM, "report": _REPORT,
        "sources": _COUNTS, "articles": [{"layout": str, "date": (str, None)}],
    }},
    "failed": dict, "absent": [str], "beyond_table": [str],
}  # fmt: skip
_CONTENT = {
    "share": float,
    "pairs": _NUM,
    "with_url": _NUM,
    "sampled": _NUM,
    "texts": str,
    "urls": str,
    "chars": _COUNTS,
    "hosts": _COUNTS,
}
# What stands in the footer of a Parquet file of ours, whichever stage wrote it.
_STAMP = {
    "sha256": str, "made_from": _MADE_FROM, "report": _REPORT, "lang": str, "plan": str,
    "kept": _COUNTS, "content": _CONTENT,
    "summary": {**_OF_PAIRS, "unknown_labels": {"rows": _NUM, "first": _COUNTS}},
}  # fmt: skip
_SHARD = {
    "parameters": str, "sha256": str, "size_bytes": _NUM, "tar": _SUM, "index": _SUM, "pairs": _NUM,
    "images": _NUM, "without_url": _NUM, "without_image": _COUNTS, "converted": _COUNTS,
    "count": _NUM, "successes": _NUM, "failed_to_download": _NUM, "failed_to_resize": _NUM,
    "status_dict": _COUNTS, "opt_outs": _COUNTS, "content": _CONTENT,
}  # fmt: skip
_MODEL_CARD = {
    "model": dict, "train": dict, "parameters": int, "pairs_seen": _NUM, "averaged": bool,
    "pairs_per_epoch": (int, None), "epochs": (float, None), "final_loss": (float, None),
    "init_sha256": (str, None), "tokenizer_sha256": (str, None), "num_shards": _NUM, "shards": str,
    "balanced": (str, None), "bad_steps": _NUM, "machine": dict, "skipped": _COUNTS,
    "datacard_sha256": (str, None), "consumed_sha256": str,
    "evaluations": {"*": {"task": str, "images": _NUM}},
    "contaminated": {"*": {"images": _NUM, "pairs": _NUM}}, "contaminated_pairs": _NUM,
}  # fmt: skip
_CONSUMED = {
    "pairs": _NUM,
    "languages": {"*": {
        "pairs": _NUM, "share": float, "matches": _NUM, "distinct_entries": _NUM,
        "top_entries": [{"entry_id": int, "entry": str, "pairs": _NUM}],
    }},
}  # fmt: skip
_BY_NAME: dict[str, Any] = {
    "summary.json": _SUMMARY, "datacard.json": _CARD, "manifest.json": _MANIFEST,
    "modelcard.json": _MODEL_CARD, "consumed.json": _CONSUMED,
    "sums.json": {"files": {"*": _SUM}}, "swap.json": {"sign": str, "moves": [str], "gone": [str]},
}  # fmt: skip


def read_json(path: str) -> OwnObject:
    """Read a JSON file of a workspace.

    Raises:
        InputError: there is no such file.
        ArtifactError: it is not what was written, or not what this program writes.
    """
    value = sealed_json.read_json(path)
    require_shape(value, _shape_of(path, value), path)
    return value


def require_stamp(value: dict[str, Any], path: str) -> None:
    """Compare what stands in the footer of a Parquet file of ours with what should.

    Raises:
        ArtifactError: it is not what this program writes.
    """
    require_shape(value, _STAMP, path)


def _shape_of(path: str, value: dict[str, Any]) -> Any:
    folder, _, name = path.rpartition("/")
    if name == "plan.json":
        is_balanced = "t_of_language" in _keys(value.get("parameters"))
        return _MATCHED_PLAN if "parts" in value else _BALANCED_PLAN if is_balanced else _OTHER_PLAN
    is_shard = folder.endswith("shards") or name.endswith("_stats.json")
    return _BY_NAME.get(name, _SHARD if is_shard else {})


def _keys(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def require_shape(value: Any, shape: Any, path: str, place: str = "") -> None:
    """Compare values with what they should be.

    Args:
        value: of a JSON file.
        shape: a type, a range that a whole number is in, a tuple of shapes of which one has to
            hold, a list with the shape of each element, or shapes by key, where "*" is of all
            keys; a key need not be there.
        path: of the file, for the message.
        place: in it, likewise.

    Raises:
        ArtifactError: a value is of another type.

    >>> require_shape({"a": 1, "b": [None]}, {"a": int, "b": [(str, None)]}, "a.json")
    """
    problem = _problem(value, shape, place)
    if problem is not None:
        raise ArtifactError(f"{path}: not what it should be: {problem}. {remedy(path)}")


def _problem(value: Any, shape: Any, place: str) -> str | None:
    """Return what is wrong with a value, None if nothing is."""
    if isinstance(shape, tuple):
        found = [_problem(value, one, place) for one in shape]
        return None if None in found else found[0]
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return _wrong(value, "an object", place)
        asked = ((key, shape[key] if key in shape else shape.get("*")) for key in value)
        return _first(_problem(value[k], of, f"{place}.{k}") for k, of in asked if of is not None)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _wrong(value, "a list", place)
        return _first(_problem(one, shape[0], f"{place}[{n}]") for n, one in enumerate(value))
    if isinstance(shape, range):
        return None if type(value) is int and value in shape else _not_in(value, shape, place)
    if shape is None:
        return None if value is None else _wrong(value, "null", place)
    kinds = (int, float) if shape is float else shape
    is_right = isinstance(value, kinds) and (shape is bool or not isinstance(value, bool))
    return None if is_right else _wrong(value, shape.__name__, place)


def _first(problems: Any) -> str | None:
    return next((one for one in problems if one is not None), None)


def _not_in(value: Any, shape: range, place: str) -> str:
    if type(value) is not int:
        return _wrong(value, "a whole number", place)
    return f"{place.lstrip('.') or 'it'} is {value}, expected {shape.start} to {shape.stop - 1}"


def _wrong(value: Any, expected: str, place: str) -> str:
    kind = "an object" if isinstance(value, dict) else f"a {type(value).__name__}"
    return f"{place.lstrip('.') or 'it'} is {kind}, expected {expected}"
