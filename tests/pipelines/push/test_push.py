"""`curate push` against a hub on loopback, which fails when it is told to."""

import io
import json
import os
import subprocess
import sys

import huggingface_hub
import pyarrow.parquet as pq
import pytest

import curate
from curate.errors import ArtifactError, CurateError, UsageError
from curate.pipelines.push import hub as pushing
from tests.conftest import ROOT
from tests.pipelines.browse.world import write_world
from tests.pipelines.card.test_card import write_workspace
from tests.pipelines.helpers import read_pairs
from tests.pipelines.hub_server import READER, TOKEN, running_hub

# What huggingface_hub 2.4 says of its own way to send a large file.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return write_workspace(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("pictures"), num=60)


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(pushing, "_FIRST_WAIT_S", 0.0)
    with running_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def push(workspace, **options):
    return curate.push("me/set", workspace=workspace, quiet=True,
                       **{"license": "cc-by-4.0", **options})  # fmt: skip


def table(content):
    return pq.read_table(io.BytesIO(content))


def test_urls_and_texts_go_with_card_and_metadata_and_nothing_twice(texts, hub):
    planned = push(texts, name="Dogs", dry_run=True)
    found = push(texts, name="Dogs")
    files = hub.files("me/set")
    assert sorted(planned["names"]) == sorted(files) and planned.files == found.files
    assert hub.repos["me/set"]["private"] and found.private and found.address.endswith("me/set")
    pairs = [table(files[n]) for n in sorted(files) if n.startswith("pairs/")]
    ids = [i for one in pairs for i in one["pair_id"].to_pylist()]
    assert sorted(ids) == sorted(read_pairs(texts / "balanced")["pair_id"].to_pylist())
    assert table(files["metadata/en.parquet"]).num_rows > 3 and "metadata/manifest.json" in files
    head = huggingface_hub.DatasetCard(files["README.md"].decode()).data
    assert (head.license, head.pretty_name) == ("cc-by-4.0", "Dogs")
    assert head.configs[0]["data_files"][0]["path"] == "pairs/*.parquet"
    assert found.sent == found.files == len(files) and (found.there, found.commits) == (0, 1)
    again = push(texts, name="Dogs")
    assert (again.sent, again.there, again.commits) == (0, len(files), 0)
    gone = push(texts, license="other", with_metadata=False, dry_run=True)["removes"]
    assert gone == sorted(n for n in files if n.startswith("metadata/"))
    other = push(texts, license="other", with_metadata=False)
    assert other.sent == 2 and "metadata/en.parquet" not in hub.files("me/set")  # README and page
    assert other.removed == len([n for n in files if n.startswith("metadata/")])


def test_images_go_only_if_asked_for(pictures, hub):
    page = (pictures / "balanced/datacard.html").read_text()
    assert "data:image/jpeg;base64," in page and "img-src data:" in page
    push(pictures, with_metadata=False)
    files = hub.files("me/set")
    assert {n.partition("/")[0] for n in files} == {"pairs", "README.md", "datacard.json",
                                                   "datacard.html"}  # fmt: skip
    assert b"data:image" not in files["datacard.html"]
    shown = table(files["pairs/train-00000-of-00002.parquet"])
    assert shown.column_names == ["pair_id", "url", "text", "lang", "entry_ids", "probability"]
    total = sum(table(c).num_rows for n, c in files.items() if n.startswith("pairs/"))
    assert total == json.loads(files["datacard.json"])["total"]["kept"]
    push(pictures, with_metadata=False, images=True)
    files = hub.files("me/set")
    assert not any(n.startswith("pairs/") for n in files)
    tar = (pictures / "balanced/shards/00000.tar").read_bytes()
    assert files["shards/00000.tar"] == tar and "shards/00000.idx" in files
    assert "shards/*.tar" in files["README.md"].decode()


def test_a_hub_that_fails_is_asked_again_and_what_was_sent_is_not_sent_again(
    texts, hub, monkeypatch
):
    monkeypatch.setattr(pushing, "_FILES_AT_ONCE", 2)
    hub.fail = [("/commit/", 500), ("/commit/", "cut"), ("/commit/", "late")]
    found = push(texts)
    assert found.commits == len(hub.repos["me/set"]["commits"]) - 1 > 2  # one came through unheard
    assert len(hub.uploads) == len(set(hub.uploads))
    whole = dict(hub.files("me/set"))
    hub.repos.clear()
    hub.fail = [("/never/", 0)]
    seen = []

    def killed(self, operations, message):
        if len(seen) == 1:
            raise KeyboardInterrupt
        seen.append(operations)
        return real(self, operations, message)

    real = pushing.Repository._commit
    monkeypatch.setattr(pushing.Repository, "_commit", killed)
    with pytest.raises(KeyboardInterrupt):
        push(texts)
    monkeypatch.setattr(pushing.Repository, "_commit", real)
    assert push(texts).there == 2 and hub.files("me/set") == whole
    hub.repos.clear()
    hub.fail = [("/commit/", 500)] * 5
    with pytest.raises(CurateError, match="What was sent is there; give the same command again"):
        push(texts)


