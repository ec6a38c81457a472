"""Fetching images from a server that misbehaves, and the addresses that are refused."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from curate.errors import UsageError
from curate.pipelines.download import addresses as image_addresses
from curate.pipelines.download import fetch as image_fetch
from curate.pipelines.download.addresses import is_public
from curate.pipelines.download.fetch import ImageFetcher
from curate.pipelines.download.options import FetchOptions
from curate.pipelines.opt_outs.content import header_signals
from curate.pipelines.opt_outs.signals import opted_out
from curate.pipelines.shards.options import Resize
from tests.pipelines.image_server import ImageServer, photo

QUICK = {"allow_private": True, "retries": 0, "backoff_s": 0.0, "timeout_s": 20.0}


@pytest.fixture(scope="module")
def server():
    with ImageServer() as running:
        yield running


def fetch(urls, *, resize=None, **options):
    """Fetch URLs at the same time; return what came of each, in order."""

    async def run():
        with ThreadPoolExecutor(1) as pool:
            chosen = FetchOptions(**{**QUICK, **options})
            async with ImageFetcher(chosen, resize or Resize(), pool) as fetcher:
                return await asyncio.gather(*(fetcher.fetch(url) for url in urls))

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/photo/1", ""), ("/typed", ""), ("/gif", ""), ("/other", ""), ("/hops/5", ""),
        ("/page", "not_an_image"), ("/bomb", "decompression_bomb"), ("/empty", "empty"),
        ("/noai", "opted_out"), ("/hops/6", "too_many_redirects"),
        ("/loop/0", "too_many_redirects"),
        ("/to/file:///etc/passwd", "bad_url"), ("/to/javascript:alert(1)", "bad_url"),
        ("/status/403", "http_403"), ("/status/404", "http_404"), ("/status/429", "http_429"),
        ("/status/500", "http_500"), ("/status/204", "http_204"), ("/status/304", "http_304"),
        ("/early", "truncated"), ("/garbage", "bad_answer"), ("/close", "connection"),
        ("/big", "too_large"), ("/endless", "too_large"),
        ("/gzip", "too_large"),
    ],
)  # fmt: skip
def test_every_way_to_misbehave_has_a_reason(server, path, reason):
    (found,) = fetch([server.url(path)])
    assert (found.reason, found.image is None) == (reason, bool(reason))
    assert not reason or found.detail


def test_a_server_that_hangs_ends_with_the_timeout(server):
    found = fetch([server.url("/hang")], timeout_s=0.3)
    assert found[0].reason == "timeout"


@pytest.mark.parametrize(
    "url", ["", "javascript:alert(1)", "ftp://127.0.0.1/a", "http://", "//x/a.jpg", "http://[::1",
            "http://a b/c", "data:image/png;base64,AAAA", "http://127.0.0.1:99999/", "\x00"],
)  # fmt: skip
def test_what_is_no_url_of_http_is_told(url):
    (found,) = fetch([url], timeout_s=2.0)
    assert found.reason in ("bad_url", "dns")


def test_nobody_listening_is_no_connection():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        (found,) = fetch([f"http://127.0.0.1:{free.getsockname()[1]}/a.jpg"])
    assert found.reason == "connection"


def test_what_may_pass_is_asked_for_again(server):
    found = fetch([server.url("/busy/7"), server.url("/status/503"), server.url("/status/404")],
                  retries=2)  # fmt: skip
    assert [f.reason for f in found] == ["", "http_503", "http_404"]
    assert found[0].image.content == photo(7)
    assert server.asked["/busy/7"] == 2 and server.asked["/status/503"] == 3
    assert server.asked["/status/404"] <= 2  # this test's own and that of another


def test_a_host_gets_no_more_requests_at_once_than_allowed(server):
    server.most_at_once = 0
    found = fetch([server.url(f"/slow/{i}") for i in range(30)], per_host=3)
    assert not any(f.reason for f in found)
    assert server.most_at_once == 3


def test_a_host_that_gives_no_answer_is_given_up(server):
    paths = [f"/hang/{100 + i}" for i in range(12)]
    found = fetch([server.url(p) for p in paths], timeout_s=0.2, per_host=2, give_up_after=4)
    assert {f.reason for f in found} == {"timeout"}
    assert 4 <= sum(server.asked[p] for p in paths) <= 6


def test_images_are_resized_and_the_hash_is_of_what_came(server):
    (found,) = fetch([server.url("/photo/9")], resize=Resize(mode="border", size=16))
    (plain,) = fetch([server.url("/photo/9")])
    assert (found.image.width, found.image.height) == (16, 16)
    assert (found.image.original_width, found.image.original_height) == (40, 30)
    assert found.sha256 == plain.sha256


def test_opting_out_can_be_overruled(server):
    assert fetch([server.url("/noai")], honour_opt_outs=False)[0].image is not None


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["noai"], True), (["NoIndex, nofollow"], True), (["none"], True), (["nofollow"], False),
        (["curate: noimageai"], True), (["other: noai"], False), (["other: noai", "noai"], True),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noimageindex"], True),
        (["noai noimageai"], True), (["nofollow; noai"], True), (["max-age: 1, noai"], True),
        (["other bot: noai"], True), (["other: nofollow noai"], False), (["other:noai"], False),
        (["other: max-snippet:-1, noai"], False),
        (["other: nofollow, curate: noai"], True), (["max-snippet:-1"], False), ([], False),
    ],
)  # fmt: skip
def test_directives_for_robots_are_read_as_they_are_written(values, wanted):
    found = header_signals({"x-robots-tag": values, "content-usage": [], "tdm-reservation": []}.get)
    assert opted_out(found) is wanted


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("1.1.1.1", True), ("2606:4700::1111", True), ("::ffff:1.1.1.1", True),
        ("127.0.0.1", False), ("127.8.9.10", False), ("10.1.2.3", False), ("192.168.0.1", False),
        ("172.31.255.255", False), ("169.254.169.254", False), ("100.64.0.1", False),
        ("0.0.0.0", False), ("224.0.1.1", False), ("240.0.0.1", False), ("255.255.255.255", False),
        ("198.18.0.1", False), ("::1", False), ("::", False), ("fe80::1%eth0", False),
        ("fd00::1", False), ("ff02::1", False), ("::ffff:127.0.0.1", False),
        ("::ffff:100.64.0.1", False), ("2002:7f00:1::", False), ("64:ff9b::7f00:1", False),
        ("64:ff9b::101:101", True), ("2001:0:7f00:1::", False),
    ],
)  # fmt: skip
def test_only_public_addresses_are_public(address, wanted):
    assert is_public(address) is wanted


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1",
             "127.1", "0177.0.0.1"],
)  # fmt: skip
def test_private_addresses_are_refused_however_they_are_written(server, host):
    before = server.asked.total()
    (found,) = fetch([f"http://{host}:{server.port}/photo/1"], allow_private=False)
    assert found.reason in ("private_address", "dns", "bad_url")
    assert server.asked.total() == before


def only_loopback_one_is_public(monkeypatch):
    for module in (image_addresses, image_fetch):
        monkeypatch.setattr(module, "is_public", lambda address: address == "127.0.0.1")


@pytest.mark.parametrize("place", ["http://127.0.0.2:{}/photo/1", "http://rebound.test:{}/photo/1"])
def test_a_redirect_does_not_lead_to_a_private_address(server, monkeypatch, place):
    only_loopback_one_is_public(monkeypatch)
    real = socket.getaddrinfo

    def lookup(host, *args, **kwargs):
        return real("127.0.0.2" if host == "rebound.test" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    before = server.asked["/photo/1"]
    good, bad = fetch(
        [server.url("/photo/2"), server.url(f"/to/{place.format(server.port)}")],
        allow_private=False,
    )
    assert (good.reason, bad.reason) == ("", "private_address")
    assert server.asked["/photo/1"] == before


@pytest.mark.parametrize("name", ["timeout_s", "per_host", "at_once", "max_bytes"])
def test_options_out_of_range_are_refused(name):
    with pytest.raises(UsageError, match=r"is 0; expected at least"):
        FetchOptions(**{name: 0})
