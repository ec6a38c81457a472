"""All matched pairs' images, then vectors, duplicates, scores, and what is balanced of the rest."""

import json
import random
import shutil
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import curate
from curate.errors import ArtifactError, InputError, UsageError
from curate.pipelines.store import artifacts
from tests.pipelines.download.test_download import samples, stated
from tests.pipelines.embedded_helpers import encoded, picture, planted
from tests.pipelines.helpers import WORDS, contents, match, read_pairs, write_metadata
from tests.pipelines.image_server import ImageServer, answer
from tests.training.embedding.test_encoders import static_model

CURATE = (sys.executable, "-c", "from curate.cli.main import main; main()")
FETCH = {"allow_private_addresses": True, "retries": 0, "quiet": True, "workers": 2}


@pytest.fixture
def server():
    with ImageServer() as running:
        yield running


def world(folder, server, seeds=range(8)):
    """Match pairs of pictures on a server: planted duplicates, wide ones, and some gone."""
    urls, texts = [], []
    for seed in seeds:
        kinds = {"first": encoded(picture(seed))} | planted(picture(seed))
        kinds["wide"] = encoded(picture(1000 + seed, width=600, height=90))
        for kind, content in kinds.items():
            server.images[f"{seed}-{kind}"] = content
            urls.append(server.url(f"/given/{seed}-{kind}"))
            texts.append(f"a {WORDS[seed % len(WORDS)]} {kind}")
        server.files[f"/gone/{seed}"] = answer(404)
        urls.append(server.url(f"/gone/{seed}"))
        texts.append(f"a {WORDS[seed % len(WORDS)]} gone")
    metadata = folder / "metadata"
    if not metadata.exists():
        write_metadata(metadata, {"en": WORDS})
    name = folder.parent / f"{folder.name} in/{seeds[0]}.parquet"
    name.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"url": urls, "text": texts}), name)
    match(sorted(name.parent.glob("*.parquet")), metadata, folder / "matched")
    return folder


def fetch(folder, **options):
    return curate.download(from_="matched", workspace=folder, pairs_per_shard=20,
                           **{**FETCH, **options})  # fmt: skip


def kind_of(url):
    return url.rpartition("/")[2].partition("-")[2]


def test_images_of_all_matched_pairs_are_embedded_deduplicated_scored_and_balanced(
    tmp_path, server
):
    world(tmp_path, server)
    found = fetch(tmp_path)
    assert (found["read"], found["downloaded"]) == (72, 64)
    assert found["failed"] == {"http_404": 8} and found["matched"] == 64
    assert max(server.asked.values()) == 1
    embedded = curate.embed(workspace=tmp_path, workers=2, quiet=True)
    assert embedded["without_image"] == {"no_image": 8} and embedded["images"] == 72
    rows = pq.read_table(tmp_path / "embeddings/pairs/00000.parquet").to_pylist()
    urls = read_pairs(tmp_path / "matched").column("url").to_pylist()
    for row, url in zip(rows, urls, strict=True):
        assert (row["width"], row["height"]) == {
            "wide": (600, 90), "half": (130, 90), "turned": (180, 260), "": (None, None),
        }.get(kind_of(url), (260, 180)), url  # fmt: skip
    assert curate.dedup(workspace=tmp_path, quiet=True)["matched"] == 16
    scored = curate.score(workspace=tmp_path, filter="aspect<=3", quiet=True)
    assert scored["fallen"] == {"aspect": 8, "no_aspect": 8} and scored["matched"] == 8
    card = curate.balance(workspace=tmp_path, t=10**6, pairs_per_shard=3, quiet=True)
    stages = curate.status(workspace=tmp_path, verify=True)["stages"]
    for name in ("downloaded", "embeddings", "deduped", "scores", "balanced"):
        assert stages[name]["state"] == "complete", stages[name]
    assert stages["downloaded"]["done"] == stages["downloaded"]["total"] == 4
    total = card["total"]
    assert total["kept"] == 8 and total["dropped"] == {
        "aspect": 8, "duplicate_exact": 8, "duplicate_perceptual": 40,
        "not_downloaded: http_404": 8,
    }  # fmt: skip
    shards = samples(tmp_path / "balanced/shards")
    fetched = {json.loads(s["json"])["url"]: s["jpg"] for s in samples(
        tmp_path / "downloaded").values() if "jpg" in s}  # fmt: skip
    assert len(shards) == 8
    for sample in shards.values():
        about = json.loads(sample["json"])
        assert sample["jpg"] == fetched[about["url"]] and "image_file" not in about
    assert max(server.asked.values()) == 1  # nothing was fetched twice
    again = curate.download(undo=True, workspace=tmp_path, quiet=True)
    assert again["matched"] == 8  # they lack a score as well
    assert curate.score(undo=True, workspace=tmp_path, quiet=True)["counted_again"] == 16


