"""Machine code that numba made here, kept on disk: a file a function and kind of arguments.

numba's own cache numbers its files in an index: of two processes that begin at once each may give
its code the number of the other's, and code for other arguments, or for the other processor of two
machines that share a folder, would be run. A file's name here follows from what its code is for;
what it was made from, and its checksum, are compared before it is used.
"""

import os
import pickle
import uuid
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from numba.core.serialize import dumps

__all__ = ["KeptCode"]

_SUM_BYTES = 32


class KeptCode:
    """What is kept of a function; numba asks for it, and gives what it made.

    Args:
        folder: that is there, or is made when something is kept.
        name: of the function in it.
        made_from: what all code of the function depends on: sources, and numba's version.
    """

    def __init__(self, folder: str, name: str, made_from: str) -> None:
        self._folder, self._name = Path(folder), name
        self._made_from = sha256(made_from.encode()).digest()

    def load(self, key: Any) -> Any:
        """Return the code for a key; None where there is none that is whole and still true."""
        try:
            content = self._path(key).read_bytes()
        except OSError:
            return None
        made_from, body = content[:_SUM_BYTES], content[2 * _SUM_BYTES :]
        if made_from != self._made_from or content[_SUM_BYTES : 2 * _SUM_BYTES] != _sum(body):
            return None
        kept_for, data = pickle.loads(body)
        return data if kept_for == key else None

    def save(self, key: Any, data: Any) -> None:
        """Keep the code for a key, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        body: bytes = cast(Any, dumps)((key, data))
        path = self._path(key)
        temporary = path.with_name(f"{path.name}.tmp.{uuid.uuid4().hex[:16]}")
        try:
            temporary.write_bytes(self._made_from + _sum(body) + body)
            temporary.replace(path)
        finally:
            if temporary.exists():
                os.unlink(temporary)

    def _path(self, key: Any) -> Path:
        return self._folder / f"{self._name}.{sha256(repr(key).encode()).hexdigest()[:24]}.nbc"


def _sum(body: bytes) -> bytes:
    return sha256(body).digest()
