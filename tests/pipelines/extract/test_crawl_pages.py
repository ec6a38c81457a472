import html5lib
import pytest

from curate.pipelines.extract.encoding import decode_page
from curate.pipelines.extract.html import parse_page, srcset_addresses
from curate.pipelines.extract.pages import BadPageError, PageOptions, page_rows
from curate.pipelines.extract.records import CrawlRecord, read_records
from curate.pipelines.extract.urls import BaseAddress, parse_address
from tests.pipelines.crawl_helpers import PAGE_URL

CRAWL_FILES = ("IAH-urls-wget.warc.gz", "resiliparse-warcfile.warc.gz",
               "whirlwind/whirlwind.warc.gz")  # fmt: skip
TRICKY = """<html lang=en><head><base target=x><base href="/b/"><base href=/c/><noscript>
<img src=noscript.png alt=noscript></noscript></head><body><table><img src=table.png alt=table><tr>
<td><img src=cell.png></table><select><option>o</select><svg><image href=no.png /><img src=svg.png>
</svg><math><mi><img src=math.png></mi></math><image src=image.png alt=image><IMG SRC=upper.png
ALT='a&#10;b &lt;c&gt; &amp;amp;'><p><b><img src="a b.png"></p>after<img/src=slash.png alt=x/>
<template><img src=no-template.png></template><textarea><img src=no-textarea.png></textarea>
<script>"<img src=no-script.png>"</script><!-- <img src=no-comment.png> --><title>
<img src=no-title.png></title><img src=last.png title"""

# `test_crawl_browser` compares all of them with what Chromium does.
GOOD_CANDIDATES = ("1x", "", "100w", "100w 50h", "50h 100w", "0x", "-0x", "1e2x", ".5x", "00100w",
                   "2147483647w")  # fmt: skip
CANDIDATES = (*GOOD_CANDIDATES, "1q", "100", "1x 2x", "100w 2x", "50h", "100h 1x", "0w", "-1w",
              "1.5w", "-1x", "+1x", "1.x", "1x (foo)", "(foo)", "1X", "100W", "NaNx", "Infinityx",
              "w", "x", "100w100h", "1 x", "+100w", "1e2w", "100w 0h", "100w -5h", "100w 50h 50h",
              "1x 50h", "100w foo", "1x)", "1x(b", "1e400x", "\u00a0100w", "1x\x0b", "\u0661x",
              "99999999999w", "2147483648w")  # fmt: skip


def rows_of(html, charset=None, **options):
    body = html if isinstance(html, bytes) else html.encode()
    record = CrawlRecord(offset=0, is_wat=False, page_url=PAGE_URL, body=body, charset=charset)
    return page_rows(record, PageOptions(**options))


def pairs_of(html, charset=None, **options):
    found = rows_of(html, charset, **options)
    return list(zip(found.urls, found.texts, found.text_keys, strict=True))


def shown(html, charset):
    """The images of a page as html5lib, a reader of the HTML standard, finds them."""
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    tree = parser.parse(html, transport_encoding=charset)
    for template in list(tree.iter("template")):  # whose content is no part of the document
        template.clear()
    return [node.get("src") for node in tree.iter("img")]


def assert_all_are_found(html, charset):
    found = parse_page(decode_page(html, charset), srcset="none", max_images=10**6).images
    expected = shown(html, charset)
    written = {url for image in found for url in image.urls}
    missing = {src.strip() for src in expected if src and src.strip()} - written
    assert not missing
    assert len(found) == len(expected)


def test_every_image_of_a_tricky_page_is_found():
    assert_all_are_found(TRICKY.encode(), "utf-8")
    found = {url.rpartition("/")[2] for url, _, _ in pairs_of(TRICKY)}
    assert found == {"noscript.png", "table.png", "image.png", "upper.png", "slash.png"}


