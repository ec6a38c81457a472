"""Wikitext in, plain text out, in one pass over the markup and a few over what is left.

Words and pairs of words need far less than a parser gives. What is inside templates, tables,
references, formulas and comments is left out; links give their labels. Every step is linear in
the length of the text, whatever its brackets do.
"""

import html
import re
from collections import Counter

__all__ = ["strip_wikitext"]

# Elements whose content is no running text.
_DROPPED = (
    "ref|math|gallery|syntaxhighlight|source|timeline|score|chem|ce|hiero|imagemap|templatedata|"
    "graph|mapframe|maplink|style|includeonly|section"
)
# Inside these, brackets mean nothing.
_RAW = frozenset({"comment", "math", "chem", "ce", "syntaxhighlight", "source", "timeline", "score",
                  "graph", "templatedata", "mapframe", "maplink", "style"})  # fmt: skip

_MARKUP = re.compile(
    rf"(?P<open_comment><!--)|(?P<close_comment>-->)"
    rf"|<(?P<open_tag>{_DROPPED})\b[^<>]*?(?P<empty>/?)>"
    rf"|</(?P<close_tag>{_DROPPED})\s*>"
    r"|(?P<open_table>^[ \t:]*\{\|)|(?P<close_table>^[ \t]*\|\}(?!\}))"
    r"|(?P<open_template>\{\{)|(?P<close_template>\}\})"
    r"|(?P<open_link>\[\[)|(?P<close_link>\]\])",
    re.MULTILINE | re.IGNORECASE,
)
# Deeper links are no links; the bound keeps hostile nesting from copying text over and over.
_MAX_DEPTH = 40

_INTERLANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z-]+)?$|simple$")
_CLEANUPS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"<br\b[^<>]*>", re.IGNORECASE), "\n"),
    (re.compile(r"</?[a-zA-Z][^<>]*>"), ""),
    (re.compile(r"\[(?:https?:|ftp:|mailto:|//)[^\s\[\]]*[ \t]*([^\[\]\n]*)\]"), r"\1"),
    (re.compile(r"\b(?:https?|ftp)://[^\s<>\[\]|{}]+"), ""),
    (re.compile(r"'{2,5}"), ""),
    (re.compile(r"^[*#:;]+[ \t]*|^=+[ \t]*|=+[ \t]*$|^-{4,}", re.MULTILINE), ""),
    (re.compile(r"__[A-Z]+__"), ""),
)

DEFAULT_MEDIA_PREFIXES = frozenset({"file", "image", "category", "media"})

_Frame = tuple[str, list[str]]


def strip_wikitext(text: str, media_prefixes: frozenset[str] = DEFAULT_MEDIA_PREFIXES) -> str:
    """Return the running text of a page.

    Args:
        text: wikitext.
        media_prefixes: lower-cased names of the namespaces whose links are no text.

    >>> strip_wikitext("A '''red''' [[dog|Dog]]{{cite|x}}<ref>y</ref> of [[Berlin]].")
    'A red Dog of Berlin.'
    """
    plain = _drop_markup(text, media_prefixes)
    for pattern, replacement in _CLEANUPS:
        plain = pattern.sub(replacement, plain)
    return html.unescape(plain)


def _drop_markup(text: str, media_prefixes: frozenset[str]) -> str:
    stack: list[_Frame] = [("page", [])]
    num_open: Counter[str] = Counter()
    position = 0
    for match in _MARKUP.finditer(text):
        stack[-1][1].append(text[position : match.start()])
        position = match.end()
        event = match.lastgroup or ""
        event = "open_tag" if event == "empty" else event
        action, _, kind = event.partition("_")
        kind = match[event].lower() if kind == "tag" else kind
        if stack[-1][0] in _RAW and (action == "open" or kind != stack[-1][0]):
            stack[-1][1].append(match.group())
        elif action == "open" and match["empty"] != "/":
            if kind == "link" and len(stack) > _MAX_DEPTH:
                continue
            stack.append((kind, []))
            num_open[kind] += 1
        elif action == "close" and num_open[kind]:
            content = _pop(stack, num_open, kind)
            if kind == "link":
                stack[-1][1].append(_link_text(content, media_prefixes))
    stack[-1][1].append(text[position:])
    # What was never closed was no markup: its text stays.
    return "".join(piece for _, pieces in stack for piece in pieces)


def _pop(stack: list[_Frame], num_open: Counter[str], kind: str) -> str:
    """Take the innermost frame of a kind off the stack with all above it; return their text."""
    popped: list[_Frame] = []
    while not popped or popped[-1][0] != kind:
        popped.append(stack.pop())
        num_open[popped[-1][0]] -= 1
    if kind != "link":
        return ""
    return "".join(piece for _, pieces in reversed(popped) for piece in pieces)


def _link_text(content: str, media_prefixes: frozenset[str]) -> str:
    """Return what a reader sees of a link.

    >>> _link_text("dog|red dogs", DEFAULT_MEDIA_PREFIXES), _link_text(":Category:A", frozenset())
    ('red dogs', 'Category:A')
    """
    target, _, label = content.partition("|")
    prefix, colon, _ = target.partition(":")
    if colon and (prefix.strip().lower() in media_prefixes or _INTERLANGUAGE.match(prefix)):
        return ""
    return label.rpartition("|")[2] if label else target.removeprefix(":")
