import bz2
import gzip
import lzma
import random
import tracemalloc
from collections import Counter

import pytest

from curate.errors import InputError
from curate.metadata.wikipedia.dump import Page, read_pages, read_part, split_dump

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


BROKEN = [
    ("tags that cross", "<page><title>Bad</page>"),
    ("an entity that is none", xml_page("Bad", text="&nbsp;")),
    ("no title", xml_page("")),
    ("a namespace that is no number", xml_page("Bad").replace("<ns>0", "<ns>zero")),
    ("bytes that are no UTF-8", xml_page("Bad", text="\udcff")),
    ("a page that is not closed", "<page><title>Bad</title>"),
    ("a character that XML has not", xml_page("Bad", text="\x01")),
]


@pytest.mark.parametrize("bad", [b[1] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_a_broken_page_is_counted_and_the_others_come(tmp_path, bad):
    path = tmp_path / "dewiki.xml"
    xml = dump(xml_page("Good"), bad, xml_page("Better"))
    path.write_bytes(xml.encode("utf-8", "surrogateescape"))
    tally = Counter()
    assert [page.title for page in read_pages(str(path), tally)] == ["Good", "Better"]
    assert tally["broken"] == 1
    assert tally["bytes"] == len(xml_page("Good") + xml_page("Better")) - 2  # the line ends


def test_a_page_without_an_end_in_sight_is_broken(tmp_path, monkeypatch):
    monkeypatch.setattr("curate.metadata.wikipedia.page_cutter._MAX_PAGE_BYTES", 3_000_000)
    path = tmp_path / "dewiki.xml"
    pages = [xml_page("A"), xml_page("B", text="x" * 4_000_000), xml_page("C")]
    path.write_text(dump(*pages), "utf-8")
    tally = Counter()
    assert [page.title for page in read_pages(str(path), tally)] == ["A", "C"]
    assert tally["broken"] == 1


def test_entities_are_not_expanded(tmp_path):
    path = tmp_path / "dewiki.xml"
    laughs = '<!DOCTYPE mediawiki [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n'
    path.write_text(laughs + dump(xml_page("A", text="&b;"), xml_page("B")), "utf-8")
    assert [page.title for page in read_pages(str(path))] == ["B"]


def test_the_error_names_the_page_before_the_cut(tmp_path):
    path = tmp_path / "dewiki.xml"
    path.write_text(dump(xml_page("Good"), xml_page("Bad"))[:-100], "utf-8")
    with pytest.raises(InputError, match="after 'Good'"):
        list(read_pages(str(path)))


@pytest.mark.parametrize("end", ["", "\n" * 900])
def test_a_dump_without_its_last_tag_is_cut_off(tmp_path, end):
    path = tmp_path / "dewiki.xml"
    path.write_text(dump(xml_page("A")).removesuffix("</mediawiki>") + end, "utf-8")
    with pytest.raises(InputError, match="cut off after 'A'.*the end is missing"):
        list(read_pages(str(path)))
    path.write_text(dump(xml_page("A")) + end, "utf-8")
    assert len(list(read_pages(str(path)))) == 1


def test_a_wiki_without_articles_has_no_pages(tmp_path):
    path = tmp_path / "dewiki.xml.bz2"
    path.write_bytes(bz2.compress(dump().encode()))
    assert list(read_pages(str(path))) == []


@pytest.mark.parametrize("name", ["dewiki.xml", "dewiki.xml.bz2"])
def test_what_is_no_dump_is_refused(tmp_path, name):
    path = tmp_path / name
    page = b"<html><body>404 Not Found</body></html>" * 10
    path.write_bytes(bz2.compress(page) if name.endswith("bz2") else page)
    with pytest.raises(InputError, match=r"no dump of a wiki.*got b'<html>"):
        list(read_pages(str(path)))


def test_html_under_the_name_of_a_bz2_file_is_an_error(tmp_path):
    path = tmp_path / "dewiki.xml.bz2"
    path.write_bytes(b"<html>404</html>" * 1000)
    with pytest.raises(InputError, match="corrupt or cut off after the beginning"):
        list(read_pages(str(path)))


def test_an_encoding_that_is_not_known_is_named(tmp_path):
    path = tmp_path / "dewiki.xml"
    path.write_text('<?xml version="1.0" encoding="EBCDIC-7"?>' + dump(), "utf-8")
    with pytest.raises(InputError, match="its encoding is EBCDIC-7, which is not known"):
        list(read_pages(str(path)))


@pytest.mark.parametrize("name", ["dewiki.xml.gz", "dewiki.xml.xz"])
def test_other_compressed_files_are_read_and_their_cut_is_told(tmp_path, name):
    path = tmp_path / name
    pages = [xml_page(f"Page {n}", text=str(hash(str(n)))) for n in range(2000)]
    pack = {"gz": gzip.compress, "xz": lzma.compress}[name[-2:]]
    path.write_bytes(pack(dump(*pages).encode()))
    assert len(list(read_pages(str(path)))) == 2000
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match="corrupt or cut off after"):
        list(read_pages(str(path)))


def test_a_dump_of_old_says_the_namespace_in_the_title(tmp_path):
    path = tmp_path / "dewiki.xml"
    pages = [xml_page(t).replace("<ns>0</ns>", "") for t in ("A", "Datei:x", "B: C")]
    path.write_text(dump(*pages), "utf-8")
    assert [page.namespace for page in read_pages(str(path))] == [0, 6, 0]


@pytest.mark.parametrize("part_bytes", [700, 5_000, 100_000, 10_000_000])
@pytest.mark.parametrize("name", ["dewiki.xml", "dewiki.xml.bz2", "multistream.xml.bz2"])
def test_parts_together_have_each_page_once(tmp_path, name, part_bytes):
    rng = random.Random(0)
    pages = [xml_page(str(n), text=rng.randbytes(rng.randrange(900)).hex()) for n in range(400)]
    pages[100] = "<page><title>not closed</title>"
    pages[200] = xml_page("200", text="&nothing;")
    pieces = [dump(), *pages, "</mediawiki>"]
    pieces[0] = pieces[0].removesuffix("</mediawiki>")
    path = tmp_path / name
    pack = {"multistream.xml.bz2": bz2.compress, "dewiki.xml": bytes}.get(name, bytes)
    raw = b"".join(pack("".join(pieces[n : n + 50]).encode()) for n in range(0, len(pieces), 50))
    path.write_bytes(bz2.compress(raw, 1) if name == "dewiki.xml.bz2" else raw)
    whole, cut = Counter(), Counter()
    expected = list(read_pages(str(path), whole))
    parts = split_dump(str(path), part_bytes)
    assert len(parts) == -(-path.stat().st_size // part_bytes)
    assert [page for part in parts for page in read_part(part, cut)] == expected
    assert cut == whole and whole["broken"] == 2 and len(expected) == 398


def test_memory_does_not_grow_with_the_dump(tmp_path):
    path = tmp_path / "dewiki.xml"
    path.write_text(dump(*(xml_page(str(n), text="x" * 50_000) for n in range(200))), "utf-8")
    tracemalloc.start()
    assert sum(1 for _ in read_pages(str(path))) == 200
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000  # of 10,000,000 in the file


def test_the_whole_latgalian_wikipedia_is_read(real_data):
    pages = list(read_pages(str(real_data / "wiki" / "ltgwiki-pages-articles.xml.bz2")))
    assert len(pages) == 2004
    assert sum(page.namespace == 0 and page.redirect is None for page in pages) > 900
