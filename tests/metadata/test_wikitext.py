import re
import time
from collections import Counter

import mwparserfromhell
import pytest

from metadata.dump import read_pages
from metadata.wikitext import strip_wikitext

CASES = [
    ("bold and italic", "'''''A''''' ''b'' '''c'''", "A b c"),
    ("links", "[[a]] [[a|b]] [[a#x|b c]]s", "a b b cs"),
    ("external links", "[http://x.org label] [https://x.org] see http://x.org/y.", "label  see "),
    ("templates", "a{{x|{{y|[[z]]}}|z}}b", "ab"),
    ("tables", "a\n{| class=x\n| b\n{|\n| c\n|}\n|}\nd", "a\n\nd"),
    ("a template argument is no table end", "{{a|}}b", "b"),
    ("references", 'a<ref name="x">b</ref><ref name=y/>c<ref name=z />', "ac"),
    ("comments", "a<!-- b <ref> {{ -->c", "ac"),
    ("an unclosed comment hides the rest", "a<!--b", "ab"),
    ("files", "[[File:x.png|thumb|a [[b]] c]]d [[Category:e]]", "d "),
    ("links to files stay", "[[:File:x.png|y]]", "y"),
    ("other languages", "[[de:x]]y[[zh-min-nan:z]]", "y"),
    ("a title with a colon stays", "[[Star Wars: A|B]] [[2001: C]]", "B 2001: C"),
    ("headings", "== a b ==\nc\n=== d ===", "a b \nc\nd "),
    ("lists", "* a\n# b\n:; c\n----\nd", "a\nb\nc\n\nd"),
    ("entities", "a &amp; b&nbsp;c &#228; &lt;", "a & b\xa0c ä <"),
    ("nowiki", "<nowiki>[[a]] {{b}} ''c''</nowiki>", "[[a]] {{b}} ''c''"),
    ("tags", '<span style="x">a</span><br/>b', "a\nb"),
    ("math", "a <math>{{x}} [[</math> b", "a  b"),
    ("magic words", "__TOC__a__NOINDEX__", "a"),
    ("script variants", "-{zh-hans:计算机; zh-hant:電腦}-是-{A}-", "计算机是A"),
    ("unclosed brackets", "a {{b [[c", "a b c"),
    ("unopened brackets", "a }} b ]] c", "a  b  c"),
    ("crossing brackets", "{{a [[b}} c]] d", " c d"),
    ("equal signs in a line", "a = b == c", "a = b == c"),
]


@pytest.mark.parametrize(("text", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_markup_leaves_what_a_reader_sees(text, expected):
    assert strip_wikitext(text) == expected


def test_namespaces_have_the_names_of_the_wiki():
    text = "[[Datei:x.png|mini|y]]z"
    assert strip_wikitext(text, frozenset({"datei"})) == "z"
    assert strip_wikitext(text) == "yz"


HOSTILE = ["{", "}", "[", "]", "<", "=", "'", "&", "*", "_", "[[a|", "{{[[", "{|\n", "a{|", "<!--",
           "<ref>", "<ref ", "[http://", "[http://a ", "= ", "__A", "-{", ": ", "http://",
           "<nowiki>", "</ref>", "\n*", "|}", "&#9", "-{a:"]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_costs_no_more_than_its_length(piece):
    text = "x" + piece * (400_000 // len(piece))
    start = time.process_time()
    strip_wikitext(text + "x")
    strip_wikitext(f"[http://x {text}")
    # 400 kB take well below a second; quadratic ways took minutes.
    assert time.process_time() - start < 5


def test_a_very_long_character_number_is_no_error():
    assert strip_wikitext(f"a&#{'9' * 5000};b") == "ab"


def words_of_parser(text: str) -> Counter[str]:
    """Return the words of mwparserfromhell's text, without what both should leave out."""
    code = mwparserfromhell.parse(text)
    hidden = ("ref", "table", "gallery", "timeline", "math", "syntaxhighlight", "source")
    media = re.compile(r"\s*(file|image|category|[a-z]{2,3}(-[a-z-]+)?|simple):", re.IGNORECASE)
    nodes = [
        *code.filter_tags(matches=lambda node: str(node.tag).strip().lower() in hidden),
        *code.filter_wikilinks(matches=lambda node: media.match(str(node.title))),
    ]
    for node in nodes:
        try:
            code.remove(node)
        except ValueError:  # it stood in one that is gone
            continue
    return words(code.strip_code(normalize=True, collapse=True))


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"[^\W_]+", text))


def test_the_words_of_real_pages_are_those_of_a_real_parser(real_data):
    shared = num_ours = num_theirs = 0
    for page in read_pages(str(real_data / "wiki" / "enwiki-206pages.xml.bz2")):
        ours = words(strip_wikitext(page.text, page.media_prefixes))
        theirs = words_of_parser(page.text)
        shared += (ours & theirs).total()
        num_ours += ours.total()
        num_theirs += theirs.total()
    # Measured: 0.9887 and 0.9976. What only we have is mostly the text of broken tables.
    assert shared / num_ours > 0.988
    assert shared / num_theirs > 0.997
