"""Paths and URLs as text; importing this costs nothing, so that `curate --help` is quick."""

__all__ = ["beside", "join"]


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