@pytest.mark.parametrize("name", CRAWL_FILES)
def test_every_image_of_real_pages_is_found(real_data, name):
    pages = [
        record
        for record in read_records(str(real_data / "crawl" / name), 1 << 24)
        if isinstance(record, CrawlRecord)
    ]
    assert pages
    for page in pages:
        assert_all_are_found(page.body, page.charset)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("windows-1251", "красная машина"),
        ("koi8-r", "красная машина"),
        ("shift_jis", "赤い車①"),
        ("euc-jp", "赤い車"),
        ("iso-2022-jp", "赤い車"),
        ("gb18030", "红色汽车𠮷"),
        ("gb2312", "红色汽车"),
        ("big5", "紅色汽車"),
        ("euc-kr", "빨간 차"),
        ("iso-8859-1", "café – “x”"),
        ("windows-1256", "سيارة حمراء"),
        ("utf-8", "émoji 😀"),
    ],
)
def test_encodings_come_from_header_and_from_meta(encoding, text):
    codec = {"gb2312": "gb18030", "iso-8859-1": "cp1252", "shift_jis": "cp932"}.get(
        encoding, encoding
    )
    image = f'<img src=a.png alt="{text}">'.encode(codec)
    expected = [("https://example.org/dir/a.png", text, "alt")]
    assert pairs_of(image, encoding) == expected
    for meta in (
        f"<meta charset={encoding}>",
        f'<META http-equiv="Content-Type" content="text/html; charset={encoding.upper()}">',
        f'<!-- <meta charset=utf-16> --><?xml version="1.0"?><meta charset="{encoding}">',
        f"<meta name=description content='x'>{' ' * 1500}<meta charset='{encoding}'>",
    ):
        assert pairs_of(meta.encode() + image, None) == expected


@pytest.mark.parametrize(
    ("raw", "charset", "text"),
    [
        (b"\xef\xbb\xbf<img src=a alt=\xc3\xa9>", "windows-1251", "é"),
        ("\ufeff<img src=a alt=é>".encode("utf-16-le"), "utf-8", "é"),
        ("\ufeff<img src=a alt=é>".encode("utf-16-be"), None, "é"),
        (b"<img src=a alt=\xe9>", None, "é"),
        (b"<img src=a alt=\xc3\xa9>", None, "é"),
        (b"<img src=a alt=\xe9>", "utf-8", "\ufffd"),
        (b"<img src=a alt=\xc3\xa9>", "no-such-charset", "é"),
        (b"<meta charset=utf-16><img src=a alt=\xc3\xa9>", None, "é"),
    ],
)
def test_a_byte_order_mark_wins_and_nothing_declared_is_utf8_or_windows_1252(raw, charset, text):
    assert [row[1] for row in pairs_of(raw, charset)] == [text]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a.png", "https://example.org/dir/a.png"),
        ("/a b.png ", "https://example.org/a%20b.png"),
        ("\\img\\x.png", "https://example.org/img/x.png"),
        ("..\t/a\n.png", "https://example.org/a.png"),
        ("//cdn.example.com/a.png#top", "https://cdn.example.com/a.png"),
        ("http://bücher.de/ä", "http://xn--bcher-kva.de/%C3%A4"),
        ("HTTP://EXAMPLE.com:80/./A", "http://example.com/A"),
        ("?q=1", "https://example.org/dir/page.html?q=1"),
        ("a\x00b.png", "https://example.org/dir/a%00b.png"),
        ("data:image/png;base64,AAAA", "data_uri"),
        ("java\nscript:alert(1)", "bad_scheme"),
        ("file:///etc/passwd", "bad_scheme"),
        ("http://user:secret@example.com/a.png", "url_with_credentials"),
        ("http://[::1/", "bad_url"),
        ("http://a b.com/x", "bad_url"),
        ("http://ex\x00ample.com/", "bad_url"),
        ("http://" + "x" * 9000, "url_too_long"),
        ("#top", "no_url"),
        ("a.png?x=1&amp;y=2&#038;z=3", "https://example.org/dir/a.png?x=1&y=2&z=3"),
        ("a.png?x=1&amp;amp;y=2&#x26;z&amp", "https://example.org/dir/a.png?x=1&y=2&z&amp"),
    ],
)
def test_addresses_are_those_a_browser_would_ask_for(written, expected):
    url, reason = BaseAddress(parse_address(PAGE_URL), None).resolve(written)
    assert (url or reason) == expected


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("/other/", "https://example.org/other/a.png"),
        ("https://cdn.example.com/x/y", "https://cdn.example.com/x/a.png"),
        ("", "https://example.org/dir/a.png"),
        ("data:text/plain,x", "https://example.org/dir/a.png"),
        ("http://[broken/", "https://example.org/dir/a.png"),
    ],
)
def test_the_first_base_with_an_address_is_what_images_are_relative_to(base, expected):
    html = f'<base target=_top><base href="{base}"><base href=/second/><img src=a.png alt=x>'
    assert [row[0] for row in pairs_of(html)] == [expected]


def test_texts_come_with_their_key_in_one_line():
    html = """<figure><div><img src=a.png alt="red\ncar" title=" &quot;T&quot; &#x41; "
    data-image-title=D aria-label="L"></div><figcaption>one<br>two<p>three</p>fo<b>u</b>r
    <script>no</script><!-- no -->five</figcaption></figure><img src=b.png alt=" \n ">"""
    url = "https://example.org/dir/a.png"
    assert pairs_of(html) == [
        (url, "red car", "alt"),
        (url, '"T" A', "title"),
        (url, "D", "data-image-title"),
        (url, "L", "aria-label"),
        (url, "one two three four five", "figcaption"),
    ]
    assert rows_of(html).dropped == {"no_text": 1}


