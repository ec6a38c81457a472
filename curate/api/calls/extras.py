"""A package of an extra that is not installed, wherever it is first needed: which extra it is.

Features say so themselves where they can do without; this is for all the others, so that a missing
package never ends a command in a traceback.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from curate.errors import MissingExtraError, UsageError

__all__ = ["EXTRAS", "told_of_extras"]

# The modules that an extra's packages are imported as.
EXTRAS = {
    "train": ("torch", "tokenizers", "PIL", "safetensors", "simplejpeg", "matplotlib", "ftfy"),
    "lid": ("pycld2",),
    "segment": ("icu4py",),
    "crawl": ("can_ada", "fastwarc", "http_sf", "orjson", "selectolax", "webencodings"),
    "tibetan": ("botok",),
    "api": ("wikipediaapi",),
    "ray": ("ray",),
    "slurm": ("submitit",),
    "s3": ("s3fs",),
    "metrics": ("prometheus_client",),
    "embed": ("model2vec",),
    "dedup": ("faiss",),
    "plots": ("matplotlib",),
    "push": ("huggingface_hub",),
    "browse": ("starlette", "uvicorn", "PIL"),
    "download": ("aiohttp", "certifi", "http_sf", "PIL"),
}
# Whose extra it is where several have the package.
_FIRST = {
    "extract": "crawl", "browse": "browse",
    **dict.fromkeys(
        ("train", "eval", "export", "embed", "caption", "train-captioner", "judge-captions"),
        "train",
    ),
}  # fmt: skip


@contextmanager
def told_of_extras(command: str) -> Iterator[None]:
    """Turn a failed import of an extra's package into an error that says how to install it.

    Args:
        command: that is run, such as ``download``.

    Raises:
        MissingExtraError: such a package is not installed.
    """
    try:
        yield
    except (ImportError, UsageError) as error:
        extra = _extra_of(error, _FIRST.get(command, "download"))
        if extra is None:
            raise
        raise MissingExtraError(f"curate {command}", extra) from error


def _extra_of(error: BaseException | None, first: str) -> str | None:
    """Return the extra that lacks, None if it is no package of ours that could not be found."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError):
            module = (error.name or "").partition(".")[0]
            found = [extra for extra, modules in EXTRAS.items() if module in modules]
            return first if first in found else next(iter(found), None)
        error = error.__cause__  # what stands for S3 says in words of its own that it is not there
    return None
