import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curate.metadata.wikipedia.page_cutter import CutOff, cut_pages

PIECES = st.lists(
    st.sampled_from(["<page>", "</page>", "text", "<", "p", "</mediawiki>"]), max_size=20
)


def naive(xml):
    """Return the pages of XML that is whole, or None if it is cut off."""
    pages = [
        page[0].encode() if page[0].endswith("</page>") else None
        for page in re.finditer("<page>(?:(?!<page>|</page>).)*(?:</page>|(?=<page>)|$)", xml)
    ]
    is_open = xml.rpartition("<page>")[2].find("</page>") < 0 and "<page>" in xml
    return None if is_open or ("</mediawiki>" not in xml and xml) else pages


def cut_all(chunks):
    try:
        return list(cut_pages(iter(chunks)))
    except CutOff:
        return None


@given(PIECES, st.integers(1, 30))
@example(["<page>", "</page>", "</mediawiki>"], 1)
def test_pages_do_not_depend_on_the_chunks(pieces, size):
    xml = "".join(pieces)
    chunks = [(xml[n : n + size].encode(), True) for n in range(0, len(xml), size)]
    assert cut_all(chunks) == naive(xml)


@given(PIECES, st.integers(0, 60))
def test_each_page_belongs_to_one_part(pieces, at):
    xml = "".join([*pieces, "<page>a</page></mediawiki>"]).encode()
    expected = cut_all([(xml, True)])
    first = cut_all([(xml[:at], True), *((xml[n : n + 7], False) for n in range(at, len(xml), 7))])
    second = cut_all([(xml[at:], True)]) if at < len(xml) else []
    assert first + second == expected


def test_the_rest_of_a_file_is_not_read_for_one_page():
    def chunks():
        yield b"<page>a", True
        yield b"</page><page>", False
        pytest.fail("read on")

    assert list(cut_pages(chunks())) == [b"<page>a</page>"]