def test_an_inner_figure_has_its_own_caption():
    html = """<figure><img src=o.png><figure><img src=i.png><figcaption>inner</figcaption></figure>
    <figcaption>outer</figcaption></figure>"""
    assert [(u[-5:], t) for u, t, _ in pairs_of(html)] == [("o.png", "outer"), ("i.png", "inner")]


def test_lazy_images_and_pictures_give_all_their_addresses():
    html = """<img src="data:image/gif;base64,R0" data-src=lazy.png data-lazy=true alt=x>
    <picture><source srcset="p1.webp 1x, p2.webp 2x"><img src=p.png srcset="s,1.png 100w, s2.png
    200w" alt=y></picture><img data-srcset="d.png" alt=z><img class=none alt=w>"""
    names = [u.rpartition("/")[2] for u, _, _ in pairs_of(html)]
    assert names == ["lazy.png", "p.png", "s2.png", "p2.webp", "d.png"]
    assert rows_of(html).dropped == {"data_uri": 1, "no_url": 1}
    every = [u.rpartition("/")[2] for u, _, _ in pairs_of(html, srcset="all")]
    assert every == ["lazy.png", "p.png", "s,1.png", "s2.png", "p1.webp", "p2.webp", "d.png"]
    none = [u.rpartition("/")[2] for u, _, _ in pairs_of(html, srcset="none")]
    assert none == ["lazy.png", "p.png"]


def test_a_srcset_is_read_as_the_standard_says():
    assert srcset_addresses("") == []
    assert srcset_addresses(" a.png , b.png 2x") == [("a.png", 1.0), ("b.png", 2.0)]
    assert srcset_addresses("a,b.png 10w 5h,c.png") == [("a,b.png", 10.0), ("c.png", 1.0)]
    assert srcset_addresses("data:image/png;base64,AA== 1x, x.png 3x")[1] == ("x.png", 3.0)
    assert srcset_addresses("a (b, c) 1x, d") == [("d", 1.0)]
    assert srcset_addresses("a 2x, b 2x, c 200w, d 200w 9h") == [("a", 2.0), ("c", 200.0)]


def test_candidates_that_a_browser_drops_are_left_out():
    kept = {written for written in CANDIDATES if srcset_addresses(f"a {written}")}
    assert kept == set(GOOD_CANDIDATES)
    html = "<img alt=x srcset='a 1x, b 2q, c 100, d 2x 2x, e 9h, f 3x'>"
    assert [row[0][-1] for row in pairs_of(html, srcset="all")] == ["a", "f"]
    assert [row[0][-1] for row in pairs_of(html)] == ["f"]


@pytest.mark.parametrize(
    ("attributes", "is_pixel"),
    [
        ("width=1 height=1", True),
        ("width='0'", True),
        ('style="border:0; width:1px"', True),
        ("width=1%", False),
        ("width=100 height=11", False),
        ('style="max-width:1px"', False),
    ],
)
def test_tracking_pixels_are_dropped(attributes, is_pixel):
    found = rows_of(f"<img src=a.png alt=x {attributes}>")
    assert len(found.urls) == (not is_pixel)
    assert found.dropped == ({"tracking_pixel": 1} if is_pixel else {})


def test_the_language_of_a_page_is_what_it_says():
    image = "<img src=a alt=b>"
    assert rows_of(f'<html lang=" de-AT ">{image}').page_lang == "de-AT"
    assert rows_of(f"<html xml:lang=fr>{image}").page_lang == "fr"
    meta = f"<meta http-equiv=Content-Language content=sw>{image}"
    assert rows_of(meta).page_lang == "sw"
    assert rows_of(image).page_lang is None
    assert rows_of(f"<html lang={'x' * 101}>{image}").page_lang is None


def test_a_page_of_too_many_images_and_a_text_of_a_book_are_cut_off():
    found = rows_of("<img src=a.png alt=x>" * 30, max_images=10)
    assert (len(found.urls), found.dropped) == (10, {"too_many_images": 20})
    assert rows_of(f"<img src=a alt='{'x' * 10_001}'>").dropped == {"text_too_long": 1}


def test_a_page_without_an_address_is_none():
    record = CrawlRecord(offset=0, is_wat=False, page_url="urn:x:y", body=b"<img src=a alt=b>")
    with pytest.raises(BadPageError, match="bad_page_url"):
        page_rows(record, PageOptions())
