"""Crawl files as other crawlers write them: old versions, line ends, codings, padding, cuts."""

import gzip
import io
import random
import re
import zlib

import pytest
from fastwarc.stream_io import ZstdWriter

from tests.pipelines.crawl_helpers import record, response
from tests.pipelines.extract.test_crawl_records import IMAGE, kinds, pages, read, site


def zstd(data):
    file = io.BytesIO()
    writer = ZstdWriter(file)
    writer.write(data)
    writer.close()
    return file.getvalue()


PACKED = {
    "plain": b"".join,
    "gzip": lambda records: b"".join(gzip.compress(one, mtime=0) for one in records),
    "one member": lambda records: gzip.compress(b"".join(records), mtime=0),
    "zstd": lambda records: b"".join(map(zstd, records)),
}
packed = pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)


def read_bytes(tmp_path, data):
    (tmp_path / "a.warc").write_bytes(data)
    return read(tmp_path / "a.warc")


@packed
@pytest.mark.parametrize("version", [b"WARC/0.17", b"WARC/0.18", b"WARC/0.9", b"WARC/1.1"])
@pytest.mark.parametrize("eol", [b"\r\n", b"\n"])
def test_any_version_is_read_whatever_its_lines_end_in(tmp_path, pack, version, eol):
    records = [one.replace(b"WARC/1.0", version, 1).replace(b"\r\n", eol) for one in site(4)]
    found = read_bytes(tmp_path, pack(records))
    assert pages(found) == [f"https://example.org/{i}" for i in range(4)]
    assert [one.body for one in found] == [one.body for one in read_bytes(tmp_path, pack(site(4)))]


def test_a_page_that_shows_a_record_is_one_page_where_its_length_is_right(tmp_path):
    shown = response(f"{IMAGE}<pre>\nWARC/1.0\nWARC-Type: response\n\n</pre>{IMAGE}")
    lengths = response(IMAGE, "https://example.org/2")
    data = (shown + lengths).replace(b"\r\n", b"\n")
    size = len(shown.replace(b"\r\n", b"\n").partition(b"\n\n")[2]) - 2
    data = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % size, data, count=1)
    first, second = read_bytes(tmp_path, data)
    assert first.body.count(IMAGE.encode()) == 2 and second.body == IMAGE.encode()


@pytest.mark.parametrize("bare", [(1,), (0, 2), (3,)])
def test_records_of_both_line_ends_in_one_file_are_all_read(tmp_path, bare):
    records = [one.replace(b"\r\n", b"\n") if i in bare else one for i, one in enumerate(site(4))]
    for pack in PACKED.values():
        assert kinds(read_bytes(tmp_path, pack(records))) == {"page": 4}


@packed
def test_a_line_break_too_many_and_a_length_two_short_are_no_damage(tmp_path, pack):
    """As Common Crawl announced of CC-MAIN-2018-34."""
    records = [one.replace(b"\r\n\r\n<", b"\r\n\r\n\r\n<") for one in site(5)]
    found = read_bytes(tmp_path, pack(records))
    assert [one.body for one in found] == [one.body for one in read_bytes(tmp_path, pack(site(5)))]


@packed
@pytest.mark.parametrize("num", [1, 512, 100_000])
def test_bytes_of_zero_behind_records_and_at_the_end_are_no_damage(tmp_path, pack, num):
    zeros = b"\0" * num
    records = site(4)
    inside = pack([one + zeros for one in records])
    assert kinds(read_bytes(tmp_path, inside + zeros)) == {"page": 4}
    between = pack(records[:2]) + zeros + pack(records[2:]) + zeros
    assert kinds(read_bytes(tmp_path, between)) == {"page": 4}


@packed
def test_several_records_in_one_member_are_read_once(tmp_path, pack):
    records = site(6)
    data = pack(records[:2]) + pack([b"".join(records[2:4])]) + pack(records[4:])
    assert kinds(read_bytes(tmp_path, data)) == {"page": 6}
    assert kinds(read_bytes(tmp_path, data + b"\0" * 9)) == {"page": 6}


@pytest.mark.parametrize("pack", [*PACKED.values(), None], ids=[*PACKED, "cut, then packed"])
def test_wherever_a_file_is_cut_a_record_is_lost_with_a_count(tmp_path, pack):
    records = [response(f"{IMAGE}{i}", f"https://example.org/{i}") for i in range(3)]
    whole = (pack or b"".join)(records)
    end = len(whole) - (4 if pack in (None, b"".join) else 0)  # line breaks that hold nothing
    if pack is None:
        end = len(whole) - 4
    start = 0 if pack is PACKED["one member"] else len(whole) - len((pack or b"".join)(records[2:]))
    for size in range(start + 1, end):
        data = whole[:size]
        found = read_bytes(tmp_path, data if pack else gzip.compress(data, 1))
        assert found[-1].is_file_lost, size
        assert len(pages(found)) >= (0 if start == 0 else 2), size


