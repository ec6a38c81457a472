import gzip
from collections import Counter

import pytest

from metadata.errors import InputError
from metadata.pageviews import count_views

LINES = (
    b"en Red_dog 5 0\n"
    b"en.m Red_dog 2 0\n"
    b"en.b Red_dog 100 0\n"
    b"en.m.d Red_dog 100 0\n"
    b"en Star_Wars:_A 3 0\n"
    b"en Caf%C3%A9 1 0\n"
    b"en Caf\xc3\xa9 1 0\n"
    b"zh-yue \xe7\x8b\x97 4 0\n"
    b"de Hund 9 0\n"
    b'en "" 1 0\n'
    b"en no_number x 0\n"
    b"en two words 1 0\n"
    b"en -5 -5 0\n"
    b"\n"
)


def write(path, lines=LINES):
    path.write_bytes(gzip.compress(lines))
    return str(path)


def test_only_the_encyclopedia_and_its_mobile_site_are_counted(tmp_path):
    path = write(tmp_path / "pageviews-20260101-000000.gz")
    bad = Counter()
    views = count_views([path, path], ["en", "zh_yue"], bad)
    assert views == {
        "en": Counter({"Red dog": 14, "Star Wars: A": 6, "Café": 4, '""': 2}),
        "zh_yue": Counter({"狗": 8}),
    }
    assert bad == {path: 8}


def test_plain_files_and_urls_are_read_too(tmp_path):
    path = tmp_path / "pageviews-20260101-000000"
    path.write_bytes(LINES)
    assert count_views([path.as_uri()], ["de"]) == {"de": Counter(Hund=9)}


def test_a_corrupt_file_is_named(tmp_path):
    path = tmp_path / "pageviews-20260101-000000.gz"
    whole = gzip.compress(LINES * 500)
    for damaged in (whole[:-20], whole[:15] + b"\xff" * 40 + whole[55:], b"no gzip"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="pageviews-20260101-000000.gz"):
            count_views([str(path)], ["en"])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="nothing.gz"):
        count_views([str(tmp_path / "nothing.gz")], ["en"])
