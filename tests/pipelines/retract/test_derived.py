"""A retraction holds in vectors, duplicates, scores, hits and captions, and nothing is redone."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import curate
from curate.errors import ArtifactError
from curate.pipelines.store import artifacts
from tests.pipelines.embedded_helpers import encoded, picture, planted
from tests.pipelines.helpers import contents, match, read_pairs, write_metadata

TABLES = ("embeddings/pairs", "deduped/pairs", "scores/pairs", "captions/told/pairs")


def world(folder, retracted=()):
    """Match, embed, compare and score pictures, all but those of some URLs, and caption them."""
    pictures = [one for seed in range(5) for one in
                (encoded(picture(seed)), *planted(picture(seed)).values())]  # fmt: skip
    urls = [f"https://a.org/{i // 2 if i < 8 else i}.jpg" for i in range(len(pictures))]
    rows = [i for i, url in enumerate(urls) if url not in retracted]
    pictures[3] = b"no image"
    table = {"url": [urls[i] for i in rows], "text": [f"red {i}" for i in rows],
             "image": [pictures[i] for i in rows]}  # fmt: skip
    name = folder.parent / f"{folder.name} in.parquet"
    pq.write_table(pa.table(table), name, row_group_size=12)
    metadata = write_metadata(folder / "metadata", {"en": ["red"]})
    match([name], metadata, folder / "matched")
    curate.embed(workspace=folder, workers=1, quiet=True)
    curate.dedup(workspace=folder, quiet=True)
    curate.score(workspace=folder, quiet=True)
    ids = read_pairs(folder / "matched").column("pair_id")
    told = str(folder / "captions/told")
    artifacts.write_json(f"{told}/plan.json", {"schema_version": artifacts.SCHEMA_VERSION,
                                               "parameters": {}})  # fmt: skip
    captions = pa.table({"pair_id": ids, "text": ["a picture"] * len(ids)})
    artifacts.write_json(f"{told}/summary.json", {"captions": len(ids)})
    artifacts.write_table(f"{told}/pairs/00000.parquet", captions, {"parameters": "x"}, "")
    return folder


def rows_of(folder, name):
    return pa.concat_tables(
        [pq.read_table(path) for path in sorted((folder / name).glob("*.parquet"))]
    ).to_pylist()


def retract(folder, url):
    listing = folder.parent / "list.txt"
    listing.write_text(url)
    return curate.retract(listing, workspace=folder, quiet=True)


def test_a_retracted_image_is_in_no_table_and_nothing_is_embedded_again(tmp_path):
    folder = world(tmp_path / "data")
    url = "https://a.org/1.jpg"
    gone = {r["pair_id"] for r in read_pairs(folder / "matched").to_pylist() if r["url"] == url}
    before = {name: rows_of(folder, name) for name in TABLES}
    assert len(gone) == 2 and retract(folder, url)["removed"] == 1
    for name in TABLES:
        left = rows_of(folder, name)
        expected = [r for r in before[name] if r["pair_id"] not in gone]
        for row in expected:
            for other in ("like_pair_id", "kept_pair_id"):
                if row.get(other) in gone:
                    row[other] = None
        assert left == expected, name
    assert curate.embed(workspace=folder, workers=1, dry_run=True, quiet=True)["parts_to_do"] == 0
    stages = curate.status(workspace=folder)["stages"]
    assert stages["embeddings"]["state"] == stages["captions/told"]["state"] == "complete"
    assert stages["scores"]["state"] == stages["deduped"]["state"] == "stale"
    assert "run `curate.dedup(" in stages["deduped"]["why"][0]
    fresh = world(tmp_path / "fresh", {url})
    again = curate.embed(workspace=folder, workers=1, quiet=True)
    assert again["pairs"] == 33
    a, b = (artifacts.read_json(str(f / "embeddings/summary.json")) for f in (folder, fresh))
    assert {k: v for k, v in a.items() if k != "plan"} == {
        k: v for k, v in b.items() if k != "plan"
    }
    with pytest.raises(ArtifactError, match="embedded: it was made with"):
        curate.dedup(workspace=folder, quiet=True)
    assert (
        curate.dedup(workspace=folder, overwrite=True, quiet=True)["matched"]
        == (artifacts.read_json(str(fresh / "matched/summary.json"))["matched"])
    )
    counts = [pq.read_table(f / "matched/counts/en.parquet") for f in (folder, fresh)]
    assert counts[0].equals(counts[1])


def test_pages_and_summaries_show_no_retracted_pair(tmp_path):
    folder = world(tmp_path / "data")
    url = "https://a.org/1.jpg"
    rows = read_pairs(folder / "matched").to_pylist()
    gone = [row for row in rows if row["url"] == url]
    left = next(row for row in rows if row["url"] != url)
    shown = [{"pair_id": row["pair_id"], "text": row["text"]} for row in (gone[0], left)]
    for name, inner, page in (
        ("clusters", "pairs", "clusters.md"),
        ("judged", "dropped", "page.html"),
        ("judged", "examples", "page.html"),
    ):
        place = str(folder / name)
        artifacts.write_json(f"{place}/plan.json", {"schema_version": artifacts.SCHEMA_VERSION})
        artifacts.write_json(f"{place}/summary.json", {"clusters": [{"captions": shown}]})
        table = pa.table({name: [row[name] for row in rows] for name in ("pair_id", "text")})
        artifacts.write_table(f"{place}/{inner}/00000.parquet", table, {"parameters": "x"}, "")
        (folder / name / page).write_text(gone[0]["text"])
    retract(folder, url)
    ids = {row["pair_id"] for row in gone}
    for name in ("clusters", "judged"):
        assert not [*(folder / name).glob("*.md"), *(folder / name).glob("*.html")]
        [found] = artifacts.read_json(str(folder / name / "summary.json"))["clusters"]
        assert [one["pair_id"] for one in found["captions"]] == [left["pair_id"]]
        for path in (folder / name).rglob("*.parquet"):
            assert ids.isdisjoint(pq.read_table(path).column("pair_id").to_pylist())
    stays = folder / "clusters/clusters.md"
    stays.write_text("no pair of this one")
    retract(folder, rows[-1]["url"])  # known to the tables: its page goes
    assert not stays.exists()


def test_a_retraction_cut_short_anywhere_is_finished_by_the_next(tmp_path, monkeypatch):
    from curate.pipelines.retract import stage

    folder = world(tmp_path / "data")
    url = "https://a.org/2.jpg"
    shutil.copytree(folder, tmp_path / "whole")
    retract(tmp_path / "whole", url)
    for name in ("purge_tables", "_take_out", "purge_embedded", "require_gone"):
        with monkeypatch.context() as patched:
            patched.setattr(stage, name, _fails)
            with pytest.raises(RuntimeError):
                retract(folder, url)
    retract(folder, url)
    for name in ("captions", "deduped", "scores", "matched"):
        assert contents(folder / name) == contents(tmp_path / "whole" / name), name
    # The part was of no matches known when the run that had rewritten it was cut short.
    assert rows_of(folder, "embeddings/pairs") == rows_of(tmp_path / "whole", "embeddings/pairs")


def _fails(*_, **__):
    raise RuntimeError