def test_what_cannot_be_meant_is_refused_before_anything_goes(texts, hub, monkeypatch, tmp_path):
    with pytest.raises(UsageError, match="under which license.*license="):
        push(texts, license=None)
    with pytest.raises(UsageError, match="expected its owner too, such as me/set"):
        curate.push("set", workspace=texts, license="other")
    with pytest.raises(UsageError, match="is no repository"):
        curate.push("me/se t", workspace=texts, license="other")
    with pytest.raises(UsageError, match="has no shards"):
        push(texts, images=True)
    with pytest.raises(ArtifactError, match="balancing has not come to its end"):
        push(tmp_path)
    assert not hub.asked
    plan = push(texts, dry_run=True)
    assert plan.dry_run and "README.md" in plan["names"] and "me/set" not in hub.repos
    assert "would go to" in str(plan) and "license cc-by-4.0, private" in str(plan)
    for token, message in (("hf_wrong", r"refuses the token \(401\)"),
                           (READER, r"refuses the token \(403\)")):  # fmt: skip
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(CurateError, match=message) as caught:
            push(texts)
        assert token not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert push(texts, public=True).private is False and not hub.repos["me/set"]["private"]
    with pytest.raises(CurateError, match="can be read by everybody. Give public=True"):
        push(texts)
    hub.repos["me/set"]["private"] = True
    with pytest.raises(CurateError, match="is private. Leave public=True out"):
        push(texts, public=True)


LINKED = ["balanced/pairs", "balanced/pairs/00000.parquet", "balanced/datacard.json",
          "metadata/en.parquet", "metadata/manifest.json"]  # fmt: skip


@pytest.mark.parametrize("name", LINKED)
def test_what_a_link_out_of_a_workspace_names_is_not_sent(tmp_path, hub, name):
    folder = write_workspace(tmp_path / "ws")
    away = tmp_path / "away"
    (folder / name).rename(away)
    (folder / name).symlink_to(away)
    for dry_run in (True, False):
        with pytest.raises(ArtifactError, match="it is a link to what lies outside"):
            push(folder, dry_run=dry_run)
    assert not hub.asked and not hub.uploads


def test_what_is_damaged_or_of_nobody_knows_whom_is_not_sent(tmp_path, hub):
    folder = write_world(tmp_path, num=60)
    shards, metadata = folder / "balanced/shards", folder / "metadata/en.parquet"

    def refused(path, match, **options):
        whole = path.read_bytes()
        for content in (whole[:-9] + b"x" + whole[-8:], whole[: len(whole) // 2]):
            path.write_bytes(content)
            with pytest.raises(ArtifactError, match=match):
                push(folder, **options)
        path.write_bytes(whole)

    refused(metadata, "en.parquet")
    refused(folder / "metadata/manifest.json", "manifest.json")
    for end in (".tar", ".idx", ".json"):
        refused(shards / f"00000{end}", "00000", images=True)
    (shards / "private.tar").write_bytes((shards / "00000.tar").read_bytes())
    with pytest.raises(ArtifactError, match="private.tar: there is no note of its checksum"):
        push(folder, images=True)
    assert not any("shards/00000.tar" in n for r in hub.repos.values() for n in r["files"])


def test_errors_show_no_token_and_no_signature_and_xet_is_named(texts, hub, monkeypatch):
    hub.signature = "?X-Amz-Signature=secret123"
    hub.fail = [("/objects/", 403)] * 40
    with pytest.raises(CurateError) as caught:
        push(texts)
    assert "secret123" not in str(caught.value) and TOKEN not in str(caught.value)
    hub.fail = []
    # The very code of huggingface_hub and hf_xet, as far as a hub that gives no access to Xet.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    with pytest.raises(CurateError, match="HF_HUB_DISABLE_XET=1 sends them by LFS") as caught:
        push(texts)
    assert any("xet-write-token" in one for one in hub.asked)
    assert TOKEN not in str(caught.value) and not hub.uploads


def test_a_dataset_of_the_hub_is_matched_where_it_is(texts, hub, tmp_path):
    push(texts, with_metadata=False)
    code = (
        "import curate; found = curate.match('hf://datasets/me/set/pairs/*.parquet', "
        f"metadata={str(texts / 'metadata')!r}, output={str(tmp_path / 'm')!r}, quiet=True); "
        "print(found.read, found.matched)"
    )
    env = {**os.environ, "HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    kept = read_pairs(texts / "balanced")
    assert done.stdout.split() == [str(len(kept))] * 2
    assert sorted(read_pairs(tmp_path / "m")["text"].to_pylist()) == sorted(
        kept["text"].to_pylist()
    )
