"""What an API function says of itself: its options, each with its description and default.

A function's own docstring describes its own options under `Args:`. Options that several functions
share (where things are, how much is shown) are described here, once, and are added to the
docstrings of the functions that have them. The command line reads all of this.
"""

import inspect
import os
import re
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, NamedTuple, TypeVar, cast, get_type_hints

from curate.api.calls.options import CLUSTER_DEFAULTS, ClusterOptions
from curate.files.remedies import FUNCTIONS

__all__ = ["Parameter", "command", "parameters_of", "sentence_of"]

Function = TypeVar("Function", bound=Callable[..., Any])

# What is an argument on the command line.
_ARGUMENTS = ("inputs", "listing", "text", "a", "b", "data", "run", "path", "captioner",
              "repository")  # fmt: skip

SHARED = {
    "workspace": "folder or URL of all results; default: CURATE_WORKSPACE, else data.",
    "output": "write here instead of into the workspace.",
    "metadata": "metadata folder instead of the workspace's.",
    "matched": "matched folder instead of the workspace's.",
    "balanced": "balanced folder instead of the workspace's.",
    "downloaded": "folder of download --from matched, with the images; default: the workspace's, "
    "if it is there.",
    "filter": "text-length=MIN:MAX, url-length=MAX, blocklist=FILE, an installed filter or "
    "package.module:function; several, for all of them.",
    "image_root": "folder that images may be read from besides those of the inputs; several, for "
    "all of them.",
    "lid_model": "fastText model instead of lid.176.ftz.",
    "url_column": "name of the URL column.",
    "text_column": "name of the alt-text column.",
    "reference_lang": "t is this language's; others get its tail share.",
    "seed": "of the draws.",
    "max_bad": "share of bad records that is allowed, 0 to 1.",
    "pairs_per_shard": "size of a shard.",
    "resize": "no, keep_ratio, keep_ratio_largest, border, center_crop.",
    "image_size": "pixels of the resized side.",
    "quality": "of a JPEG or WebP that is written; 1 to 100.",
    "resize_only_if_bigger": "leave smaller images as they are.",
    "shuffle_shards": "all; or so many at a time, which takes less disk; 0: as matched.",
    "image_format": "of all images: jpg, png, webp; keep: each as it is.",
    "device": "cpu, cuda; default: a GPU if there is one.",
    "workers": "processes or threads; default: all cores. The result is the same.",
    "overwrite": "replace what is there.",
    "dry_run": "tell what would be done; write nothing.",
    "quiet": "no progress and no messages.",
}


class Parameter(NamedTuple):
    """An option of an API function.

    Attributes:
        name: as a keyword.
        kind: its type, such as ``str | None``.
        default: its value where it is not given; `inspect.Parameter.empty` if it has to be.
        text: what it means, a sentence or a few.
        is_cluster: whether it says where parts are worked on.
    """

    name: str
    kind: Any
    default: Any
    text: str
    is_cluster: bool = False


