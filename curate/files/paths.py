"""Paths and URLs as text; importing this costs nothing, so that `curate --help` is quick."""

import os

__all__ = ["beside", "cache_folder", "join"]


def join(base: str, *parts: str) -> str:
    """Join a path or URL and relative parts.

    >>> join("s3://bucket/data/", "matched", "pairs")
    's3://bucket/data/matched/pairs'
    """
    return "/".join([base.rstrip("/") or "/", *parts])


def beside(output: str) -> str:
    """Return the folder for the lease and the logs of an output.

    >>> beside("data/matched"), beside("s3://bucket/a/balanced/"), beside("out")
    ('data/.curate/matched', 's3://bucket/a/.curate/balanced', '.curate/out')
    """
    output = output.rstrip("/").removesuffix("/.next")  # where an output is made anew
    parent, _, name = output.rpartition("/")
    if parent.endswith(":/"):  # the output is a bucket itself
        return f"{output.rstrip('/')}/.curate"
    return join(parent, ".curate", name) if parent else f".curate/{name}"


def cache_folder(name: str) -> str:
    """Return where this user's cache keeps what can be had again: `name` in `curate/`."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "curate", name)
