"""Paths and URLs as text; importing this costs nothing, so that `curate --help` is quick."""

__all__ = ["join"]


def join(base: str, *parts: str) -> str:
    """Join a path or URL and relative parts.

    >>> join("s3://bucket/data/", "matched", "pairs")
    's3://bucket/data/matched/pairs'
    """
    return "/".join([base.rstrip("/") or "/", *parts])