def command(function: Function) -> Function:
    """Make a command of an API function.

    Its signature and docstring are completed with what it shares with others, and what it is called
    with is noted for the commands that messages suggest. Where it meets a limit of the machine (a
    full disk, open files, threads) it says which.
    """
    own = inspect.signature(function)
    shown = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    if len(shown) < len(own.parameters):
        hints = ClusterOptions.__annotations__
        shown += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default,
                              annotation=hints[name])
            for name, default in CLUSTER_DEFAULTS.items()
        ]  # fmt: skip
    signature = own.replace(parameters=shown)
    function.__signature__ = signature  # type: ignore[attr-defined]
    before, mark, after = inspect.cleandoc(function.__doc__ or "").partition("\nArgs:\n")
    if mark:
        known = _described(function)
        args, blank, rest = after.partition("\n\n")
        added = [f"    {p.name}: {_text_of(p.name, known)}" for p in shown if p.name not in known]
        function.__doc__ = "\n".join([before + mark + args, *added]) + blank + rest
    own_names = {function: name for name, function in FUNCTIONS.items()}
    name = own_names.get(function.__name__, function.__name__.replace("_", "-"))

    @wraps(function)
    def run(*arguments: Any, **options: Any) -> Any:
        from curate.api.calls.extras import told_of_extras
        from curate.api.calls.keywords import told_in_keywords
        from curate.files.limits import told_of_limits
        from curate.files.remedies import called, in_force

        given = {
            key: _as_option(value) for key, value in options.items()
            if key not in signature.parameters or not _is_default(value, signature.parameters[key])
        }  # fmt: skip
        words: list[str] = []
        for key, value in zip(signature.parameters, arguments, strict=False):
            if key in _ARGUMENTS:
                words += _as_words(value)
            elif value is not None:
                given[key] = _as_option(value)
        for key in [key for key in given if key in _ARGUMENTS]:
            words += _as_words(given.pop(key))
        with in_force(name, tuple(words), given), told_in_keywords(), told_of_limits(), \
                told_of_extras(name):  # fmt: skip
            found = function(*arguments, **options)
            if hasattr(found, "called"):
                found.called = called()
            return found

    return cast(Function, run)


def _is_default(value: Any, parameter: inspect.Parameter) -> bool:
    """Tell whether a value is a parameter's default; a frame compares to nothing but itself."""
    plain = isinstance(value, bool | str | int | float | os.PathLike | None)
    return plain and value == parameter.default


def _as_option(value: Any) -> Any:
    """Return an option as a suggestion writes it; … for what is in memory alone."""
    if isinstance(folder := getattr(value, "folder", None), str):
        return folder
    if isinstance(value, list | tuple):
        return [_as_option(one) for one in value]
    return value if isinstance(value, bool | str | int | float | os.PathLike) else "…"


def _as_words(value: Any) -> list[str]:
    """Return an argument as words of a command line; what is in memory has none."""
    if isinstance(value, str | os.PathLike):
        return [os.fspath(value)]
    if isinstance(value, list | tuple):
        return [word for one in value for word in _as_words(one)]
    return []


@cache
def _cluster_texts() -> dict[str, str]:
    return _entries(ClusterOptions.__doc__ or "", "Attributes")


def _text_of(name: str, known: dict[str, str]) -> str:
    return known.get(name) or SHARED.get(name) or _cluster_texts()[name]


def _described(function: Callable[..., Any]) -> dict[str, str]:
    return _entries(function.__doc__ or "", "Args")


def _entries(docstring: str, section: str) -> dict[str, str]:
    r"""Return what a section of a docstring says of each name, in a line.

    >>> _entries("Sums.\n\nArgs:\n    a: one,\n        or more.\n    b: two.\n", "Args")
    {'a': 'one, or more.', 'b': 'two.'}
    """
    _, _, body = inspect.cleandoc(docstring).partition(f"{section}:\n")
    found: dict[str, str] = {}
    name = ""
    for line in body.split("\n"):
        start = re.match(r" {4}(\w+): (.+)", line)
        if start:
            name, found[start[1]] = start[1], start[2]
        elif name and line.startswith(" " * 8):
            found[name] += " " + line.strip()
        else:
            break
    return found


def parameters_of(function: Callable[..., Any]) -> list[Parameter]:
    """Return the options of an API function, in order.

    Raises:
        KeyError: one of them is described nowhere.
    """
    known = _described(function)
    hints = get_type_hints(function) | get_type_hints(ClusterOptions)
    return [
        Parameter(
            name=p.name, kind=hints[p.name], default=p.default, text=_text_of(p.name, known),
            is_cluster=p.name in CLUSTER_DEFAULTS,
        )
        for p in inspect.signature(function).parameters.values()
    ]  # fmt: skip


def sentence_of(function: Callable[..., Any]) -> str:
    """Return the first line of a function's docstring."""
    return inspect.cleandoc(function.__doc__ or "").partition("\n")[0]
