"""Notes of downloads: without secrets, and leading to no other server or folder."""

import json
from dataclasses import asdict

import pytest

from curate.errors import InputError
from curate.metadata.fetch.notes import RemoteFile, Source, publish_json, read_source

MIRROR = "https://me:pw@mirror.example/dumps"


def test_a_note_holds_no_secrets(tmp_path):
    source = Source(name="a.bz2", url=f"{MIRROR}/a.bz2?token=t", date="2026", size_bytes=1,
                    sha1="0", sha256="0")  # fmt: skip
    source.write_note(tmp_path)
    assert read_source(tmp_path / "a.bz2").url == "https://mirror.example/dumps/a.bz2"
    files = (asdict(RemoteFile(name="a", url=f"{MIRROR}/a", date="2026")),)
    publish_json(tmp_path / "sample.json", {"mirror": MIRROR, "files": files})
    found = json.loads((tmp_path / "sample.json").read_text())
    assert len(found.pop("checksum")) == 32
    assert found == {
        "mirror": "https://mirror.example/dumps",
        "files": [{**files[0], "url": "https://mirror.example/dumps/a"}],
    }


def test_what_was_noted_is_fetched_from_the_mirror_that_is_named_now():
    file = RemoteFile(name="a", url="https://mirror.example/dumps/x/a", date="2026")
    moved = file.at("https://mirror.example/dumps", MIRROR + "/")
    assert moved.url == f"{MIRROR}/x/a"


@pytest.mark.parametrize("url", ["https://evil.example/a", ".evil.example/a",
                                 "https://mirror.example/dumps.evil.example/a"])  # fmt: skip
def test_a_note_does_not_lead_to_another_server(url):
    file = RemoteFile(name="a", url=url, date="2026")
    with pytest.raises(InputError, match="noted as a file of"):
        file.at("https://mirror.example/dumps", "https://dumps.example")


@pytest.mark.parametrize("name", ["../a", "/etc/a", "a/b", "..", ".", "", "a\0"])
def test_a_file_s_name_leads_to_no_other_folder(name):
    with pytest.raises(InputError, match="expected a name"):
        RemoteFile(name=name, url="https://mirror.example/a", date="2026")