def test_a_header_that_is_cut_before_another_record_takes_nothing_with_it(tmp_path):
    records = site(4)
    for size in (9, 30, 60, 100):
        data = records[0] + records[1][:size] + b"".join(records[2:])
        found = read_bytes(tmp_path, data)
        assert pages(found) == [f"https://example.org/{i}" for i in (0, 2, 3)]
        assert kinds(found) == {"page": 3, "unreadable_records": 1}


RAW_DEFLATE = zlib.compressobj(wbits=-15)
RAW_DEFLATE = RAW_DEFLATE.compress(IMAGE.encode() * 9) + RAW_DEFLATE.flush()
BODY = IMAGE.encode() * 9
GZIPPED = gzip.compress(BODY, mtime=0)  # the same in every process that collects
CHUNKED = b"%x;a=b\r\n%s\r\n%x\r\n%s\r\n0\r\nTrailer: x\r\n\r\n"
CODED = [
    ("x-gzip", GZIPPED),
    ("GZIP", GZIPPED),
    ("gzip", gzip.compress(BODY[:50], mtime=0) + gzip.compress(BODY[50:], mtime=0)),
    ("gzip", GZIPPED + b"behind"),
    ("gzip", b"\r\n" + GZIPPED),
    ("gzip, gzip", gzip.compress(GZIPPED, mtime=0)),
    ("deflate", zlib.compress(BODY)),
    ("deflate", RAW_DEFLATE),
    ("zstd", zstd(BODY)),
    *((name, BODY) for name in ("none", "UTF-8", "identity", "binary", "7bit", "x-unknown")),
    *((name, BODY) for name in ("gzip", "x-gzip", "deflate", "br", "zstd", "gzip, br", "")),
]


@pytest.mark.parametrize(("coding", "body"), CODED)
def test_a_page_is_decoded_as_it_is_and_not_as_its_header_says(tmp_path, coding, body):
    records = [*site(1), response(body, Content_Encoding=coding), *site(2)]
    for pack in PACKED.values():
        found = read_bytes(tmp_path, pack(records))
        assert kinds(found) == {"page": 4}
        assert found[1].body == BODY


@pytest.mark.parametrize(
    ("body", "more"),
    [
        (CHUNKED % (9, BODY[:9], len(BODY) - 9, BODY[9:]), {}),
        (b"%x\r\n%s\r\n" % (len(BODY), BODY), {}),
        (b"%x\n%s\n0\n\n" % (len(BODY), BODY), {}),
        (BODY, {}),
        (
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(RAW_DEFLATE), RAW_DEFLATE),
            {"Content_Encoding": "deflate"},
        ),
        (GZIPPED, {"Content_Encoding": "gzip"}),
    ],
)
def test_chunks_are_joined_where_there_are_any(tmp_path, body, more):
    records = [response(body, Transfer_Encoding="chunked", **more), *site(1)]
    found = read_bytes(tmp_path, b"".join(records))
    assert kinds(found) == {"page": 2} and found[0].body == BODY


@pytest.mark.parametrize("coding", ["gzip", "x-gzip"])
def test_a_damaged_body_is_a_bad_record_and_counted_once(tmp_path, coding):
    body = bytearray(gzip.compress(random.Random(0).randbytes(3000).hex().encode()))
    body[20:40] = bytes(255 - byte for byte in body[20:40])
    found = read_bytes(
        tmp_path, b"".join([response(bytes(body), Content_Encoding=coding), *site(2)])
    )
    assert kinds(found) == {"bad_http": 1, "page": 2}


@pytest.mark.parametrize(
    ("body", "charset", "is_page"),
    [
        (GZIPPED, "utf-8", False),
        (zstd(BODY), "utf-8", False),
        (b"%PDF-1.4\n", "utf-8", False),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "utf-8", False),
        (random.Random(0).randbytes(2000), "utf-8", False),
        (BODY + b"\x01\x02\0", "utf-8", True),
        (BODY.decode().encode("utf-16"), "utf-8", True),
        ("\u4e01\u0102<p>".encode("utf-16-le") * 99, "utf-16le", True),
        ("赤い車".encode("iso-2022-jp") * 99, "iso-2022-jp", True),
        ("красная".encode("koi8-r") * 99, "koi8-r", True),
        (b"", "utf-8", True),
    ],
)
def test_a_binary_body_is_no_page_and_counted_as_skipped(tmp_path, body, charset, is_page):
    sent = f"text/html; charset={charset}"
    records = [response(body, Content_Type=sent), record("resource", body, sent), *site(1)]
    found = read_bytes(tmp_path, b"".join(records))
    assert kinds(found) == ({"page": 3} if is_page else {"binary_body": 2, "page": 1})


def test_a_wrong_length_of_gigabytes_hides_no_record(tmp_path):
    records = site(5)
    for wrong in (b"5000000", b"9" * 15, b"x", b""):
        data = [re.sub(rb"Content-Length: \d+", b"Content-Length: " + wrong, records[1])]
        data = b"".join([records[0], *data, *records[2:], response("y" * 6_000_000)])
        found = read_bytes(tmp_path, data)
        assert len(pages(found)) == 4 and kinds(found)["too_large"] == 1
        assert kinds(found).total() == 6
