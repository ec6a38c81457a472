"""`curate decontaminate`: planted copies of evaluation images and captions are found and named."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import ArtifactError, InputError, UsageError
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.decontaminate.options import DecontaminateOptions
from curate.pipelines.decontaminate.stage import decontaminate_pairs, undo_decontamination
from curate.pipelines.decontaminate.view import decontaminate_table
from curate.pipelines.embed.options import EmbedOptions
from curate.pipelines.embed.stage import embed_pairs
from curate.pipelines.store import artifacts
from tests.in_process import run_here
from tests.pipelines.embedded_helpers import encoded, picture, planted
from tests.pipelines.helpers import contents, match, read_pairs, write_metadata, write_pairs
from tests.pipelines.train_helpers import train, write_train_workspace

CAPTION = "A red photograph of something that nobody else has said"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Pairs with copies of two of three evaluation images, and one of a caption."""
    folder = tmp_path_factory.mktemp("decontaminate")
    trained = write_train_workspace(folder / "trained")
    train(trained, "runs/clip", steps=2)
    train(trained, "runs/other", steps=2, seed=1)
    copies = planted(picture(0))
    pool = [*copies.values(), encoded(picture(1), quality=50), *(encoded(picture(i)) for i in
            range(50, 56))]  # fmt: skip
    kinds = [*copies, "other", *["none"] * 5, "caption"]
    texts = [f"red {kind} {i}" for i, kind in enumerate(kinds)]
    texts[-1] = f"  {CAPTION.upper()}.\n"
    write_pairs(folder / "in.parquet", texts, image=pool)
    metadata = write_metadata(folder / "metadata", {"en": ["red", "RED"]})
    match([folder / "in.parquet"], metadata, folder / "matched")
    embed_pairs(output=str(folder / "embeddings"), matched=str(folder / "matched"), quiet=True,
                options=EmbedOptions(run=str(trained / "runs/clip")))  # fmt: skip
    for name, numbers in (("zero", (0, 90)), ("one", (1, 91)), ("clean", (92, 93))):
        for label, number in zip(("cat", "dog"), numbers, strict=True):
            place = folder / "sets" / name / label
            place.mkdir(parents=True)
            (place / "image.jpg").write_bytes(encoded(picture(number)))
    captions = {"image": [encoded(picture(95))], "text": [CAPTION], "lang": ["en"]}
    pq.write_table(pa.table(captions), folder / "sets/captions.parquet")
    return folder


def search(world, output, *names, **options):
    run = {k: options.pop(k) for k in ("enter", "workers", "overwrite", "dry_run", "matched")
           if k in options}  # fmt: skip
    run.setdefault("enter", False)
    run.setdefault("matched", str(world / "matched"))
    return decontaminate_pairs(
        [str(world / "sets" / name) for name in names], embeddings=str(world / "embeddings"),
        output=str(output), options=DecontaminateOptions(**options), quiet=True, **run,
    )  # fmt: skip


def hits(folder):
    return [row for path in sorted((folder / "hits").glob("*.parquet"))
            for row in pq.read_table(path).to_pylist()]  # fmt: skip


def test_planted_copies_are_found_with_both_sides(world, tmp_path):
    found = search(world, tmp_path / "d", "zero", "one", "clean", "captions.parquet")
    assert {name: one["pairs"] for name, one in found["sets"].items()} == {
        "zero": 6, "one": 1, "clean": 0, "captions": 1,
    }  # fmt: skip
    rows = hits(tmp_path / "d")
    by_kind = {row["text"].split()[1]: row for row in rows if row["set"] == "zero"}
    assert by_kind.keys() == {"again", "re-encoded", "png", "half", "mirrored", "turned"}
    assert by_kind["again"]["by"] == "exact"
    assert {r["by"] for k, r in by_kind.items() if k != "again"} == {"perceptual"}
    for row in rows:
        assert row["reason"] == f"contaminated: {row['set']}"
        assert row["url"].startswith("https://example.org/")
    assert "cat/image.jpg" in by_kind["again"]["set_image"]
    caption = next(row for row in rows if row["set"] == "captions")
    assert (caption["by"], caption["set_text"]) == ("text", CAPTION)
    assert found["kept"] == found["read"] - 8 and found["matched"] is None


def test_what_is_found_counts_no_more_and_the_cards_say_against_what(world, tmp_path):
    before = contents(world / "matched")
    found = search(world, tmp_path / "d", "zero", "clean", enter=True)
    assert found["matched"] == found["kept"] == 7
    balance_pairs(matched=str(world / "matched"), output=str(tmp_path / "b"), quiet=True,
                  options=BalanceOptions(t=9))  # fmt: skip
    card = artifacts.read_json(str(tmp_path / "b/datacard.json"))
    assert card["total"]["dropped"]["contaminated: zero"] == 6
    assert card["contaminated"]["sets"] == {
        "clean": {"images": 2, "unusable": {}, "pairs": 0},
        "zero": {"images": 2, "unusable": {}, "pairs": 6},
    }
    shown = (tmp_path / "b/datacard.md").read_text().replace(" ", "")
    assert "|zero|2|6|" in shown
    (tmp_path / "tiny.json").write_text((world / "trained/tiny.json").read_text())
    from curate.pipelines.train.stage import train_model
    from curate.training.loop.config import TrainConfig

    model = train_model(
        shards=str(tmp_path / "b/shards"), output=str(tmp_path / "run"), quiet=True, device="cpu",
        model=str(tmp_path / "tiny.json"), datacard=str(tmp_path / "b/datacard.json"),
        config=TrainConfig(steps=1, batch_size=2, warmup_steps=0),
    )  # fmt: skip
    assert model["contaminated"]["zero"]["pairs"] == 6
    assert model["contaminated_pairs"] == card["contaminated"]["pairs"] == 6
    assert "clean (2 images, 0 pairs fell), zero (2 images, 6 pairs fell); 6 in all" in (
        tmp_path / "run/modelcard.md").read_text()  # fmt: skip
    again = undo_decontamination(
        matched=str(world / "matched"), metadata=None, workers=1, quiet=True
    )
    assert again == {"counted_again": 6, "matched": 13}
    assert contents(world / "matched") == before


