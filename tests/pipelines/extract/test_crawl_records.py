import gzip
import io
import random
import re
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import pytest
from fastwarc.stream_io import ZstdWriter

from curate.pipelines.extract import records as crawl_records
from curate.pipelines.extract.pages import BadPageError, PageOptions, page_rows
from curate.pipelines.extract.records import CrawlRecord, read_records
from tests.pipelines.crawl_helpers import record, response, wat, write_crawl

IMAGE = "<img src=a.png alt=dog>"
MAX_BYTES = 1 << 20


def read(path, max_bytes=MAX_BYTES):
    return list(read_records(str(path), max_bytes))


def kinds(found):
    return Counter(
        ("wat" if one.is_wat else "page") if isinstance(one, CrawlRecord) else one.reason
        for one in found
    )


def pages(found):
    return [one.page_url for one in found if isinstance(one, CrawlRecord)]


def site(num):
    return [response(f"{IMAGE}<p>{i} {'x' * 300}", f"https://example.org/{i}") for i in range(num)]


def test_every_real_file_is_read_to_its_end(real_data):
    found = {
        path.name: kinds(read(path, 1 << 24))
        for path in sorted((real_data / "crawl").rglob("*.gz"))
    }
    assert found == {
        "CC-MAIN-sample.warc.wat.gz": {"wat": 1},
        "IAH-urls-wget.warc.gz": {"page": 2, "http_status": 9, "not_html": 5, "not_a_page": 20},
        "resiliparse-warcfile.warc.gz": {"page": 16, "not_a_page": 34},
        "whirlwind.warc.gz": {"page": 1, "not_a_page": 3},
        "whirlwind.warc.wat.gz": {"wat": 1, "not_a_page": 1},
        "whirlwind.warc.wet.gz": {"not_a_page": 2},
    }


def test_gzip_zstd_and_no_compression_give_the_same(tmp_path):
    records = [*site(3), wat([]), record("request", b"GET /", "application/http")]
    plain = write_crawl(tmp_path / "a.warc", records, compressed=False)
    packed = write_crawl(tmp_path / "b.warc.gz", records)
    whole = tmp_path / "c.warc.gz"
    whole.write_bytes(gzip.compress(b"".join(records)))
    with (tmp_path / "d.warc.zst").open("wb") as file:
        writer = ZstdWriter(file)
        writer.write(b"".join(records))
        writer.close()
    for path in (plain, packed, whole, tmp_path / "d.warc.zst"):
        found = read(path)
        assert kinds(found) == {"page": 3, "wat": 1, "not_a_page": 1}, path
        assert [one.body for one in found[:3]] == [one.body for one in read(plain)[:3]]


def test_offsets_are_where_records_begin(tmp_path):
    records = [gzip.compress(one, mtime=0) for one in site(5)]
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"".join(records))
    for one in read(path):
        alone = tmp_path / "alone.warc.gz"
        alone.write_bytes(path.read_bytes()[one.offset :])
        assert read(alone)[0].page_url == one.page_url


def test_headers_say_what_a_page_is(tmp_path):
    html, other = "text/html;charset='KOI8-R'", "application/pdf"
    path = write_crawl(tmp_path / "a.warc.gz", [
        response(IMAGE, Content_Type=html, Content_Language="ru"),
        response(IMAGE, Content_Type="Application/XHTML+XML"),
        response(IMAGE, Content_Type=other),
        response(IMAGE, Content_Type=""),
        response(IMAGE, status=404),
        response(gzip.compress(IMAGE.encode()), Content_Encoding="gzip"),
        response(b"5\r\n<img \r\n6\r\nsrc=a>\r\n0\r\n\r\n", Transfer_Encoding="chunked"),
        record("response", b"garbage", "application/http; msgtype=response"),
        record("resource", IMAGE.encode(), "text/html; charset=utf-8"),
        record("resource", IMAGE.encode(), "image/png"),
        record("metadata", b"fetchTimeMs: 12", "application/warc-fields"),
    ])  # fmt: skip
    found = read(path)
    assert [one.body for one in found if isinstance(one, CrawlRecord)] == [
        IMAGE.encode(), IMAGE.encode(), IMAGE.encode(), b"<img src=a>", IMAGE.encode(),
    ]  # fmt: skip
    assert (found[0].charset, found[0].language) == ("koi8-r", "ru")
    reasons = {r: n for r, n in kinds(found).items() if r != "page"}
    assert sum(reasons.values()) == 6
    assert reasons["not_html"] == 2 and reasons["not_a_page"] == 2


