"""Images that were downloaded for a set without any are found, and shown where its pairs are."""

import json

import pytest

from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.browse.pairs import parse_place
from curate.pipelines.browse.thumbnails import Thumbnails
from curate.pipelines.card.stage import make_card
from curate.pipelines.shards.downloaded import DownloadedImages
from curate.pipelines.shards.tar import shard_writer
from curate.pipelines.store import artifacts
from tests.pipelines.browse.test_answers import ask, opened
from tests.pipelines.browse.world import picture
from tests.pipelines.helpers import WORDS, match, read_pairs, texts, write_metadata, write_pairs


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("downloaded")
    metadata = write_metadata(folder / "metadata", {"en": WORDS})
    match([write_pairs(folder / "a.parquet", texts(90))], metadata, folder / "matched")
    balance_pairs(matched=str(folder / "matched"), output=str(folder / "balanced"),
                  options=BalanceOptions(t=12), quiet=True)  # fmt: skip
    ids = read_pairs(folder / "balanced")["pair_id"].to_pylist()
    (folder / "balanced/shards").mkdir()
    for number, chosen in enumerate((ids[::2], ids[1::2][:-1])):  # the last one did not come
        stem = folder / f"balanced/shards/{number:05d}"
        with shard_writer(f"{stem}.tar") as writer:
            for i, pair_id in enumerate(chosen):
                image = picture("red" if i % 2 else "blue", "square")
                writer.add(pair_id, {"jpg": image, "txt": b"a dog", "json": b"{}"})
        artifacts.write_json(f"{stem}_stats.json", {
            "schema_version": artifacts.SCHEMA_VERSION, "parameters": "x", "count": len(chosen),
            "successes": len(chosen), "failed_to_download": 0, "failed_to_resize": 0,
            "status_dict": {"success": len(chosen)}, "opt_outs": {}, "sha256": writer.sha256,
            "size_bytes": writer.size_bytes, **writer.sums,
        })  # fmt: skip
    return folder, ids


def test_an_image_is_found_by_its_pair(world, tmp_path):
    folder, ids = world
    found = DownloadedImages(str(folder / "balanced/shards"))
    assert found.are_there and found.read(ids[0]) == picture("blue", "square")
    assert all(found.read(i) for i in ids[:-2]) and found.read("another") is None
    assert not DownloadedImages(str(tmp_path)).are_there
    assert DownloadedImages(str(tmp_path)).read(ids[0]) is None


def test_they_are_shown_by_browse_with_matches_and_with_a_set_alone(world):
    folder, ids = world
    for place in (folder, folder / "balanced"):
        session = opened(place)
        state, thumbnails = session.state(), Thumbnails()
        name = "matched" if place == folder else "balanced"
        assert {s["name"]: s["images"] for s in state.about()["sets"]}[name]
        rows = ask(session, "pairs", set=name, num=120)["rows"]
        with_image = {row["id"] for row in rows if row["image"]}
        assert len(with_image) == len(ids) - 1 and with_image < set(ids)
        first = next(row for row in rows if row["image"])
        shown = thumbnails.image(state.name, state.sets[name], parse_place(first["at"]), 224)
        assert shown.startswith(b"\xff\xd8")
        session.close()


def test_they_are_shown_on_the_card(world, tmp_path):
    folder, _ = world
    make_card(matched=str(folder / "matched"), balanced=str(folder / "balanced"),
              output=str(tmp_path), quiet=True)  # fmt: skip
    page = (tmp_path / "datacard.html").read_text()
    found = json.loads(page.split('id="data">')[1].split("</script>")[0])["thumbnails"]
    assert found and all(key.split()[1] == "kept" for key in found)