def test_a_pair_of_two_sets_is_shown_and_counted_in_both_and_falls_once(world, tmp_path):
    matched = tmp_path / "matched"
    shutil.copytree(world / "matched", matched)
    both = tmp_path / "both"
    for label, number in (("cat", 0), ("dog", 1)):
        (both / label).mkdir(parents=True)
        (both / label / "image.jpg").write_bytes(encoded(picture(number)))
    captions = {"image": [encoded(picture(95))] * 2, "text": [CAPTION] * 2, "lang": ["en"] * 2}
    pq.write_table(pa.table(captions), tmp_path / "again.parquet")
    sets = [str(world / "sets" / name) for name in ("zero", "captions.parquet")]
    found = decontaminate_pairs(
        [*sets, str(both), str(tmp_path / "again.parquet")], output=str(tmp_path / "d"), quiet=True,
        embeddings=str(world / "embeddings"), options=DecontaminateOptions(), matched=str(matched),
        metadata=str(world / "metadata"),
    )  # fmt: skip
    assert {name: one["pairs"] for name, one in found["sets"].items()} == {
        "zero": 6, "captions": 1, "both": 7, "again": 1,
    }  # fmt: skip
    assert found["pairs"] == 8 and found["kept"] == found["read"] - 8 == found["matched"]
    rows = hits(tmp_path / "d")
    assert len(rows) == 15
    of = {pair: [r["set"] for r in rows if r["pair_id"] == pair] for pair in
          {r["pair_id"] for r in rows}}  # fmt: skip
    assert sorted(of.values()) == [["both"], ["captions", "again"], *[["zero", "both"]] * 6]
    assert all(f"/{r['set']}" in r["set_image"] for r in rows)
    dropped = artifacts.read_json(str(matched / "summary.json"))["dropped"]
    assert {k: n for k, n in dropped.items() if k.startswith("contaminated")} == {
        "contaminated: both": 1, "contaminated: captions, again": 1, "contaminated: zero, both": 6,
    }  # fmt: skip
    assert "read 13 = kept 5 + in a set 8, of which some are in several" in decontaminate_table(
        found, "out")  # fmt: skip


def test_vectors_find_what_hashes_do_not_and_are_of_the_same_model(world, tmp_path):
    run = str(world / "trained/runs/clip")
    found = search(world, tmp_path / "d", "zero", run=run, methods=("semantic",), epsilon=1e-5)
    assert found["sets"]["zero"]["pairs"] >= 1
    assert {row["by"] for row in hits(tmp_path / "d")} == {"semantic"}
    assert all(row["distance"] <= 1e-5 for row in hits(tmp_path / "d"))
    with pytest.raises(ArtifactError, match="Name the run that they were made with"):
        search(world, tmp_path / "x", "zero", run=str(world / "trained/runs/other"))


def test_the_same_bytes_for_any_number_of_workers_and_files(world, tmp_path):
    for workers in (1, 3):
        search(world, tmp_path / f"w{workers}", "zero", "one", workers=workers)
    assert contents(tmp_path / "w1") == contents(tmp_path / "w3")


def test_sets_without_images_and_what_cannot_be_meant(world, tmp_path):
    bad = tmp_path / "sets/bad/cat"
    bad.mkdir(parents=True)
    (bad / "image.jpg").write_bytes(b"no image")
    (tmp_path / "sets/bad/dog").mkdir()
    (tmp_path / "sets/bad/dog/image.jpg").write_bytes(b"neither")
    kwargs = {"embeddings": str(world / "embeddings"), "output": str(tmp_path / "d"),
              "options": DecontaminateOptions(), "quiet": True}  # fmt: skip
    with pytest.raises(InputError, match="bad has no image that can be used .corrupt_image 2"):
        decontaminate_pairs([str(tmp_path / "sets/bad")], **kwargs)
    (bad / "two.jpg").write_bytes(encoded(picture(0)))
    found = decontaminate_pairs([str(tmp_path / "sets/bad")], **kwargs)
    assert found["sets"]["bad"]["unusable"] == {"corrupt_image": 2}
    assert found["sets"]["bad"]["pairs"] == 6
    with pytest.raises(UsageError, match="no evaluation set"):
        decontaminate_pairs([], **kwargs)
    with pytest.raises(UsageError, match="--methods text needs the matched pairs"):
        decontaminate_pairs([str(world / "sets/zero")], **{
            **kwargs, "options": DecontaminateOptions(methods=("text",))})  # fmt: skip
    with pytest.raises(UsageError, match="give --run"):
        DecontaminateOptions(methods=("semantic",))
    with pytest.raises(InputError, match="two sets are named alike"):
        search(world, tmp_path / "x", "zero", "zero")


def test_the_command_line_says_the_same(world, tmp_path):
    words = ["decontaminate", str(world / "sets/zero"), "--embeddings", str(world / "embeddings"),
             "--matched", str(world / "matched"), "-o", str(tmp_path / "d"), "--report-only",
             "--json"]  # fmt: skip
    assert json.loads(run_here([*words, "--dry-run"]))["images"] == {"zero": 2}
    assert json.loads(run_here(words))["sets"]["zero"]["pairs"] == 6
    assert read_pairs(world / "matched").num_rows == 13
