"""What to type next, in words that can be pasted: with the options in force.

On the command line that is a command, for callers of the API a call of its function.

The API notes what it was called with (`in_force`); whoever suggests a command asks for it here. The
same command carries all of its options, another one the folders that it shares. Of a file of ours
that is damaged, where it lies says which command makes it anew.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from keyword import iskeyword
from typing import Any, NamedTuple, NoReturn, TypeVar

from curate.errors import ArtifactError

__all__ = [
    "Called",
    "called",
    "carried",
    "damaged",
    "in_force",
    "in_force_again",
    "is_python",
    "on_command_line",
    "remedy",
    "suggest",
]

Value = TypeVar("Value")


class Called(NamedTuple):
    """A function of the API, and what it was called with.

    Attributes:
        command: that it is on the command line.
        words: its arguments.
        options: by their names in Python, those that were given and are not the default.
        is_python: whether it was called from Python, and not by the command line.
    """

    command: str = ""
    words: tuple[str, ...] = ()
    options: Mapping[str, Any] = {}  # noqa: RUF012
    is_python: bool = False


# Folders of a stage's output that a file may lie in, from the innermost on.
_INNER = ("pairs", "rejected", "found", "_extract", ".next")
_MARKS = (
    ("manifest.json", "build-metadata"),
    ("_extract", "extract"),
    ("probabilities", "balance"),
    ("config.json", "train"),
    ("counts", "match"),
    ("parts.parquet", "match"),
)

_WITH_ARGUMENTS = ("match", "extract", "retract", "eval", "export")
# Commands whose function has another name.
FUNCTIONS = {"yield": "yield_grid", "eval": "evaluate"}
_NEVER = ("overwrite", "dry_run", "quiet")
# What writes folders of a workspace whose files do not tell.
_OF_FOLDER = {
    "embeddings": "embed", "deduped": "dedup", "scores": "score", "decontaminated": "decontaminate",
    "downloaded": "download", "sampled": "sample", "clusters": "cluster",
    "judged": "judge-captions",
}  # fmt: skip
_SHARED = {
    "metadata": ("match", "explain", "retract"),
    "matched": ("balance", "card", "yield", "explain", "retract"),
    "balanced": ("card", "download", "explain", "retract"),
}

_NOTHING = Called()
_called: ContextVar[Called] = ContextVar("called", default=_NOTHING)
_is_shell: ContextVar[bool] = ContextVar("is_shell", default=False)


@contextmanager
def in_force(command: str, words: tuple[str, ...], options: Mapping[str, Any]) -> Iterator[None]:
    """Note within the block what a function of the API was called with.

    Args:
        command: such as ``balance``.
        words: its arguments.
        options: by their names in Python, those that were given and are not the default.
    """
    with in_force_again(Called(command, words, options, not _is_shell.get())):
        yield


@contextmanager
def on_command_line() -> Iterator[None]:
    """Have whatever is suggested within the block be something to type into a shell."""
    token = _is_shell.set(True)
    try:
        yield
    finally:
        _is_shell.reset(token)


def is_python() -> bool:
    """Tell whether who is spoken to called a function from Python."""
    return _called.get().is_python


def called() -> Called:
    """Return what is noted, for threads and processes, which begin with nothing."""
    return _called.get()


@contextmanager
def in_force_again(noted: Called) -> Iterator[None]:
    """Note within the block what another thread or process has noted."""
    token = _called.set(noted)
    try:
        yield
    finally:
        _called.reset(token)


def carried(function: Callable[..., Value]) -> Callable[..., Value]:
    """Return a function that knows in another thread what is noted here."""
    noted = called()

    def with_it(*arguments: Any) -> Value:
        with in_force_again(noted):
            return function(*arguments)

    return with_it


def suggest(command: str, *words: str) -> str:
    """Return a command line that somebody can paste, or a call of its function.

    Args:
        command: such as ``balance``.
        words: arguments and options that it is to have, as on the command line.

    >>> suggest("build-metadata", "--lang", "de")
    'curate build-metadata --lang de'
    >>> with in_force("balance", (), {"t": "20k", "workspace": "my data"}):
    ...     print(suggest("balance", "--overwrite"), suggest("yield"))
    curate.balance(t='20k', workspace='my data', overwrite=True) \
