"""Patterns of paths, as robots.txt has them: `*` is any characters, `$` at the end the end."""

import re

__all__ = ["PathPattern", "escaped"]

_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_OTHER = re.compile(r"[^\x21-\x7e]")


def escaped(path: str) -> str:
    """Return a path in the one form in which paths and patterns are compared.

    Source: RFC 9309, section 2.2.2: characters outside of ASCII are escaped, escaped unreserved
    ones are not.

    >>> escaped("/%7efoo/é%2f")
    '/~foo/%C3%A9%2F'
    """

    def plain(found: re.Match[str]) -> str:
        character = chr(int(found[1], 16))
        return character if _UNRESERVED.match(character) else found[0].upper()

    def hidden(found: re.Match[str]) -> str:
        is_byte = "\udc80" <= found[0] <= "\udcff"  # that was no UTF-8 where it was read
        encoded = found[0].encode("utf-8", "surrogateescape" if is_byte else "surrogatepass")
        return "".join(f"%{byte:02X}" for byte in encoded)

    return _OTHER.sub(hidden, _ESCAPE.sub(plain, path))


class PathPattern:
    """A pattern of paths that begins at the root.

    Args:
        text: as it is written.
    """

    __slots__ = ("_is_whole", "_pieces", "text")

    def __init__(self, text: str) -> None:
        self.text = escaped(text)
        self._is_whole = self.text.endswith("$")
        self._pieces = self.text.removesuffix("$").split("*")

    def fits(self, path: str) -> bool:
        """Tell whether a path, in the form of `escaped`, begins as the pattern says.

        Each piece between stars is looked for once from left to right, which finds a match if
        there is one, in time linear in the pieces times the path.

        >>> PathPattern("/a*.jpg$").fits("/a/b.jpg"), PathPattern("/a").fits("/b/a")
        (True, False)
        """
        first, *others = self._pieces
        if not path.startswith(first):
            return False
        if not others:
            return path == first if self._is_whole else True
        at = len(first)
        for piece in others[:-1]:
            found = path.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        if self._is_whole:
            return path.endswith(others[-1]) and len(path) - len(others[-1]) >= at
        return path.find(others[-1], at) >= 0
