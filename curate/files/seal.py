"""What this user wrote into a workspace, told from what came with somebody else's copy of one.

A workspace notes where its inputs and its other folders are. Whoever gives a workspace away could
have it name any server and any file, so that such a note is followed only if it bears a seal: a
keyed hash, whose key lies in the user's own folder, `$XDG_STATE_HOME/curate/key`, and nowhere else.
Where there is no such folder nothing is sealed, and the user has to name things again.
"""

import hmac
import json
import os
import secrets
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

__all__ = ["is_sealed", "seal"]

_KEY_BYTES = 32


def seal(value: Any) -> str | None:
    """Return the seal of a JSON-able value; None where this user has no place for a key."""
    key = _key(_folder())
    if key is None:
        return None
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), sha256).hexdigest()


def is_sealed(value: Any, found: object) -> bool:
    """Tell whether what is found beside a value is the seal that this user would give it."""
    expected = seal(value)
    is_text = isinstance(found, str) and found.isascii()
    return expected is not None and is_text and hmac.compare_digest(expected, str(found))


def _folder() -> str | None:
    chosen = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(chosen):
        return os.path.join(chosen, "curate")
    home = os.path.expanduser("~")
    return os.path.join(home, ".local", "state", "curate") if os.path.isabs(home) else None


@cache
def _key(folder: str | None) -> bytes | None:
    """Return the user's key, made when it is first needed; None where that cannot be."""
    if folder is None:
        return None
    path = Path(folder) / "key"
    try:
        if not path.exists():
            _make_key(path)
        key = path.read_bytes()
    except OSError:  # a home that is only read, or none: the user is asked instead
        return None
    return key if len(key) == _KEY_BYTES else None


def _make_key(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
        os.link(temporary, path)  # of several at once, the first one's key is everybody's
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)
