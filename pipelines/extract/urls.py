"""Addresses of images: as written on a page in, absolute and normalized out, or why not.

What a browser would ask for, by the URL standard: white space around an address goes, tabs and line
breaks inside it too, backslashes are slashes, spaces are escaped, names of hosts are in ASCII. But
an ampersand that is still escaped is one.
"""

import re

from can_ada import URL, parse

__all__ = ["BaseAddress", "parse_address"]

MAX_URL_BYTES = 8192
_BLANK = " \t\n\r\f\x00"
# What templates leave that escape an address twice. A browser would ask for it as it stands, and
# servers answer that they have no such image, or another.
_AMPERSAND = re.compile(r"&(?:(?:amp|#0{0,5}38|#[xX]0{0,5}26);)+")


def parse_address(text: str) -> URL | None:
    """Return an absolute http(s) address, or None if it is not one."""
    try:
        url = parse(text)
    except (ValueError, TypeError):
        return None
    return url if url.protocol in ("http:", "https:") and url.hostname else None


class BaseAddress:
    """What relative addresses of a page are relative to: its `<base href>`, else its own."""

    def __init__(self, page: URL, base_href: str | None) -> None:
        self._page = page.href.partition("#")[0]
        self._base = page
        if base_href is not None:
            try:
                base = page + base_href
            except (ValueError, TypeError):
                return
            if base.protocol not in ("data:", "javascript:"):
                self._base = base

    def resolve(self, written: str) -> tuple[str, str | None]:
        """Return the absolute address, or "", and the reason to drop it, or None.

        The fragment goes, since no server gets to see it.

        >>> base = BaseAddress(parse("https://example.org/a/b.html"), "/c/")
        >>> base.resolve("d e.jpg#top")
        ('https://example.org/c/d%20e.jpg', None)
        >>> base.resolve("e.jpg?w=9&amp;h=9")[0]
        'https://example.org/c/e.jpg?w=9&h=9'
        >>> base.resolve("data:image/gif;base64,R0lGODlh")
        ('', 'data_uri')
        """
        written = written.strip(_BLANK)
        if "&" in written:
            written = _AMPERSAND.sub("&", written)
        if written[:5].lower() == "data:":
            return "", "data_uri"
        if len(written) > MAX_URL_BYTES:
            return "", "url_too_long"
        try:
            url = self._base + written
        except (ValueError, TypeError):
            return "", "bad_url"
        if url.protocol not in ("http:", "https:"):
            return "", "bad_scheme"
        if url.has_credentials():
            return "", "url_with_credentials"
        address = url.href
        if "#" in address:
            address = address.partition("#")[0]
        if len(address) > MAX_URL_BYTES:
            return "", "url_too_long"
        return (address, None) if address != self._page else ("", "no_url")
