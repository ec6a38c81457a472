"""The built-in filters: lengths of texts and URLs, and a list of domains and URLs to leave out."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import UsageError
from curate.files import storage

__all__ = ["BUILT_IN", "OF_NUMBERS"]

BuiltIn = tuple[Callable[[pa.RecordBatch], pa.Array], dict[str, str]]

_HOST = r"^[a-zA-Z][a-zA-Z0-9+.-]*:[/\\]*(?:[^/\\?#@]*@)?(?P<host>[^/\\?#:]*)"


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"--filter {what}: {text!r} is no number; expected 0 or more")
    return int(text)


def _text_length(argument: str) -> BuiltIn:
    """Keep texts of MIN:MAX characters, both included; either may be left out."""
    first, colon, last = argument.partition(":")
    if not colon or not (first or last):
        raise UsageError(
            f"--filter text-length={argument}: expected MIN:MAX characters, such as 5:300 or 5:"
        )
    shortest = _number(first, f"text-length={argument}") if first else 0
    longest = _number(last, f"text-length={argument}") if last else None

    def function(batch: pa.RecordBatch) -> pa.Array:
        length = pc.utf8_length(batch.column("text"))
        keep = pc.greater_equal(length, shortest)
        return keep if longest is None else pc.and_(keep, pc.less_equal(length, longest))

    return function, {}


def _url_length(argument: str) -> BuiltIn:
    """Keep URLs of at most MAX bytes, and pairs without a URL."""
    longest = _number(argument, f"url-length={argument}")

    def function(batch: pa.RecordBatch) -> pa.Array:
        return pc.fill_null(pc.less_equal(pc.binary_length(batch.column("url")), longest), True)

    return function, {}


def _blocklist(argument: str) -> BuiltIn:
    """Leave out the URLs, and all of the domains, that a file lists."""
    if not argument:
        raise UsageError("--filter blocklist: expected blocklist=FILE")
    with storage.open_read(argument, decompress=True) as file:
        written = file.read().decode("utf-8", "replace").splitlines()
    lines = {line.strip() for line in written} - {""}
    lines = {line for line in lines if not line.startswith("#")}
    urls = pa.array(sorted(line for line in lines if "://" in line), pa.string())
    domains = frozenset(_ascii(line) for line in lines if "://" not in line)

    def function(batch: pa.RecordBatch) -> pa.Array:
        column = batch.column("url")
        hosts = pc.struct_field(pc.extract_regex(column, _HOST), "host").dictionary_encode()
        is_listed = np.array(
            [_is_listed(host, domains) for host in hosts.dictionary.to_pylist()], dtype=bool
        )
        found = pc.take(pa.array(is_listed), hosts.indices) if len(is_listed) else None
        blocked = pc.is_in(column, urls)
        if found is not None:
            blocked = pc.or_(blocked, pc.fill_null(found, False))
        return pc.invert(blocked)

    return function, {"sha256": storage.file_sha256(argument)}


def _ascii(domain: str) -> str:
    """Return a domain as URLs have it: in ASCII and small letters."""
    domain = domain.lower().strip(".").removeprefix("*.")
    try:
        return domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise UsageError(f"the blocklist's {domain!r} is no domain: {error}") from error


def _is_listed(host: str | None, domains: frozenset[str]) -> bool:
    """Tell whether a host or a domain above it is listed.

    >>> _is_listed("img.example.org", frozenset({"example.org"}))
    True
    >>> _is_listed("myexample.org", frozenset({"example.org"}))
    False
    """
    rest = (host or "").lower().strip(".")
    while rest:
        if rest in domains:
            return True
        rest = rest.partition(".")[2]
    return False


# Whose arguments are numbers, and name no file.
OF_NUMBERS = frozenset({"text-length", "url-length"})

BUILT_IN: dict[str, Callable[[str], BuiltIn]] = {
    "text-length": _text_length,
    "url-length": _url_length,
    "blocklist": _blocklist,
}
