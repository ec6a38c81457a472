"""The encoding of a page: bytes and what the server said in, what the parser takes out.

In the order of the HTML standard: byte order mark, HTTP header, `<meta>`; a page that declares
nothing is UTF-8 if it is valid UTF-8, else windows-1252. Labels are those of the Encoding standard,
in which `gb2312` means GB18030, `iso-8859-1` windows-1252, `shift_jis` what Windows calls so.
"""

import codecs
import re

import webencodings

__all__ = ["decode_page", "declared_encoding"]

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"),
          (codecs.BOM_UTF16_BE, "utf-16-be"))  # fmt: skip
# The standard asks for 1,024 bytes at least; browsers look on until the body begins.
_SCANNED_BYTES = 4096
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_META = re.compile(rb"<meta[\s/][^>]*", re.IGNORECASE)
_CHARSET = re.compile(rb"""charset\s*=\s*["']?\s*([^\s"'/>;]+)""", re.IGNORECASE)
_XML = re.compile(rb"""\A\s*<\?xml[^>]*?encoding\s*=\s*["']([^"'>]+)""")


def decode_page(raw: bytes, charset: str | None) -> bytes | str:
    """Return a page as the parser takes it: UTF-8 as bytes, all else decoded.

    Args:
        raw: the page's bytes.
        charset: label in the HTTP header.

    Returns:
        Bytes that are no valid UTF-8 become U+FFFD in the parser; so do others here.

    Source: HTML standard, section 13.2.3 (sniffing); Encoding standard, section 4.2 (labels).

    >>> decode_page("<p>кот".encode("cp1251"), "windows-1251")
    '<p>кот'
    """
    for mark, name in _MARKS:
        if raw.startswith(mark):
            raw = raw[len(mark) :]
            return raw if name == "utf-8" else raw.decode(name, "replace")
    found = _codec(charset) or declared_encoding(raw)
    if found is None:
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            found = "cp1252"
    return raw if found in (None, "utf-8") else raw.decode(found or "utf-8", "replace")


def declared_encoding(raw: bytes) -> str | None:
    """Return Python's name of the encoding that a page declares in itself, or None.

    >>> declared_encoding(b'<meta charset="gb2312">')
    'gb18030'
    """
    head = raw[:_SCANNED_BYTES]
    labels = [_XML.match(head)]
    if b"charset" in head or b"CHARSET" in head or b"Charset" in head:
        head = _COMMENT.sub(b"", head)
        labels += [_CHARSET.search(tag.group()) for tag in _META.finditer(head)]
    for label in labels:
        name = _codec(label.group(1).decode("latin-1")) if label else None
        if name is not None:  # a page whose declaration could be read is not UTF-16
            return "utf-8" if name.startswith("utf-16") else name
    return None


def _codec(label: str | None) -> str | None:
    """Return Python's name of the encoding that a label means on the web, or None."""
    encoding = webencodings.lookup(label) if label else None
    if encoding is None or encoding.name == "replacement":
        return None
    if encoding.name == "gbk":
        return "gb18030"
    return "cp1252" if encoding.name == "x-user-defined" else str(encoding.codec_info.name)
