"""What hosts say in robots.txt and tdmrep.json, and what servers say in headers."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from yarl import URL

from curate.pipelines.download.fetch import ImageFetcher
from curate.pipelines.download.host_rules import HostFile, HostRules
from curate.pipelines.download.options import FetchOptions
from curate.pipelines.shards.options import Resize
from tests.pipelines.image_server import ImageServer, answer, photo

QUICK = {"allow_private": True, "retries": 0, "backoff_s": 0.0, "timeout_s": 20.0}
ROBOTS, TDM = "/robots.txt", "/.well-known/tdmrep.json"
NONE = {ROBOTS: answer(404), TDM: answer(404)}


@pytest.fixture
def server():
    with ImageServer() as running:
        running.files.update(NONE)
        yield running


def fetch(server, *paths, **options):
    async def run():
        chosen = FetchOptions(**{**QUICK, "host_rules": True, **options})
        with ThreadPoolExecutor(1) as pool:
            async with ImageFetcher(chosen, Resize(), pool) as fetcher:
                return await asyncio.gather(*(fetcher.fetch(server.url(p)) for p in paths))

    return asyncio.run(run())


def test_a_host_without_rules_is_asked_once_for_each_file(server):
    found = fetch(server, *(f"/photo/{i}" for i in range(20)), per_host=2)
    assert {(f.reason, f.opt_outs) for f in found} == {("", ())}
    assert server.asked[ROBOTS] == server.asked[TDM] == 1


def test_without_the_option_no_host_is_asked(server):
    fetch(server, "/photo/1", host_rules=False)
    assert set(server.asked) == {"/photo/1"}


def test_usage_in_robots_txt_holds_by_the_longest_path(server):
    server.files[ROBOTS] = answer(
        200,
        b"""
User-Agent: otherbot
Content-Usage: train-ai=y

