import bz2
import errno
import hashlib
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from curate.errors import DiskSpaceError, FetchError, NotFoundError
from curate.metadata.fetch.download import (
    _CHUNK_BYTES,
    CONNECTIONS_PER_HOST,
    Fetcher,
    Retries,
    user_agent,
)
from curate.metadata.fetch.hosts import Hosts
from curate.metadata.fetch.notes import RemoteFile, Source, read_source
from tests.metadata.mirror_server import Fault, MirrorServer

# Bytes that do not compress, so that there is something to cut.
BODY = bz2.compress(b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(10_000)))
PATH = "/dewiki/20260101/dewiki-20260101-pages-articles.xml.bz2"
NAME = PATH.rsplit("/", 1)[-1]
SHA1 = hashlib.sha1(BODY).hexdigest()


@pytest.fixture
def server():
    with MirrorServer(files={PATH: BODY}) as running:
        yield running


@pytest.fixture
def waits():
    return []


@pytest.fixture
def fetcher(waits):
    made = Fetcher(
        contact="me@example.org",
        retries=Retries(attempts=4, first_wait_s=1.0, longest_wait_s=60.0, timeout_s=2.0),
        wait=waits.append,
    )
    yield made
    made.close()


SIZE = len(BODY)


def remote(server, *, size=SIZE, sha1=SHA1, path=PATH):
    name = path.rsplit("/", 1)[-1]
    return RemoteFile(name=name, url=server.url + path, date="20260101", size_bytes=size, sha1=sha1)


def test_a_file_gets_its_name_and_a_note(server, fetcher, tmp_path):
    found = fetcher.download(remote(server), tmp_path / "dumps")
    assert (tmp_path / "dumps" / NAME).read_bytes() == BODY
    assert found == Source(
        name=NAME,
        url=server.url + PATH,
        date="20260101",
        size_bytes=len(BODY),
        sha1=SHA1,
        sha256=hashlib.sha256(BODY).hexdigest(),
    )
    assert read_source(tmp_path / "dumps" / NAME) == found
    assert sorted(p.name for p in (tmp_path / "dumps").iterdir()) == [NAME, NAME + ".source.json"]


def test_the_server_is_told_what_this_is_and_whose(server, fetcher, tmp_path):
    fetcher.download(remote(server), tmp_path)
    assert server.seen[0].user_agent == user_agent("me@example.org")
    assert (
        "curate/" in user_agent("me@example.org") and "me@example.org" in server.seen[0].user_agent
    )


HALF = len(BODY) // 2
# A chunk that is cut short by silence is lost.
CHUNKS = HALF // _CHUNK_BYTES * _CHUNK_BYTES


@pytest.mark.parametrize(
    ("faults", "waited", "asked_from"),
    [
        ([Fault(status=429, retry_after="7")], [7.0], [0, 0]),
        ([Fault(status=503, retry_after="0.5")], [1.0], [0, 0]),
        ([Fault(status=503), Fault(status=500), Fault(status=502)], [1.0, 2.0, 4.0], [0, 0, 0, 0]),
        ([Fault(close_after=HALF)], [1.0], [0, HALF]),
        ([Fault(close_after=HALF), Fault(close_after=9)], [1.0, 1.0], [0, HALF, HALF + 9]),
        ([Fault(length_off_by=100)], [1.0], [0]),
        ([Fault(length_off_by=-100)], [1.0], [0, len(BODY) - 100]),
        ([Fault(html=True)], [1.0], [0, 0]),
        ([Fault(close_after=HALF), Fault(html=True)], [1.0, 2.0], [0, HALF, HALF]),
        ([Fault(slow_s=2.5)], [1.0], [0, CHUNKS]),
        ([Fault(close_after=HALF), Fault(ignore_range=True)], [1.0], [0, HALF]),
        ([Fault(garbled=True)], [], [0, 0]),
    ],
)
def test_what_may_be_better_later_is_tried_again(
    server, fetcher, waits, tmp_path, faults, waited, asked_from
):
    server.faults[PATH] = list(faults)
    fetcher.download(remote(server), tmp_path)
    assert (tmp_path / NAME).read_bytes() == BODY
    assert waits == waited
    assert [seen.first_byte for seen in server.requests(NAME)] == asked_from


