"""Packages that ask the Hugging Face Hub by themselves, kept from it where nothing is fetched."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from curate.metadata.fetch.offline import is_offline

__all__ = ["hub_as_told"]


@contextmanager
def hub_as_told() -> Iterator[None]:
    """Within the block, whoever fetches from the Hub finds what is in its cache, if so told.

    `HF_HUB_OFFLINE` is read once by the Hub's package, and CURATE_OFFLINE never.
    """
    if not is_offline() or find_spec("huggingface_hub") is None:
        yield
        return
    constants: Any = import_module("huggingface_hub.constants")
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
