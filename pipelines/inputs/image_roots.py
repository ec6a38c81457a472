"""Folders that images may be read from: whatever a table names, nothing outside of them."""

import os
from collections.abc import Sequence
from urllib.parse import unquote

from curate.files import storage
from curate.files.addresses import without_secrets

__all__ = ["ImageRoots", "folder_of"]


def folder_of(path: str) -> str:
    """Return the folder that a file is in; of an address, without its query.

    >>> folder_of("in/a.csv"), folder_of("a.csv"), folder_of("/a.csv")
    ('in', '.', '/')
    """
    if storage.is_remote(path):
        path = path.partition("?")[0]
    folder, slash, _ = path.rpartition("/")
    return folder or slash or "."


class ImageRoots:
    """Folders, or single files, as the user gave them: local, or addresses with their secrets.

    A local file has to lie below a folder after all links are resolved. A remote one has to be
    below an address as it is written, without a step upwards however it is spelled.
    """

    def __init__(self, roots: Sequence[str]) -> None:
        self._local = [
            os.path.realpath(storage.local_path(r)) for r in roots if storage.is_local(r)
        ]
        self._remote = [r for r in roots if storage.is_remote(r)]

    def address(self, name: str) -> str | None:
        """Return where a file is opened; None if it is in none of the folders.

        Args:
            name: path or address, without secrets.
        """
        if "::" in name or "\0" in name:  # a chain of file systems, of which any may be a server
            return None
        if storage.is_local(name):
            real = os.path.realpath(storage.local_path(name))
            inside = any(real == r or real.startswith(r.rstrip("/") + "/") for r in self._local)
            return real if inside else None
        return next((found for root in self._remote if (found := _below(root, name))), None)


def _below(root: str, name: str) -> str | None:
    """Return the address of a file below a root, with what gives access to the root.

    >>> _below("https://me:pw@h/a?sig=x", "https://h/a/b.jpg"), _below("s3://b/a", "s3://b/ab.jpg")
    ('https://me:pw@h/a/b.jpg?sig=x', None)
    """
    bare = without_secrets(root)
    if name == bare:
        return root
    start = bare.partition("?")[0].rstrip("/") + "/"
    rest = unquote(name[len(start) :])
    if not name.startswith(start) or ".." in rest.replace("\\", "/").split("/"):
        return None
    base, question, query = root.partition("?")
    return f"{base.rstrip('/')}/{name[len(start) :]}{question}{query}"