def test_a_date_to_come_back_at_is_understood(server, fetcher, waits, tmp_path):
    server.faults[PATH] = [Fault(status=503, retry_after=formatdate(time.time() + 30, usegmt=True))]
    fetcher.download(remote(server), tmp_path)
    assert len(waits) == 1 and 25 < waits[0] <= 30


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(status=503), "answers 503 Service Unavailable; given up after 4 attempts"),
        (Fault(html=True), "a page of HTML .* where data is expected; given up after 4"),
        (Fault(close_after=0), "connection .*; given up after 4"),
        (Fault(status=429, retry_after="3600"), "asks to come back in 3,600 seconds"),
        (Fault(garbled=True), f"where {SHA1} is listed, in two downloads"),
        (Fault(status=403), "answers 403 Forbidden.*give --contact"),
    ],
)
def test_what_does_not_get_better_is_an_error_that_says_what_to_do(
    server, fetcher, tmp_path, fault, message
):
    server.faults[PATH] = [fault] * 20
    with pytest.raises(FetchError, match=message) as caught:
        fetcher.download(remote(server), tmp_path)
    assert server.url in str(caught.value)
    assert not (tmp_path / NAME).exists() and read_source(tmp_path / NAME) is None


def test_a_server_that_closes_again_and_again_without_range_is_given_up(server, fetcher, tmp_path):
    server.faults[PATH] = [Fault(close_after=HALF, ignore_range=True)] * 20
    with pytest.raises(FetchError, match="given up after 4 attempts"):
        fetcher.download(remote(server), tmp_path)


def test_a_missing_file_is_said_at_once(server, fetcher, waits, tmp_path):
    with pytest.raises(NotFoundError, match=r"no such file on the server \(404\)"):
        fetcher.download(remote(server, path="/nothing.bz2"), tmp_path)
    with pytest.raises(NotFoundError):
        fetcher.size(server.url + "/nothing.bz2")
    with pytest.raises(NotFoundError):
        fetcher.text(server.url + "/nothing/")
    assert waits == []


def test_no_server_at_all_and_no_address(fetcher, tmp_path):
    with MirrorServer() as gone:
        file = remote(gone)
    with pytest.raises(FetchError, match="connection failed.*refused.*given up"):
        fetcher.download(file, tmp_path)
    with pytest.raises(FetchError, match="not an http or https address"):
        fetcher.text("dumps.wikimedia.org/dewiki")


def test_the_next_run_goes_on_where_the_last_was_cut_off(server, fetcher, tmp_path):
    server.faults[PATH] = [Fault(close_after=HALF), *[Fault(status=503)] * 4]
    with pytest.raises(FetchError, match="What has come is kept"):
        fetcher.download(remote(server), tmp_path)
    assert (tmp_path / (NAME + ".part")).stat().st_size == HALF
    fetcher.download(remote(server), tmp_path)
    assert server.requests(NAME)[-1].first_byte == HALF
    assert (tmp_path / NAME).read_bytes() == BODY


def test_a_part_of_another_version_is_not_gone_on_with(server, fetcher, tmp_path):
    file = remote(server, size=None, sha1=None)
    server.faults[PATH] = [Fault(close_after=HALF), *[Fault(status=503)] * 4]
    with pytest.raises(FetchError):
        fetcher.download(file, tmp_path)
    server.files[PATH] = newer = bz2.compress(b"newer" * 50_000)
    fetcher.download(file, tmp_path)
    assert (tmp_path / NAME).read_bytes() == newer


def test_a_part_that_nothing_is_known_of_is_not_gone_on_with(server, fetcher, tmp_path):
    server.tags = False
    (tmp_path / (NAME + ".part")).write_bytes(b"BZh91AY" * 10)
    fetcher.download(remote(server, size=None, sha1=None), tmp_path)
    assert (tmp_path / NAME).read_bytes() == BODY


def test_a_part_longer_than_the_file_is_begun_anew(server, fetcher, tmp_path):
    (tmp_path / (NAME + ".part")).write_bytes(BODY + b"more")
    fetcher.download(remote(server), tmp_path)
    assert (tmp_path / NAME).read_bytes() == BODY


def test_a_part_that_is_whole_is_not_fetched_again(server, fetcher, tmp_path):
    (tmp_path / (NAME + ".part")).write_bytes(BODY)
    fetcher.download(remote(server), tmp_path)
    assert server.seen == [] and (tmp_path / NAME).read_bytes() == BODY


def test_a_file_of_another_kind_is_refused(server, fetcher, tmp_path):
    server.files[PATH] = b"<?xml version='1.0'?><mediawiki/>"
    with pytest.raises(FetchError, match="begin with .*mediawiki.*not b'BZh'"):
        fetcher.download(remote(server, size=None, sha1=None), tmp_path)


def test_an_empty_file_is_refused(server, fetcher, tmp_path):
    server.files[PATH] = b""
    with pytest.raises(FetchError, match="nothing came"):
        fetcher.download(remote(server, size=None, sha1=None), tmp_path)