def damaged(kind, records):
    """A crawl file of which the third record is damaged."""
    text = records[2]
    length = re.search(rb"Content-Length: (\d+)", text).group(1)
    packed = [gzip.compress(one, mtime=0) for one in records]
    if kind == "cut":
        packed[2] = packed[2][:-100]
    elif kind == "overwritten":
        packed[2] = packed[2][:60] + b"\0" * 40 + packed[2][100:]
    elif kind == "junk between":
        packed[2] = b"junk" * 50
    else:
        wrong = {"short": b"50", "long": b"99999999", "huge": b"9" * 30, "negative": b"-1",
                 "a bit long": str(int(length) + 40).encode()}[kind]  # fmt: skip
        packed[2] = gzip.compress(text.replace(length, wrong, 1))
    return packed


LENGTHS = ("short", "long", "huge", "negative", "a bit long")


@pytest.mark.parametrize(
    ("kind", "compressed"),
    [(kind, True) for kind in ("cut", "overwritten", "junk between", *LENGTHS)]
    + [(kind, False) for kind in LENGTHS],
)
def test_reading_goes_on_behind_damage(tmp_path, kind, compressed):
    packed = damaged(kind, site(6))
    path = tmp_path / "a.warc"
    path.write_bytes(b"".join(packed if compressed else [gzip.decompress(one) for one in packed]))
    found = read(path)
    urls = [f"https://example.org/{i}" for i in range(6)]
    assert [url for url in pages(found) if url != urls[2]] == urls[:2] + urls[3:]
    bad = kinds(found)
    assert bad["page"] + bad["unreadable_records"] + bad["truncated_record"] in (6, 7)
    assert bad["unreadable_records"] + bad["truncated_record"] == 1
    assert not any(getattr(one, "is_file_lost", False) for one in found)


@pytest.mark.parametrize("compressed", [True, False])
def test_a_file_that_ends_early_is_said_to_be_lost(tmp_path, compressed):
    path = write_crawl(tmp_path / "a.warc", site(4), compressed=compressed)
    path.write_bytes(path.read_bytes()[:-150])
    found = read(path)
    assert len(pages(found)) == 3
    assert found[-1].is_file_lost
    assert found[-1].reason in ("truncated_record", "unreadable_records")


@pytest.mark.parametrize(
    "data",
    [b"hello world" * 999, gzip.compress(b"hello" * 999, mtime=0), b"\0" * 99],
    ids=["text", "gzip", "zeros"],
)
def test_a_file_of_something_else_is_lost(tmp_path, data):
    path = tmp_path / "a.warc.gz"
    path.write_bytes(data)
    (found,) = read(path)
    assert found.reason == "unreadable_records" and found.is_file_lost


def test_an_empty_file_has_no_records(tmp_path):
    (tmp_path / "a.warc").write_bytes(b"")
    assert read(tmp_path / "a.warc") == []


def test_false_beginnings_come_to_an_end(tmp_path):
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"\x1f\x8b\x08\x00" * 50_000)
    assert set(kinds(read(path))) == {"unreadable_records"}


def test_large_pages_and_bombs_are_left_out_in_bounded_memory(tmp_path):
    bomb = gzip.compress(b"\0" * (64 << 20), 9)
    path = write_crawl(tmp_path / "a.warc.gz", [
        response(b"x" * (8 * MAX_BYTES)),
        response(b"x" * (MAX_BYTES + 1)),
        response(bomb, Content_Encoding="gzip"),
        wat([{"path": "IMG@/src", "url": "x" * MAX_BYTES}]),
        response(IMAGE),
    ])  # fmt: skip
    assert kinds(read(path)) == {"too_large": 4, "page": 1}


