"""Wikitext in, plain text out: hidden elements, then brackets, then what is left of the markup.

Words and pairs of words need far less than a parser gives. What is inside templates, tables,
references, formulas and comments is left out; links give their labels. Every step is linear in
the length of the text, whatever its brackets do: the patterns take what they match for good
(``*+``), and what nests is followed by one scan with a stack.
"""

import html
import re
from collections import Counter
from functools import cache

from curate.metadata.languages import WIKIPEDIA_CODES

__all__ = ["DEFAULT_MEDIA_PREFIXES", "strip_wikitext"]

# Elements whose content is no running text.
_DROPPED = (
    "ref|math|gallery|syntaxhighlight|source|timeline|score|chem|ce|hiero|imagemap|templatedata|"
    "graph|mapframe|maplink|style|includeonly"
)
# Each pattern starts with a literal character, which lets `re` jump from one to the next.
_HIDDEN = re.compile(rf"<!--|<(?P<tag>{_DROPPED}|nowiki)\b[^<>]*+>", re.IGNORECASE)
_SIMPLE_TEMPLATE = re.compile(r"\{\{[^{}]*+\}\}")
_SIMPLE_LINK = re.compile(r"\[\[(?:[^\[\]{}|:\n]*+\|)?([^\[\]{}|:\n]++)\]\]")
_BRACKET = re.compile(r"\{\{|\}\}|\[\[|\]\]|\{\||\|\}(?!\})")
_KINDS = {"{{": "template", "}}": "template", "[[": "link", "]]": "link", "{|": "table",
          "|}": "table"}  # fmt: skip
# Deeper links are no links; the bound keeps hostile nesting from copying text over and over.
_MAX_DEPTH = 40
_MAX_INDENT = 20

# Switches such as __TOC__, which each wiki may write in its language (__KEIN_INHALTSVERZEICHNIS__,
# ＿＿目次＿＿): letters, their marks and single underscores between pairs of underscores.
_MAGIC_WORD = re.compile(
    r"(?:__|＿＿)(?=[^\W\d_])(?:[^\s!-/:-@\[-`{-~＿]|_(?!_)){1,100}+(?:__|＿＿)"
)

_CLEANUPS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"<[bB][rR]\b[^<>]*+>"), "\n"),
    (re.compile(r"</?[a-zA-Z][^<>]*+>"), ""),
    (re.compile(r"\[(?:https?:|ftp:|mailto:|//)[^\s\[\]]*+[ \t]*+([^\[\]\n]*+)\]"), r"\1"),
    (re.compile(r"https?://[^\s<>\[\]|{}]++"), ""),
    (re.compile(r"ftp://[^\s<>\[\]|{}]++"), ""),
    (re.compile(r"''++"), ""),
    (re.compile(r"\n(?:[*#:;]++[ \t]*+|=++[ \t]*+|-{4,})"), "\n"),
    # The look-behind after the first sign: of a row of them, only the first starts a match.
    (re.compile(r"=(?<!==)=*+[ \t]*+(?=\n)"), ""),
    (_MAGIC_WORD, ""),
    # A number this long is no character, and `html.unescape` fails on it.
    (re.compile(r"&#[xX]?[0-9a-fA-F]{8,};?"), ""),
)

_QUOTES = re.compile("''+")
# Prefixes of links to the same article in other languages, besides the codes of today's Wikipedias:
# of closed ones, and other codes that Wikimedia's table of prefixes has for some.
_OTHER_LANGUAGES = (
    "aa ak be-x-old bho cho cmn cz dk egl epo gsw ho hz ii jp kj kr lrc lzh mh minnan mo mus na "
    "nan nb ng rup sgs vro yue zh-cfr zh-cn zh-tw"
)
_LANGUAGES = frozenset(
    {*_OTHER_LANGUAGES.split(), *(code.replace("_", "-") for code in WIKIPEDIA_CODES)}
)
# Chinese and others write one word per script: -{zh-hans:计算机; zh-hant:電腦}-
_VARIANTS = re.compile(r"-\{([^{}]*+)\}-")
_PROTECTED = str.maketrans({char: f"&#{ord(char)};" for char in "<>[]{}|'=*#:;_&"})

# The dump names these namespaces in the wiki's own language; English names work in every wiki.
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
    plain = _drop_hidden(text)
    plain = _VARIANTS.sub(_first_variant, plain)
    plain = _SIMPLE_TEMPLATE.sub("", plain)
    plain = _SIMPLE_LINK.sub(r"\1", plain)
    plain = f"\n{_keep_apostrophes(_drop_brackets(plain, media_prefixes))}\n"
    for pattern, replacement in _CLEANUPS:
        plain = pattern.sub(replacement, plain)
    return html.unescape(plain[1:-1])


