"""JSON files of ours, or of somebody else: what is missing in them says which file it is."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from curate.errors import ArtifactError

__all__ = ["OwnObject", "of_ours", "own_object", "parse_own"]

_REMEDY = "Remove it and run the command that writes it again."


class OwnObject(dict[str, Any]):
    """An object of a JSON file of ours.

    Raises:
        ArtifactError: a key that is asked for is not there.
    """

    def __init__(self, values: dict[str, Any], path: str) -> None:
        super().__init__(values)
        self.path = path

    def __missing__(self, key: str) -> Any:
        raise ArtifactError(
            f"{self.path}: not what it should be: it has no {key!r}, only "
            f"{', '.join(map(repr, sorted(self)[:8])) or 'nothing'}. {_REMEDY}"
        )

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any], str]]:
        return OwnObject, (dict(self), self.path)


def parse_own(content: bytes, path: str) -> OwnObject:
    """Return the object of a JSON file of ours.

    Raises:
        ArtifactError: it is not JSON, or no object.
    """
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: not readable as JSON ({error}). {_REMEDY}") from error
    if not isinstance(values, dict):
        raise ArtifactError(
            f"{path}: a JSON {type(values).__name__}, expected an object. {_REMEDY}"
        )
    return own_object(values, path)


def own_object(values: dict[str, Any], path: str) -> OwnObject:
    """Return the values of a JSON file of ours, with the objects in it, as such objects."""
    return OwnObject({key: _inside(value, path) for key, value in values.items()}, path)


def _inside(value: Any, path: str) -> Any:
    if isinstance(value, dict):
        return own_object(value, path)
    return [_inside(one, path) for one in value] if isinstance(value, list) else value


@contextmanager
def of_ours(path: str) -> Iterator[None]:
    """Say of values that have other types than we write which file they are in.

    Raises:
        ArtifactError: they have.
    """
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise ArtifactError(
            f"{path}: not what it should be ({type(error).__name__}: {error}). {_REMEDY}"
        ) from error