curate.yield_grid(workspace='my data')
    >>> with on_command_line(), in_force("balance", (), {"t": "20k", "workspace": "my data"}):
    ...     print(suggest("balance", "--overwrite"))
    curate balance --t 20k -w 'my data' --overwrite
    """
    begun, arguments, options, _ = _called.get()
    if command == begun:
        kept = {name: value for name, value in options.items() if name not in _NEVER}
        first, last = [*arguments, *_words(kept, words)], list(words)
    else:
        kept = {name: options[name] for name, users in _SHARED.items()
                if name in options and command in users}  # fmt: skip
        kept |= {name: value for name, value in options.items() if name == "workspace"}
        if command == "build-metadata" and "metadata" in options:
            kept["output"] = options["metadata"]  # where it is read is where it is to be
        first, last = list(words), _words(kept, words)
    if is_python():
        return _call(command, [*first, *last])
    return shlex.join(["curate", command, *first, *last])


def _words(options: Mapping[str, Any], given: tuple[str, ...]) -> list[str]:
    """Write options as on a command line, but for those that are given anew."""
    found = []
    for name, value in options.items():
        option = "-w" if name == "workspace" else f"--{name.rstrip('_').replace('_', '-')}"
        if option in given or value is False:
            continue
        values = value if isinstance(value, list | tuple) else [value]
        for one in values:
            found += [option] if one is True else [option, str(one)]
    return found


def _call(command: str, words: list[str]) -> str:
    """Write a command line as a call of the command's function.

    >>> _call("match", ["a b.parquet", "--lang", "de", "--filter", "x", "--filter", "y", "-w", "…"])
    "curate.match('a b.parquet', lang='de', filter=['x', 'y'], workspace=…)"
    """
    arguments: list[str] = []
    options: dict[str, list[str]] = {}
    name = None
    for word in words:
        if word.startswith("-") and not word[1:2].isdigit():
            name = "workspace" if word == "-w" else word.lstrip("-").replace("-", "_")
            name += "_" if iskeyword(name) else ""
            options.setdefault(name, [])
        elif name is None:
            arguments.append(_literal(word))
        else:
            options[name].append(_literal(word))
            name = None
    keywords = [f"{key}={_one_or_all(values)}" for key, values in options.items()]
    first = [f"[{', '.join(arguments)}]"] if len(arguments) > 1 and command != "diff" else arguments
    if not first and command in _WITH_ARGUMENTS:
        first = ["…"]
    function = FUNCTIONS.get(command, command.replace("-", "_"))
    return f"curate.{function}({', '.join([*first, *keywords])})"


def _literal(word: str) -> str:
    return word if word in ("…", "INPUTS") else repr(word)


def _one_or_all(values: list[str]) -> str:
    return f"[{', '.join(values)}]" if len(values) > 1 else next(iter(values), "True")


def remedy(path: str) -> str:
    """Return a sentence that says how to make a file anew.

    >>> remedy("data/balanced/probabilities/en.parquet")
    'Remove it and run `curate balance` again with the same options: it is made anew.'
    >>> with on_command_line(), in_force("status", (), {"workspace": "mine"}):
    ...     remedy("mine/balanced/plan.json")
    'Run `curate balance -w mine` again with the same options and --overwrite.'
    """
    command = _command(path)
    name = path.rstrip("/").rsplit("/", 1)[-1]
    if name == "retracted.parquet":
        again = suggest("retract")
        return f"Take it from a backup, or remove it and run `{again}` with the whole list."
    words = ("--from", "matched") if "downloaded" in path.split("/")[-3:] else ()
    again = suggest(command, *words)
    if name == "plan.json":
        return f"Run `{again}` again with the same options and --overwrite."
    if command == "build-metadata":
        lang = name.removesuffix(".parquet").partition(".")[0]
        if lang != name and not name.endswith(".json"):
            again = suggest(command, "--lang", lang)
        return f"Run `{again}` for its language again, with --overwrite."
    if command == "extract":
        return f"Run `{again}` again with the same files and --overwrite."
    return f"Remove it and run `{again}` again with the same options: it is made anew."


def damaged(path: str, why: str) -> NoReturn:
    """Refuse a file that is not what was written.

    Raises:
        ArtifactError: always.
    """
    raise ArtifactError(f"{path} is damaged: {why}. {remedy(path)}")


def _command(path: str) -> str:
    if "/.working/" in path and _called.get().command:
        return _called.get().command  # who reads what is there while a run is under way has made it
    folder = path.rstrip("/").rpartition("/")[0]
    for part in reversed(folder.split("/")[-2:]):
        if part in _OF_FOLDER:
            return _OF_FOLDER[part]
    name = path.rsplit("/", 1)[-1]
    inner = folder.rsplit("/", 1)[-1]
    if _is_there(folder.removesuffix("/pairs").removesuffix("/journal"), "centres.parquet"):
        return "cluster"
    if inner == "probabilities" or name.startswith("datacard."):
        return "balance"
    if inner == "checkpoints" or name in ("config.json", "tokenizer.json", "modelcard.json"):
        return "train"
    if inner == "shards":
        return "download" if _is_there(folder, "plan.json") else "balance"
    if inner in ("counts", "journal", "counting") or name in ("summary.json", "parts.parquet"):
        return "extract" if inner == "_extract" else "match"
    while folder.rsplit("/", 1)[-1] in _INNER and "/" in folder:
        if _is_there(folder, "_extract"):
            return "extract"
        folder = folder.rpartition("/")[0]
    found = (command for mark, command in _MARKS if _is_there(folder, mark))
    return next(found, "match" if inner in ("pairs", "rejected") else "balance")


def _is_there(folder: str, name: str) -> bool:
    from curate.files import storage  # what is suggested is loaded by every command

    return bool(folder) and storage.exists(storage.join(folder, name))
