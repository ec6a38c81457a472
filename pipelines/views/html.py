"""Pages of our own: data in them that can end no element, and policies that name their sources."""

import base64
import json
from hashlib import sha256
from typing import Any

__all__ = ["embedded_json", "policy_hash"]


def policy_hash(source: str) -> str:
    """Return what a Content-Security-Policy calls an inline source by."""
    return f"sha256-{base64.b64encode(sha256(source.encode()).digest()).decode()}"


def embedded_json(value: Any) -> str:
    r"""Write JSON that can end no element and open no comment.

    >>> print(embedded_json("</script><!--"))
    "\u003c/script\u003e\u003c!--"
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text
