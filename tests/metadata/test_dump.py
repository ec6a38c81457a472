import bz2
import tracemalloc

import pytest

from metadata.dump import Page, read_pages
from metadata.errors import InputError

HEAD = (
    '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.{version}/" xml:lang="de"><siteinfo>'
    '<namespaces><namespace key="0"/><namespace key="6">Datei</namespace>'
    '<namespace key="14">Kategorie</namespace></namespaces></siteinfo>\n'
)


def xml_page(title: str, ns: int = 0, text: str = "x", redirect: str = "") -> str:
    link = f'<redirect title="{redirect}" />' if redirect else ""
    return (
        f"<page><title>{title}</title><ns>{ns}</ns><id>1</id>{link}<revision><id>2</id>"
        f"<contributor><username>u</username></contributor><text>{text}</text></revision></page>\n"
    )


def dump(*pages: str, version: int = 11) -> str:
    return HEAD.format(version=version) + "".join(pages) + "</mediawiki>"


@pytest.mark.parametrize("version", [6, 10, 11])
def test_pages_are_read_in_order_with_namespace_and_redirect(tmp_path, version):
    path = tmp_path / "dewiki.xml"
    pages = [xml_page("A"), xml_page("B: C", redirect="A"), xml_page("Diskussion:A", 1, "&lt;b")]
    path.write_text(dump(*pages, version=version), "utf-8")
    media = frozenset({"file", "image", "category", "media", "datei", "kategorie"})
    assert list(read_pages(str(path))) == [
        Page("A", 0, None, "x", media),
        Page("B: C", 0, "A", "x", media),
        Page("Diskussion:A", 1, None, "<b", media),
    ]


def test_multistream_dumps_are_read_to_the_end(tmp_path):
    path = tmp_path / "dewiki.xml.bz2"
    parts = [HEAD.format(version=11), xml_page("A"), xml_page("B"), "</mediawiki>"]
    path.write_bytes(b"".join(bz2.compress(part.encode()) for part in parts))
    assert [page.title for page in read_pages(str(path))] == ["A", "B"]


def test_urls_and_utf16_are_read_too(tmp_path):
    path = tmp_path / "dewiki.xml"
    xml = '<?xml version="1.0" encoding="UTF-16"?>' + dump(xml_page("Ä"))
    path.write_bytes(xml.encode("utf-16"))
    assert [page.title for page in read_pages(path.as_uri())] == ["Ä"]


def test_a_missing_dump_is_named(tmp_path):
    with pytest.raises(InputError, match="nowiki.xml: there is no such dump"):
        list(read_pages(str(tmp_path / "nowiki.xml")))


@pytest.mark.parametrize("cut", [0, 40, 3000])
def test_a_dump_that_was_cut_off_is_an_error_that_names_it(tmp_path, cut):
    path = tmp_path / "dewiki.xml.bz2"
    pages = [xml_page(f"Page {n}", text=str(hash(str(n)))) for n in range(2000)]
    path.write_bytes(bz2.compress(dump(*pages).encode())[:cut])
    with pytest.raises(InputError, match=r"dewiki\.xml\.bz2: corrupt or cut off after"):
        list(read_pages(str(path)))


def test_the_error_of_a_broken_dump_names_the_page_before(tmp_path):
    path = tmp_path / "dewiki.xml"
    path.write_text(dump(xml_page("Good"), "<page><title>Bad</page>"), "utf-8")
    with pytest.raises(InputError, match="after 'Good'"):
        list(read_pages(str(path)))


def test_memory_does_not_grow_with_the_dump(tmp_path):
    path = tmp_path / "dewiki.xml"
    path.write_text(dump(*(xml_page(str(n), text="x" * 50_000) for n in range(200))), "utf-8")
    tracemalloc.start()
    assert sum(1 for _ in read_pages(str(path))) == 200
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000  # of 10,000,000 in the file


def test_the_whole_latgalian_wikipedia_is_read(real_data):
    pages = list(read_pages(str(real_data / "wiki" / "ltgwiki-pages-articles.xml.bz2")))
    assert len(pages) == 2004
    assert sum(page.namespace == 0 and page.redirect is None for page in pages) > 900