def test_added_pairs_are_fetched_in_addition_and_retracted_ones_leave_the_others_where_they_are(
    tmp_path, server
):
    world(tmp_path, server, range(4))
    fetch(tmp_path)
    before = contents(tmp_path / "downloaded")
    world(tmp_path, server, range(4, 7))
    with pytest.raises(ArtifactError, match="not all images of .* are downloaded"):
        curate.balance(workspace=tmp_path, t=5, quiet=True)
    assert curate.status(workspace=tmp_path)["stages"]["downloaded"]["state"] == "stale"
    assert fetch(tmp_path, dry_run=True)["to_do"] == 2
    assert fetch(tmp_path)["read"] == 63
    assert max(server.asked.values()) == 1
    after = contents(tmp_path / "downloaded")
    assert {k: after[k] for k in before if k[0].isdigit()} == {
        k: v for k, v in before.items() if k[0].isdigit()
    }
    curate.balance(workspace=tmp_path, t=10**6, quiet=True)
    url = server.url("/given/2-first")
    listing = tmp_path.parent / f"{tmp_path.name} in/list.txt"
    listing.write_text(url)
    assert curate.retract(listing, workspace=tmp_path, quiet=True)["removed"] == 1
    assert url not in {row["url"] for row in stated(tmp_path / "downloaded")}
    assert fetch(tmp_path)["read"] == 62 and max(server.asked.values()) == 1
    card = curate.balance(workspace=tmp_path, t=10**6, quiet=True, overwrite=True)
    assert card["total"]["kept"] == len(samples(tmp_path / "balanced/shards")) == 55


def test_images_of_other_matches_and_damaged_ones_are_refused(tmp_path, server):
    world(tmp_path, server, range(2))
    with pytest.raises(InputError, match="none of 18 images could be had"):
        fetch(tmp_path, allow_private_addresses=False)
    assert artifacts.read_json(str(tmp_path / "matched/summary.json"))["matched"] == 18
    with pytest.raises(ArtifactError, match="not all images of .* are downloaded"):
        curate.embed(workspace=tmp_path, quiet=True)
    with pytest.raises(ArtifactError, match="there are no downloaded images"):
        curate.balance(workspace=tmp_path, downloaded=tmp_path / "none", t=5, quiet=True)
    assert fetch(tmp_path, retry_failed=True)["downloaded"] == 16
    with pytest.raises(ArtifactError, match="pairs_per_shard: it was made with 20"):
        curate.download(from_="matched", workspace=tmp_path, pairs_per_shard=7, **FETCH)
    shutil.copytree(tmp_path, tmp_path / "other")
    given = tmp_path.parent / f"{tmp_path.name} in/0.parquet"
    match([given], tmp_path / "metadata", tmp_path / "other/matched", overwrite=True,
          normalization="metaclip")  # fmt: skip
    with pytest.raises(ArtifactError, match="its images are of other matches than"):
        curate.embed(workspace=tmp_path / "other", quiet=True)
    tar = tmp_path / "downloaded/00000.tar"
    content = bytearray(tar.read_bytes())
    content[len(content) // 2] ^= 1
    tar.write_bytes(content)
    with pytest.raises(ArtifactError, match="its checksum differs"):
        curate.balance(workspace=tmp_path, t=5, quiet=True)
    for options, text in (
        ({"from_": "web"}, "from_ is 'web'"),
        ({"matched": "m"}, "go with from_='matched'"),
        ({"from_": "matched", "balanced": "b"}, "balanced goes with"),
    ):
        with pytest.raises(UsageError, match=text):
            curate.download(workspace=tmp_path, quiet=True, **options)


COMMANDS = (
    ("download", "--from", "matched", "--pairs-per-shard", "20", "--allow-private-addresses",
     "--retries", "0"),
    ("embed",), ("dedup",), ("score", "--filter", "aspect<=3"),
    ("balance", "--t", "1000", "--pairs-per-shard", "3"),
)  # fmt: skip


def run(folder, words, seconds=None):
    """Run a command to its end, or kill it after some seconds; return how long it took."""
    began = time.monotonic()
    command = [*CURATE, *words, "-w", ".", "--workers", "2", "--quiet"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    said = process.communicate()[1]
    assert process.returncode in ((0,) if seconds is None else (0, -9)), said
    return time.monotonic() - began


@pytest.mark.slow
def test_the_whole_flow_killed_anywhere_ends_with_the_same_bytes(tmp_path, server):
    undisturbed = world(tmp_path / "a", server, range(3))
    shutil.copytree(undisturbed, tmp_path / "b")
    rng = random.Random(0)
    for words in COMMANDS:
        seconds = run(undisturbed, words)
        run(tmp_path / "b", words, rng.uniform(0.5, 1.0) * seconds)
        run(tmp_path / "b", words)
    for name in ("matched", "downloaded", "embeddings", "deduped", "scores", "balanced"):
        expected, found = (contents(tmp_path / f / name) for f in "ab")
        assert found == expected and len(found) > 2, name
    assert artifacts.read_json(str(tmp_path / "b/balanced/datacard.json"))["total"]["kept"] == 3


def test_pairs_without_images_are_not_embedded_as_if_they_had_some(tmp_path, server, caplog):
    world(tmp_path, server)
    with pytest.raises(InputError, match=r"one of 72 pairs comes with an image.*from.*matched"):
        curate.embed(workspace=tmp_path, quiet=True)
    assert not (tmp_path / "embeddings").exists()
    static_model(tmp_path / "texts", WORDS)
    model = str(tmp_path / "texts")
    with caplog.at_level("INFO", "curate"):
        found = curate.embed(workspace=tmp_path, text_encoder=model)
    assert "not one of 72 pairs comes with an image" in caplog.text
    assert (found["text_vectors"], found["without_image"]) == (
        63,
        {"no_image": 72},
    )  # "St. John" is unknown
    fetch(tmp_path)
    with pytest.raises(ArtifactError, match="downloaded: "):  # else nothing would be left to do
        curate.embed(workspace=tmp_path, text_encoder=model, quiet=True)
    found = curate.embed(workspace=tmp_path, text_encoder=model, overwrite=True, quiet=True)
    assert (found["text_vectors"], found["without_image"]) == (63, {"no_image": 8})
    assert curate.embed(workspace=tmp_path, text_encoder=model, quiet=True) == found