def _drop_hidden(text: str) -> str:
    """Leave out comments and elements without running text; protect what nowiki protects."""
    pieces: list[str] = []
    unclosed: set[str] = set()  # looked for once, so that a thousand of them cost no more
    position = 0
    while found := _HIDDEN.search(text, position):
        pieces.append(text[position : found.start()])
        position = found.end()
        tag = (found["tag"] or "!--").lower()
        if text[position - 2] == "/" or tag in unclosed:
            continue
        end = _closing(tag).search(text, position)
        if end is None:
            unclosed.add(tag)
            continue
        if tag == "nowiki":
            pieces.append(text[position : end.start()].translate(_PROTECTED))
        position = end.end()
    return "".join([*pieces, text[position:]])


@cache
def _closing(tag: str) -> re.Pattern[str]:
    return re.compile("-->" if tag == "!--" else rf"</{tag}\s*+>", re.IGNORECASE)


def _first_variant(match: re.Match[str]) -> str:
    """Return the first of the words that a reader would see, as their script has it."""
    content = match[1].rpartition("|")[2]
    return content.partition(";")[0].rpartition(":")[2].rpartition("=>")[2].strip()


def _drop_brackets(text: str, media_prefixes: frozenset[str]) -> str:
    """Leave out templates and tables, and give links their labels, however they nest."""
    stack: list[_Frame] = [("page", [])]
    num_open: Counter[str] = Counter()
    position = 0
    for match in _BRACKET.finditer(text):
        bracket, start = match.group(), match.start()
        kind = _KINDS[bracket]
        if kind == "table" and not _starts_line(text, start):
            continue
        stack[-1][1].append(text[position:start])
        position = match.end()
        if bracket[0] in "{[":
            if kind != "link" or len(stack) <= _MAX_DEPTH:
                stack.append((kind, []))
                num_open[kind] += 1
        elif num_open[kind]:
            content = _pop(stack, num_open, kind)
            if kind == "link":
                stack[-1][1].append(_link_text(content, media_prefixes))
    stack[-1][1].append(text[position:])
    # What was never closed was no markup: its text stays.
    return "".join(piece for _, pieces in stack for piece in pieces)


def _keep_apostrophes(text: str) -> str:
    """Keep the apostrophe of italics that a letter follows: the rest of the quotes is markup.

    >>> _keep_apostrophes("''Animal Farm'''s end"), _keep_apostrophes("'''dog'''s")
    ("''Animal Farm's end", "'''dog'''s")
    """
    pieces, position = [], 0
    while (found := text.find("'''", position)) >= 0:
        start = text.rfind("\n", position, found) + 1 or position
        end = text.find("\n", found)
        end = len(text) if end < 0 else end
        pieces += [text[position:start], _balanced(text[start:end])]
        position = end
    return "".join([*pieces, text[position:]])


def _balanced(line: str) -> str:
    """Return a line in which one of three quotes is an apostrophe if else none would close.

    Bold and italics do not reach over the end of a line, so if both are odd in number, MediaWiki
    takes one bold mark for an apostrophe and italics: behind a word of one letter if there is one,
    else behind a longer one, else behind a space.
    """
    marks = list(_QUOTES.finditer(line))
    num_bold = sum(len(mark[0]) > 2 for mark in marks)
    num_italic = sum(len(mark[0]) == 2 or len(mark[0]) > 4 for mark in marks)
    bold = [mark.start() for mark in marks if len(mark[0]) == 3]
    if num_bold % 2 == 0 or num_italic % 2 == 0 or not bold:
        return line

    def place(at: int) -> int:
        if line[at - 1 : at] in ("", " "):
            return 2
        return 0 if line[at - 2 : at - 1] == " " else 1

    at = min(bold, key=place)
    return line[:at] + "'" + line[at + 3 :]


def _starts_line(text: str, position: int) -> bool:
    before = text[max(0, position - _MAX_INDENT) : position]
    line = before[before.rfind("\n") + 1 :]
    return not line.strip(" \t:") and (len(line) < len(before) or len(before) == position)


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
    """Return what a reader sees of a link: nothing of a file, nor of one to another language.

    Links to other wikis (``voy:``, ``mw:``) are seen.

    >>> _link_text("dog|red dogs", DEFAULT_MEDIA_PREFIXES), _link_text(":Category:A", frozenset())
    ('red dogs', 'Category:A')
    """
    target, _, label = content.partition("|")
    prefix, colon, _ = target.partition(":")
    prefix = prefix.strip().lower()
    if colon and (prefix in media_prefixes or prefix in _LANGUAGES):
        return ""
    return label.rpartition("|")[2] if label else target.removeprefix(":")
