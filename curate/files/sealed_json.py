"""JSON files of ours: each holds the checksum of its own value, which its readers compare."""

import json
from typing import Any

import xxhash

from curate.files import storage
from curate.files.own_json import OwnObject, own_object
from curate.files.remedies import damaged

__all__ = ["CHECKSUM", "read_json", "read_json_of_anyone", "value_sum", "write_json"]

CHECKSUM = "checksum"


def value_sum(value: dict[str, Any]) -> str:
    """Return the checksum of an object as it is read from JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass"))


def write_json(path: str, value: dict[str, Any]) -> None:
    """Publish a value with its checksum as its last key, which `read_json` takes off again.

    The checksum is that of the value as it is read back: keys are texts there, tuples lists.
    """
    plain = json.loads(json.dumps(value, ensure_ascii=False))
    storage.write_json(path, {**value, CHECKSUM: value_sum(plain)})


def read_json(path: str) -> OwnObject:
    """Read a JSON object of ours.

    Raises:
        InputError: there is no such file.
        ArtifactError: it is not what was written; also when a key is asked for that it lacks.
    """
    value = read_json_of_anyone(path)
    if not isinstance(value, dict) or CHECKSUM not in value:
        damaged(path, "it has no checksum, or an earlier version wrote it")
    del value[CHECKSUM]
    return own_object(value, path)


def read_json_of_anyone(path: str, content: bytes | None = None) -> Any:
    """Read a JSON file that may be ours; if it is, it is compared with its checksum.

    Args:
        path: of the file.
        content: of it, where it was read before.

    Raises:
        InputError: there is no such file.
        ArtifactError: it is no JSON, or ours and not what was written.
    """
    try:
        value = json.loads(storage.read_bytes(path) if content is None else content)
    except (ValueError, RecursionError) as error:
        damaged(path, f"it is not JSON ({error})")
    if isinstance(value, dict) and CHECKSUM in value:
        plain = {key: held for key, held in value.items() if key != CHECKSUM}
        if value[CHECKSUM] != value_sum(plain):
            damaged(path, "its checksum differs")
    return value