User-agent: *          # everybody else
Disallow: /slow/
Content-Usage: train-ai=n
Content-Usage: /photo/ train-ai=y
Content-Usage: /photo/9 train-ai=n
Content-Usage: /photo/8 train-ai=y
Content-Usage: /photo/8 train-ai=n
Content-Usage: /photo/7 train-all=y
Content-Usage: /photo/6 Train=
""",
    )
    paths = ["/typed", "/photo/1", "/photo/9", "/photo/8", "/photo/7", "/photo/6", "/slow/1"]
    found = fetch(server, *paths)
    assert [f.reason for f in found] == ["opted_out", "", "opted_out", "opted_out", "", "",
                                         "opted_out"]  # fmt: skip
    rule = "robots.txt content-usage"
    assert [f.opt_outs for f in found] == [
        (f"deny: {rule}",), (f"allow: {rule}",), (f"deny: {rule}",),
        (f"allow: {rule}", f"deny: {rule}"), (f"unknown: {rule}",), (f"malformed: {rule}",),
        ("deny: robots.txt disallow",),
    ]  # fmt: skip
    assert found[-1].detail == "robots.txt disallow" and server.asked["/slow/1"] == 0


def test_a_group_of_our_own_stands_in_place_of_the_one_for_all(server):
    server.files[ROBOTS] = answer(
        200, b"\xef\xbb\xbfuser-agent: *\r\nDisallow: /\r\nUser-Agent: CURATE/1.0\r\nAllow: /"
    )
    assert fetch(server, "/photo/1")[0].reason == ""


def test_reservations_in_tdmrep_json_hold_by_the_longest_location(server):
    rules = [{"location": "/", "tdm-reservation": 1, "tdm-policy": "https://x.example/p.json"},
             {"location": "/photo/*", "tdm-reservation": 0},
             {"location": "/photo/*9$", "tdm-reservation": "1"},
             {"location": "/typed", "tdm-reservation": True}]  # fmt: skip
    server.files[TDM] = answer(200, json.dumps(rules).encode())
    found = fetch(server, "/gif", "/photo/1", "/photo/99", "/typed")
    assert [f.opt_outs for f in found] == [
        ("deny: tdmrep.json",), ("allow: tdmrep.json",), ("deny: tdmrep.json",),
        ("malformed: tdmrep.json",),
    ]  # fmt: skip
    assert [f.reason for f in found] == ["opted_out", "", "opted_out", ""]


@pytest.mark.parametrize(
    "content",
    [b'[[{"location": "/", "tdm-reservation": 1}], []]', b'{"location": "/"}', b"[3", b"\xff",
     b'[{"location": 3}]', b"[" * 5000, b"<html>", b"1"],
)  # fmt: skip
def test_a_malformed_tdmrep_json_is_unknown_and_counted(server, content):
    server.files[TDM] = answer(200, content)
    (found,) = fetch(server, "/photo/1")
    assert (found.reason, found.opt_outs) == ("", ("malformed: tdmrep.json",))


def test_of_two_rules_that_disagree_the_stricter_holds(server):
    server.files[ROBOTS] = answer(200, b"User-agent: *\nContent-Usage: train-ai=y")
    server.files[TDM] = answer(200, b'[{"location": "/", "tdm-reservation": 1}]')
    server.files["/a"] = answer(200, photo(1), Content_Usage="train-ai=y")
    (found,) = fetch(server, "/a")
    assert found.reason == "opted_out" and found.detail == "tdmrep.json"


def test_a_longer_file_is_read_up_to_the_limit(server):
    line = b"Content-Usage: /photo/1 train-ai=n\n"
    server.files[ROBOTS] = answer(200, b"User-agent: *\n" + line + b"# " + b"x" * 5000 + b"\n"
                                  + line.replace(b"1", b"2"))  # fmt: skip
    server.files[TDM] = answer(200, b'[{"location": "/", "tdm-reservation": 1}]' + b" " * 5000)
    found = fetch(server, "/photo/1", "/photo/2", max_rules_bytes=1000)
    assert [f.reason for f in found] == ["opted_out", ""]
    assert found[1].opt_outs == ("malformed: tdmrep.json",)


def test_a_robots_txt_without_end_costs_its_limit_only(server):
    server.files[ROBOTS] = answer(302, Location="/endless")
    (found,) = fetch(server, "/photo/1", max_rules_bytes=100_000)
    assert found.reason == ""


def test_a_host_that_fails_to_give_its_rules_is_not_asked_for_images(server):
    server.files[ROBOTS] = answer(503)
    found = fetch(server, "/photo/1", "/photo/2")
    assert [f.reason for f in found] == ["host_rules"] * 2 and server.asked["/photo/1"] == 0
    assert fetch(server, "/photo/1", honour_opt_outs=False)[0].reason == ""


@pytest.mark.parametrize("reason", ["http_404", "timeout", "http_500"])
def test_rules_are_kept_within_a_bound_whatever_hosts_answer(monkeypatch, reason):
    monkeypatch.setattr("curate.pipelines.download.host_rules._MOST_CHARACTERS", 5_000)

    async def get(_):
        return HostFile(reason=reason)

    async def run():
        rules = HostRules(get, "curate")
        for i in range(200):
            await rules.signals(URL(f"https://host{i}.example/a.jpg"))
        return len(rules._known)

    assert asyncio.run(run()) == 10


def test_rules_that_hang_end_with_the_timeout(server):
    server.files[ROBOTS] = answer(302, Location="/hang")
    assert fetch(server, "/photo/1", timeout_s=0.3)[0].reason == "host_rules"


def test_a_tdmrep_json_that_cannot_be_had_is_unknown(server):
    server.files[TDM] = answer(500)
    (found,) = fetch(server, "/photo/1")
    assert (found.reason, found.opt_outs) == ("", ("unknown: tdmrep.json",))


def test_redirected_images_are_under_the_rules_of_each_place(server):
    server.files[ROBOTS] = answer(200, b"User-agent: *\nDisallow: /hops/1\n")
    assert fetch(server, "/hops/3")[0].reason == "opted_out"


def test_rules_are_asked_for_at_public_addresses_only(server):
    (found,) = fetch(server, "/photo/1", allow_private=False)
    assert found.reason == "private_address" and not server.asked


@pytest.mark.parametrize(
    ("headers", "opt_outs", "reason"),
    [
        ({"Content_Usage": "train-ai=n"}, ("deny: content-usage",), "opted_out"),
        ({"TDM_Reservation": "1"}, ("deny: tdm-reservation",), "opted_out"),
        ({"X_Robots_Tag": "curate: noai"}, ("deny: x-robots-tag noai",), "opted_out"),
        ({"Content_Usage": "train-ai=y", "TDM_Reservation": "1"},
         ("allow: content-usage", "deny: tdm-reservation"), "opted_out"),
        ({"Content_Usage": "bots=n"}, ("unknown: content-usage",), ""),
        ({"Content_Usage": "train-ai=n,,"}, ("malformed: content-usage",), ""),
        ({"Content_Usage": "train-ai=\xff"}, ("malformed: content-usage",), ""),
        ({"TDM_Reservation": "2"}, ("malformed: tdm-reservation",), ""),
    ],
)  # fmt: skip
def test_headers_of_the_answer_are_heard(server, headers, opt_outs, reason):
    server.files["/a"] = answer(200, photo(1), **headers)
    (found,) = fetch(server, "/a", host_rules=False)
    assert (found.opt_outs, found.reason) == (opt_outs, reason)


def test_that_it_was_not_heard_is_counted(server):
    server.files["/a"] = answer(200, photo(1), Content_Usage="train-ai=n")
    (found,) = fetch(server, "/a", honour_opt_outs=False)
    assert found.image is not None and found.opt_outs == ("deny: content-usage", "ignored")
