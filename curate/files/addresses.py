"""Addresses as they are written down and shown: without passwords, tokens and signatures.

An address is opened as the user gave it. What a plan, a stamp, a card, a log or a message says of
it is what `without_secrets` leaves, which is also what it is known by: two addresses that differ
only in a secret name the same file. So a signed address may be signed anew for every run.
"""

import re
from collections.abc import Callable
from urllib.parse import unquote_plus

__all__ = ["hide_secrets", "without_secrets"]

# Where the text before the @ is a container, an owner or a path, and no user's.
_NO_USERS = frozenset({"abfs", "abfss", "adl", "wasb", "wasbs", "git", "github"})
# Parts of names of parameters that hold a secret in whoever's API.
_TELLING = re.compile(
    r"token|secret|passw|passphrase|passcode|signature|credential|api_?-?key|access_?-?key|"
    r"private_?-?key|^(x-amz-|x-goog-|x-oss-|q-)",
    re.IGNORECASE,
)
# Whole names, likewise; and what only comes with a signature and changes with it: CloudFront's
# policy, what Azure's shared access signatures allow, until when.
_SECRET = frozenset(
    {"auth", "authorization", "bearer", "hmac", "jwt", "key", "key-pair-id", "googleaccessid",
     "awsaccesskeyid", "ossaccesskeyid", "pass", "pwd", "sas", "sig", "sign"}
)  # fmt: skip
_WITH_SIGNATURE = frozenset(
    {"expires", "policy", "se", "st", "sp", "spr", "sr", "ss", "srt", "sv", "sip", "si", "sdd",
     "skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid", "ses"}
)  # fmt: skip
_BETWEEN_LINKS = re.compile(r"::(?=[A-Za-z][A-Za-z0-9+.-]*(?:://|::))")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# An address within a sentence: up to a blank, a quote or a bracket.
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>`]+")
# Clients of HTTP name the server apart: "with url: /a.tar?token=…".
_PATH_IN_TEXT = re.compile(r"(?<!\S)/[^\s?\"'<>`]*\?[^\s\"'<>`]+")
_END_OF_SENTENCE = ".,:;!)]}"


def without_secrets(address: str) -> str:
    """Return a path or URL without what gives access: user, password, token, signature.

    Chained URLs of fsspec are taken link by link. A local path is returned as it is.

    >>> without_secrets("https://me:pw@example.org/a.tar?X-Amz-Signature=f00&part=2")
    'https://example.org/a.tar?part=2'
    >>> without_secrets("zip://a.csv::s3://key:se/cret@bucket/a.zip"), without_secrets("a?key=b")
    ('zip://a.csv::s3://bucket/a.zip', 'a?key=b')
    """
    if "://" not in address:
        return address
    return "::".join(_bare(link) for link in _BETWEEN_LINKS.split(address))


def hide_secrets(text: str) -> str:
    """Return a text without the secrets of the addresses in it.

    >>> hide_secrets("cannot open 'https://me:pw@example.org/a': 403. Try again")
    "cannot open 'https://example.org/a': 403. Try again"
    """
    text = _IN_TEXT.sub(lambda found: _hidden(found[0], without_secrets), text)
    return _PATH_IN_TEXT.sub(lambda found: _hidden(found[0], _without_parameters), text)


def _hidden(found: str, bare: Callable[[str], str]) -> str:
    address = found.rstrip(_END_OF_SENTENCE)
    return bare(address) + found[len(address) :]


def _bare(link: str) -> str:
    scheme = _SCHEME.match(link)
    if scheme is None or scheme[1].lower() in ("file", "local"):
        return link
    rest = link[scheme.end() :]
    if scheme[1].lower() not in _NO_USERS:
        stop = min(at for at in (rest.find("?"), rest.find("#"), len(rest)) if at >= 0)
        rest = _without_user(rest[:stop]) + rest[stop:]
    return scheme[0] + _without_parameters(rest)


def _without_parameters(path: str) -> str:
    """Return a path without the parameters in its query and its fragment that are secrets."""
    before, hash_sign, fragment = path.partition("#")
    place, question, query = before.partition("?")
    query, fragment = _open_parameters(query), _open_parameters(fragment)
    return place + (question + query if query else "") + (hash_sign + fragment if fragment else "")


def _without_user(place: str) -> str:
    """Return host and path; a secret key before the @ may hold slashes, as Amazon's do.

    >>> [_without_user(p) for p in ("me:pw@host/a@b", "key:se/cret@bucket/a", "h:80/a@b")]
    ['host/a@b', 'bucket/a', 'h:80/a@b']
    """
    authority, slash, path = place.partition("/")
    if "@" in authority:
        return authority.rpartition("@")[2] + slash + path
    _, colon, password = authority.rpartition(":")
    is_port = password.isdecimal() or authority.endswith("]")
    if colon and not is_port and "@" in path:
        return place.partition("@")[2]
    return place


def _open_parameters(query: str) -> str:
    """Return the parameters of a query that are no secrets, as they were written."""
    pieces = re.split(r"([&;])", query)
    names = [unquote_plus(p.partition("=")[0]).strip() if "=" in p else "" for p in pieces[::2]]
    is_secret = [_is_secret(name) for name in names]
    if any(is_secret):
        is_secret = [
            found or name.lower() in _WITH_SIGNATURE
            for found, name in zip(is_secret, names, strict=True)
        ]
    kept = [piece for piece, secret in zip(pieces[::2], is_secret, strict=True) if not secret]
    return query if len(kept) == len(names) else "&".join(kept)


def _is_secret(name: str) -> bool:
    return name.lower() in _SECRET or _TELLING.search(name) is not None