def test_never_more_than_two_connections(server, tmp_path):
    paths = [f"/other/{i}.bz2" for i in range(8)]
    for path in paths:
        server.files[path] = BODY
        server.faults[path] = [Fault(slow_s=0.05)]
    fetcher = Fetcher()
    threads = [
        threading.Thread(target=fetcher.download, args=(remote(server, path=p), tmp_path))
        for p in paths
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fetcher.close()
    assert server.busiest == CONNECTIONS_PER_HOST == 3
    assert len(list(tmp_path.glob("*.bz2"))) == 8


def test_bytes_that_came_add_up_to_the_file(server, tmp_path):
    server.faults[PATH] = [Fault(garbled=True), Fault(close_after=HALF), Fault(ignore_range=True)]
    counted = []
    fetcher = Fetcher(wait=lambda _: None, on_bytes=counted.append)
    fetcher.download(remote(server), tmp_path)
    fetcher.close()
    assert sum(counted) == len(BODY) and min(counted) < 0


def test_a_full_disk_is_said_and_what_came_is_kept(server, fetcher, tmp_path, monkeypatch):
    class FullDisk:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, chunk):
            self.file.write(chunk[:1000])
            raise OSError(errno.ENOSPC, "No space left on device")

    opened = Path.open
    with monkeypatch.context() as patched:
        patched.setattr(
            Path,
            "open",
            lambda path, *a, **k: (
                FullDisk(opened(path, *a, **k)) if path.suffix == ".part" else opened(path, *a, **k)
            ),
        )
        with pytest.raises(DiskSpaceError, match="the disk is full.*--drop-sources"):
            fetcher.download(remote(server), tmp_path)
    assert (tmp_path / (NAME + ".part")).stat().st_size == 1000
    fetcher.download(remote(server), tmp_path)
    assert [seen.first_byte for seen in server.requests(NAME)] == [0, 1000]


def test_a_folder_that_cannot_be_written_to_is_said(server, fetcher, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchError, match="cannot be written to"):
        fetcher.download(remote(server), tmp_path / "file")


def test_a_stopped_fetcher_ends_and_keeps_what_came(server, tmp_path):
    fetcher = Fetcher(on_bytes=lambda n: n and fetcher.stop())
    server.faults[PATH] = [Fault(slow_s=0.05)]
    with pytest.raises(FetchError, match="stopped"):
        fetcher.download(remote(server), tmp_path)
    with pytest.raises(FetchError, match="stopped"):
        fetcher.text(server.url + "/dewiki/")
    assert (tmp_path / (NAME + ".part")).exists()


def test_sizes_are_told_without_fetching(server, fetcher):
    assert fetcher.size(server.url + PATH) == len(BODY)
    assert [seen.method for seen in server.seen] == ["HEAD"]


def test_a_server_that_is_down_is_not_asked_for_hours(server, fetcher, waits):
    server.faults["/a"] = [Fault(status=503)] * 99
    for _ in range(5):
        with pytest.raises(FetchError, match="given up after"):
            fetcher.text(server.url + "/a")
    assert len(server.requests("/a")) == 3 * 4 + 2 and len(waits) == 3 * 3
    fetcher.text(server.url + PATH)
    with pytest.raises(FetchError, match="given up after 4 attempts"):
        fetcher.text(server.url + "/a")


def test_while_a_server_asks_to_wait_no_thread_asks_it(waits):
    """Retry-After is of the address, not of one file: the others wait as long as is left."""
    hosts = Hosts(Retries(), waits.append)
    during = []

    def wait(seconds):
        waits.append(seconds)
        if not during:
            during.append(seconds)
            hosts.wait_until_open("here")  # another thread, meanwhile
            hosts.wait_until_open("elsewhere")

    hosts = Hosts(Retries(), wait)
    hosts.pause("here", 1.0, 30.0)
    assert waits[0] == 30.0 and 29 < waits[1] <= 30 and len(waits) == 2
    hosts.wait_until_open("here")
    hosts.pause("here", 1.0, None)
    assert waits[2:] == [1.0]


def test_a_file_that_is_not_of_its_sha256_is_refused(server, fetcher, tmp_path):
    sums = {"name": NAME, "url": server.url + PATH, "date": "20260801"}
    good = RemoteFile(**sums, sha256=hashlib.sha256(BODY).hexdigest())
    assert fetcher.download(good, tmp_path).sha256 == good.sha256
    with pytest.raises(FetchError, match="sha256 .* where 00.* is listed, in two downloads"):
        fetcher.download(RemoteFile(**sums, sha256="0" * 64), tmp_path / "other")
    assert not (tmp_path / "other" / NAME).exists()
