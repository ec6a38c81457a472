import bz2
import gzip
from collections import Counter

import pyarrow.parquet as pq
import pytest

from curate.errors import InputError
from curate.files.parquet import sealed
from curate.files.parquet.one_thread import OneThreadFile
from curate.metadata.languages import WIKIPEDIA_CODES
from curate.metadata.views import stored_views
from curate.metadata.views.pageviews import count_views
from curate.metadata.views.stored_views import StoredViews, filter_views, num_bad_lines

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
    b"en broken \xff\xed line 1 0\n"
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
    assert bad == {path: 10}


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


DAILY = (
    b"de.wikipedia Hund 5 desktop 9 A4B5\n"
    b"en.wikibooks Red_dog 7 desktop 100 A100\n"
    b"en.wikipedia Red_dog 15 desktop 5 A2B3\n"
    b"en.wikipedia Red_dog 15 mobile-web 2 A2\n"
    b"en.wikipedia Red_dog null mobile-app 1 A1\n"
    b"en.wikipedia Star_Wars:_A 16 desktop 3 C3\n"
    b"en.wikipedia Caf%C3%A9 17 desktop 1 C1\n"
    b"en.wikipedia Caf\xc3\xa9 17 desktop 1 C1\n"
    b"en.wiktionary Red_dog 8 desktop 100 A100\n"
    b"zh-yue.wikipedia \xe7\x8b\x97 1 desktop 4 X4\n"
    b"en.wikipedia no_number 1 desktop x A1\n"
    b"en.wikipedia no_device 1 fridge 1 A1\n"
    b"en.wikipedia no_id desktop 1 A1\n"
    b"commons.wikimedia File:A.jpg 1 desktop 1 A1\n"
)


def write_daily(path, lines=DAILY):
    path.write_bytes(bz2.compress(lines))
    return str(path)


def test_daily_files_have_a_line_for_every_device(tmp_path):
    path = write_daily(tmp_path / "pageviews-20260101-user.bz2")
    bad = Counter()
    assert count_views([path], ["en", "zh_yue"], bad) == {
        "en": Counter({"Red dog": 8, "Star Wars: A": 3, "Café": 2}),
        "zh_yue": Counter({"狗": 4}),
    }
    assert bad == {path: 3}


def test_hourly_and_daily_files_add_up(tmp_path):
    hourly = write(tmp_path / "pageviews-20260101-000000.gz")
    daily = write_daily(tmp_path / "pageviews-20260102-user.bz2")
    assert count_views([hourly, daily], ["de"]) == {"de": Counter(Hund=18)}


def summed(stored):
    views = Counter()
    for title, num in stored.items():
        views[title] += num
    return views


@pytest.mark.parametrize("block", [7, 100, 1 << 20])
def test_what_is_stored_is_what_is_counted(tmp_path, monkeypatch, block):
    monkeypatch.setattr(stored_views, "_BLOCK_BYTES", block)
    paths = [
        write(tmp_path / "pageviews-20260101-000000.gz"),
        write_daily(tmp_path / "pageviews-20260102-user.bz2"),
    ]
    stored, bad = [], Counter()
    for number, path in enumerate(paths):
        stored.append(str(tmp_path / f"{number}.parquet"))
        with open(stored[-1], "wb") as sink:
            bad[path] = filter_views(path, WIKIPEDIA_CODES, sink)
        assert num_bad_lines(stored[-1]) == bad[path]
    expected_bad = Counter()
    counted = count_views(paths, WIKIPEDIA_CODES, expected_bad)
    assert bad == expected_bad
    for wiki in ("en", "de", "zh_yue", "fr"):
        assert summed(StoredViews(tuple(stored), (wiki,))) == counted[wiki], wiki
    both = summed(StoredViews(tuple(stored), ("de", "zh_yue")))
    assert both == counted["de"] + counted["zh_yue"]


def test_only_parts_that_may_hold_a_wiki_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_views, "_BLOCK_BYTES", 100)
    path = tmp_path / "views.parquet"
    with path.open("wb") as sink:
        filter_views(write_daily(tmp_path / "v.bz2"), WIKIPEDIA_CODES, sink)
    groups = pq.ParquetFile(path).num_row_groups
    read = []

    class Counting(OneThreadFile):
        def read_row_group(self, index, *rest, **options):
            read.append(index)
            return super().read_row_group(index, *rest, **options)

    monkeypatch.setattr(sealed, "OneThreadFile", Counting)
    assert summed(StoredViews((str(path),), ("de",))) == Counter(Hund=9)
    assert read == [0] and groups > 1


def test_a_day_that_is_cut_off_is_named_and_so_is_a_stored_file_that_is_damaged(tmp_path):
    path = tmp_path / "pageviews-20260101-user.bz2"
    path.write_bytes(bz2.compress(DAILY * 900)[:-9])
    with (tmp_path / "out").open("wb") as sink, pytest.raises(InputError, match="user.bz2: cannot"):
        filter_views(str(path), ["en"], sink)
    damaged = tmp_path / "views.parquet"
    damaged.write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="views.parquet is damaged: it is cut off.*made again"):
        list(StoredViews((str(damaged),), ("en",)).items())
