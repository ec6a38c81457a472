"""Every error that this project raises on purpose.

CurateError
├── UsageError            an option or argument that cannot be meant; exit code 2
│   └── ThresholdError    a threshold t, tail share p or number of pairs out of range
├── InputError            a file of the user's that cannot be read as what it should be
│   ├── BadShareError     more bad records than ``--max-bad`` allows
│   └── FetchError        a download that did not come whole
│       └── NotFoundError the server says that there is no such file
├── DiskSpaceError        the disk is full, or would be
├── ArtifactError         one of our own files: missing, made with something else, in the way
└── MissingExtraError     a feature whose optional packages are not installed

A message says what, where, got and expected, and what to do next.
"""

from curate.distribution import conflict, install_line

__all__ = [
    "ArtifactError",
    "BadShareError",
    "CurateError",
    "DiskSpaceError",
    "FetchError",
    "InputError",
    "MissingExtraError",
    "NotFoundError",
    "ThresholdError",
    "UsageError",
]


class CurateError(Exception):
    """Base of all errors below; the command line prints it without a traceback."""

    exit_code = 1


class UsageError(CurateError):
    """An option or argument that cannot be meant."""

    exit_code = 2


class ThresholdError(UsageError, ValueError):
    """A threshold t, a tail share p or a number of pairs out of range."""


class InputError(CurateError):
    """A file of the user's that cannot be read as what it should be."""


class BadShareError(InputError):
    """More bad records than the run allows."""


class FetchError(InputError):
    """A download that did not come whole."""


class NotFoundError(FetchError):
    """The server says that there is no such file."""


class DiskSpaceError(CurateError):
    """The disk is full, or would be."""


class ArtifactError(CurateError):
    """One of our own files is missing, was made with something else, or is in the way."""


class MissingExtraError(CurateError):
    """A feature whose optional packages are not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        message = (
            f"{feature} needs packages that are not installed. "
            f"Install them with: {install_line(extra)}"
        )
        # Ours may be missing as well as those of others.
        super().__init__(" ".join(filter(None, [message, conflict()])))
