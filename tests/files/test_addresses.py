"""What is written of an address, and what this user wrote, told from what came with a copy."""

import stat

import pytest

from curate.files import seal as seals
from curate.files.addresses import hide_secrets, without_secrets
from curate.files.seal import is_sealed, seal

PLAIN = [
    "data/a b.parquet", "/data/a@b:c.tar", "a.csv?token=x", "file:///a@b?key=c",
    "https://example.org/a.tar", "https://example.org:8080/a@b", "https://[::1]:80/a.tar",
    "s3://bucket/a?.parquet", "s3://bucket/a#b", "hf://datasets/me/set@main/a.parquet",
    "abfs://container@account.dfs.core.windows.net/a", "github://me:repo@main/a.csv",
    "zip://a.csv::s3://bucket/a.zip", "https://h/a?part=1&lang=de;n=2#top", "https://h/a?keys=1",
]  # fmt: skip

SECRET = [
    ("https://me:pw@h/a", "https://h/a"),
    ("https://ghp_0123@h/a", "https://h/a"),
    ("HTTPS://me:p@ss@[::1]:80/a", "HTTPS://[::1]:80/a"),
    ("ftp://:pw@h:21/a", "ftp://h:21/a"),
    ("s3://AKIA:ab/cd+e@bucket/a@b", "s3://bucket/a@b"),
    ("https://h/a?X-Amz-Algorithm=x&X-Amz-Credential=y&X-Amz-Date=1&X-Amz-Signature=s", "https://h/a"),
    ("https://h/a?AWSAccessKeyId=k&Expires=1&Signature=s&v=2", "https://h/a?v=2"),
    ("https://h/a?X-Goog-Signature=s&x-goog-expires=9", "https://h/a"),
    ("https://h/a?GoogleAccessId=g&Expires=1&Signature=s", "https://h/a"),
    ("https://h/a?sv=2022&ss=b&srt=o&sp=r&se=2030&st=2020&spr=https&sig=s%2B", "https://h/a"),
    ("https://h/a?Policy=p&Signature=s&Key-Pair-Id=k", "https://h/a"),
    ("https://h/a?OSSAccessKeyId=k&Expires=1&Signature=s", "https://h/a"),
    ("https://h/a?n=1;access_token=t", "https://h/a?n=1"),
    ("https://h/a?%74oken=t&n=1", "https://h/a?n=1"),
    ("https://h/a?API-Key=t", "https://h/a"),
    ("https://h/a#access_token=t&n=1", "https://h/a#n=1"),
    ("simplecache::https://me:pw@h/a?sig=s", "simplecache::https://h/a"),
    ("zip://x.csv::s3://k:s@b/a.zip", "zip://x.csv::s3://b/a.zip"),
]  # fmt: skip


@pytest.mark.parametrize("address", PLAIN)
def test_an_address_without_secrets_is_written_as_it_is(address):
    assert without_secrets(address) == address


@pytest.mark.parametrize(("address", "wanted"), SECRET)
def test_secrets_of_an_address_are_left_out(address, wanted):
    assert without_secrets(address) == wanted
    assert without_secrets(wanted) == wanted
    assert hide_secrets(f"{address}: not there") == f"{wanted}: not there"
    assert hide_secrets(f"see '{address}', twice") == f"see '{wanted}', twice"


def test_clients_that_name_a_path_without_its_server_show_no_secret_either():
    said = "HTTPPool(host='h', port=80): Max retries exceeded with url: /a.tar?token=abc (Caused by"
    assert "abc" not in hide_secrets(said) and "/a.tar" in hide_secrets(said)
    assert hide_secrets("is it a/b? yes") == "is it a/b? yes"


@pytest.fixture
def no_key_yet(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    seals._key.cache_clear()
    yield tmp_path / "state/curate/key"
    seals._key.cache_clear()


def test_a_seal_is_this_users_and_of_this_value(no_key_yet, tmp_path, monkeypatch):
    found = seal({"folder": "ü", "n": [1, 2]})
    assert is_sealed({"n": [1, 2], "folder": "ü"}, found)
    assert not is_sealed({"n": [1, 3], "folder": "ü"}, found)
    for other in (None, "", 7, "é" * 64, found[:-1]):
        assert not is_sealed({"n": [1, 2], "folder": "ü"}, other)
    assert stat.S_IMODE(no_key_yet.stat().st_mode) == 0o600
    assert len(list(no_key_yet.parent.iterdir())) == 1
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
    assert not is_sealed({"folder": "ü", "n": [1, 2]}, found)


def test_without_a_place_for_a_key_nothing_is_sealed(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    seals._key.cache_clear()
    assert seal("a") is None and not is_sealed("a", None)
    seals._key.cache_clear()