def test_a_file_whose_lines_end_bare_is_read_whatever_its_lengths_say(tmp_path):
    text = b"".join([*site(3), wat([])]).replace(b"\r\n", b"\n")
    path = tmp_path / "a.warc"
    path.write_bytes(re.sub(rb"Content-Length: \d+", b"Content-Length: 7", text))
    assert kinds(read(path)) == {"page": 3, "wat": 1}


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_gzip_file_of_bare_lines_gives_what_stands_before(tmp_path, damage):
    blocks = [response(f"{IMAGE}{random.Random(i).randbytes(4000).hex()}") for i in range(40)]
    raw = bytearray(gzip.compress(b"".join(blocks).replace(b"\r\n", b"\n")))
    half = len(raw) // 2
    raw[half:] = b"" if damage == "cut" else bytes(255 - b for b in raw[half:])
    (tmp_path / "a.warc.gz").write_bytes(raw)
    *found, last = read(tmp_path / "a.warc.gz")
    assert 10 < len(found) < 25 and set(kinds(found)) == {"page"}
    assert last.reason == "unreadable_records" and last.is_file_lost


def test_a_store_that_breaks_off_is_no_damage(tmp_path, monkeypatch):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 1000:
                raise ConnectionResetError("the store hung up")
            return super().read(min(size, 500) if size > 0 else 500)

    content = b"".join(site(20))
    monkeypatch.setattr(crawl_records.storage, "open_read", lambda *_, **__: Broken(content))
    with pytest.raises(ConnectionResetError):
        read(tmp_path / "a.warc")


@pytest.mark.slow
def test_mutated_files_never_crash_and_never_loop(tmp_path):
    draw = random.Random(0)
    records = [*site(8), wat([{"path": "IMG@/src", "url": "a", "alt": "b"}])]
    originals = [
        b"".join(records),
        b"".join(gzip.compress(one, mtime=0) for one in records),
        gzip.compress(b"".join(records), mtime=0),
    ]
    path = tmp_path / "a.warc"
    for round_number in range(1500):
        data = bytearray(originals[round_number % 3])
        for _ in range(draw.randint(1, 12)):
            at = draw.randrange(len(data))
            how = draw.randrange(4)
            if how == 0:
                data[at] = draw.randrange(256)
            elif how == 1:
                del data[at : at + draw.randint(1, 200)]
            elif how == 2:
                data[at:at] = draw.randbytes(draw.randint(1, 50))
            else:
                start = draw.randrange(len(data))
                data[at:at] = data[start : start + draw.randint(1, 400)]
            if not data:
                break
        path.write_bytes(bytes(data))
        found = read(path)
        # 12 mutations spoil some records; there are no more of them than beginnings.
        assert len(found) <= data.count(b"WARC/1") + data.count(b"\x1f\x8b") + 13
        for one in found:
            if isinstance(one, CrawlRecord):
                with suppress(BadPageError):
                    page_rows(one, PageOptions())


@pytest.mark.slow
def test_mutated_pages_give_strings_and_sums(real_data):
    draw = random.Random(0)
    files = ("resiliparse-warcfile.warc.gz", "CC-MAIN-sample.warc.wat.gz")
    originals = [
        one
        for name in files
        for one in read(real_data / "crawl" / name, 1 << 24)
        if isinstance(one, CrawlRecord)
    ]
    num_pairs = 0
    for number in range(1200):
        original = originals[number % len(originals)]
        body = bytearray(original.body)
        for _ in range(draw.randint(1, 60)):
            at = draw.randrange(len(body))
            piece = draw.choice([b"<", b">", b"\0", b'"', b"&#x110000;", b"</table>", b"\xff",
                                 b"<svg>", b"<img src=x alt=y ", b"<!--", b"\x80\x81"])  # fmt: skip
            body[at : at + draw.choice([0, 1, 9, 99])] = piece
        try:
            found = page_rows(replace(original, body=bytes(body)), PageOptions())
        except BadPageError:
            continue
        assert len(found.urls) == len(found.texts) == len(found.text_keys)
        assert all(url.isascii() and url.startswith("http") for url in found.urls)
        assert all(text and text == " ".join(text.split()) for text in found.texts)
        "".join([*found.texts, found.page_lang or ""]).encode()
        num_pairs += len(found.urls)
    assert num_pairs > 1000
