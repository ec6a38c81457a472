"""Messages for callers of the API: options in them as keywords, where a shell has `--text-column`.

Below the API messages name options as the command line does, which is where most are read. Here, at
the one boundary that every call of a function passes, they become what the caller can write.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module

from curate.errors import CurateError
from curate.files.remedies import is_python

__all__ = ["in_keywords", "told_in_keywords"]

_MODULES = (
    "balancing", "captions", "crawl", "duplicates", "images", "judge", "looking",
    "machine", "matching", "metadata", "models", "published", "publishing", "stored", "vectors",
)  # fmt: skip
# A command line stays as it is; then an option, and what is its value rather than a word.
_PATTERN = re.compile(
    r"(?P<line>\b(?:curate|ulimit|pip|git|torchrun) -?[a-z][^`\n]*)|(?<![\w-])"
    r"(?P<option>--[a-z][a-z0-9-]*|-w)(?![\w-])"
    r"(?: (?P<value>[\w.]*[0-9][\w.]*|\w+(?:,\w+)+|none|wordnet|slurm|ray|api|keep|counts|cpu|"
    r"matched|cuda)\b(?! of\b))?"
    r"(?P<verb>(?= (?:is|has|was|names|goes|takes|needs|keeps|changes)\b))?"
)


@contextmanager
def told_in_keywords() -> Iterator[None]:
    """Have errors that leave the block name options as keywords, unless a shell is spoken to.

    Raises:
        CurateError: as it came, in other words.
    """
    try:
        yield
    except CurateError as error:
        if is_python() and error.args:
            error.args = (in_keywords(str(error)), *error.args[1:])
        raise


def in_keywords(text: str) -> str:
    """Return a message with its options as keywords of functions.

    >>> in_keywords("no text column. Name it with --text-column, or use --sources wordnet")
    "no text column. Name it with text_column=, or use sources='wordnet'"
    >>> in_keywords("--t is 0; replace it with --overwrite, or run `curate match --overwrite`")
    't is 0; replace it with overwrite=True, or run `curate match --overwrite`'
    """
    return _PATTERN.sub(_keyword, text)


def _keyword(found: re.Match[str]) -> str:
    if found["line"] is not None:
        return found[0]
    name = "workspace" if found["option"] == "-w" else found["option"][2:].replace("-", "_")
    name = name if f"{name}_" not in _switches() else f"{name}_"
    is_switch = _switches().get(name)
    if is_switch is None and name.startswith("no_") and name[3:] in _switches():
        return f"{name[3:]}=False"
    if is_switch is None:
        return found[0]
    if found["verb"] is not None and found["value"] is None:
        return name
    if is_switch:
        return f"{name}=True" + (f" {found['value']}" if found["value"] else "")
    value = found["value"]
    return f"{name}=" + ("" if value is None else value if value.isdigit() else repr(value))


@cache
def _switches() -> dict[str, bool]:
    """Return the names of all options, and whether each is either there or not."""
    from curate.api.calls.command import parameters_of

    found: dict[str, bool] = {}
    for module in _MODULES:
        names = import_module(f"curate.api.{module}")
        for function in (getattr(names, name) for name in names.__all__):
            if hasattr(function, "__wrapped__"):
                kinds = {p.name: p.kind in (bool, bool | None) for p in parameters_of(function)}
                found |= kinds
    return found
