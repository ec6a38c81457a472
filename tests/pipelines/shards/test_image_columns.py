"""Images of any column and format come into shards, and what has none is told."""

import base64
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curate.errors import InputError, MissingExtraError
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.balance.view import balance_table
from curate.pipelines.card import make_card
from curate.pipelines.inputs.columns.images import encoded_images, image_column, image_counts
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.match.view import match_table
from curate.pipelines.shards import images as shard_images
from curate.pipelines.shards.options import ShardOptions
from tests.pipelines.helpers import WORDS, match, png, read_pairs, write_metadata, write_pairs
from tests.pipelines.tar_helpers import read_samples, write_tar

TEXTS = ["a red dog", "a blue dog", "a cat"]
PHOTOS = [png((50 * i, 9, 9)) for i in range(3)]


@pytest.fixture(scope="module")
def metadata(tmp_path_factory):
    return write_metadata(tmp_path_factory.mktemp("columns") / "m", {"en": WORDS})


def balanced(folder, name="b", image_format="keep", **options):
    card = balance_pairs(
        matched=str(folder / "out"), output=str(folder / name), quiet=True,
        options=BalanceOptions(t=1000, shards=ShardOptions(image_format=image_format), **options),
    )  # fmt: skip
    return card, read_samples(folder / name / "shards")


def encoded(form):
    pixels = np.zeros((20, 32, 3), np.uint8)
    pixels[:10], pixels[10:] = (220, 30, 30), (30, 30, 220)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form)
    return out.getvalue()


def structs(values):
    return [{"bytes": value, "path": None} for value in values]


URLSAFE = [base64.urlsafe_b64encode(p).decode().rstrip("=") for p in PHOTOS]
COLUMNS = {
    "image": pa.array([list(p) for p in PHOTOS], pa.list_(pa.uint8())),
    "images": pa.array([structs([p, png((0, 0, 9))]) for p in PHOTOS]),
    "jpg": pa.array(structs(PHOTOS)),
    "png": pa.array(PHOTOS, pa.large_binary()),
    "image_bytes": pa.array(PHOTOS),
    "img": pa.array([[p] for p in PHOTOS]),
    "IMAGE": pa.array([base64.b64encode(p).decode() for p in PHOTOS]),
    "image_data": pa.array(
        [f"data:image/png;base64,{base64.b64encode(p).decode()}" for p in PHOTOS]
    ),
    "picture": pa.array(URLSAFE, pa.large_string()),
    "webp": pa.array([np.frombuffer(p, np.int8).tolist() for p in PHOTOS], pa.list_(pa.int8())),
    "photo": pa.array([[b""] + [p] for p in PHOTOS]),
    "jpeg": pa.array(PHOTOS, pa.binary_view()),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("with_url", [False, True])
def test_images_of_any_usual_column_come_into_shards(tmp_path, metadata, name, with_url):
    table = pa.table({name: COLUMNS[name], "text": TEXTS})
    if with_url:
        table = table.append_column("url", pa.array([f"https://e.org/{i}.jpg" for i in range(3)]))
    pq.write_table(table, tmp_path / "a.parquet")
    summary = match([tmp_path / "a.parquet"], metadata, tmp_path / "out")
    assert (summary["matched"], summary["with_image"]) == (3, 3)
    assert summary.get("more_images", 0) == (3 if name == "images" else 0)
    assert ("beyond the first of their pair" in match_table(summary, "o")) == (name == "images")
    card, samples = balanced(tmp_path)
    assert card["format"] == "shards" and card["kept_pairs"]["with_image"] == 3
    assert {text: sample["png"] for text, sample in samples.items()} == dict(
        zip(TEXTS, PHOTOS, strict=True)
    )


def test_a_column_of_another_name_is_named(tmp_path, metadata):
    table = pa.table({"scan": PHOTOS, "text": TEXTS, "n": [1, 2, 3]})
    pq.write_table(table, tmp_path / "a.parquet")
    summary = match([tmp_path / "a.parquet"], metadata, tmp_path / "plain")
    assert summary["with_image"] == 0
    assert "no image either that was found (see --image-column)" in match_table(summary, "o")
    columns = ColumnNames(image="scan")
    assert match([tmp_path / "a.parquet"], metadata, tmp_path / "out", columns=columns)
    card, samples = balanced(tmp_path)
    assert sorted(s["png"] for s in samples.values()) == sorted(PHOTOS)
    assert "--image-column scan" in card["command"]
    for name, message in (("nix", "there is no column 'nix'"), ("n", "column 'n' is int64, exp")):
        with pytest.raises(InputError, match=f"{message}.*--image-column"):
            match(
                [tmp_path / "a.parquet"], metadata, tmp_path / "c", columns=ColumnNames(image=name)
            )


def test_strings_that_name_files_stay_names_of_files(tmp_path, metadata):
    (tmp_path / "0.png").write_bytes(PHOTOS[0])
    values = ["0.png", base64.b64encode(PHOTOS[1]).decode(), None]
    pq.write_table(pa.table({"image": values, "text": TEXTS}), tmp_path / "a.parquet")
    summary = match([tmp_path / "a.parquet"], metadata, tmp_path / "out")
    assert (summary["matched"], summary["with_image"]) == (3, 2)
    card, samples = balanced(tmp_path)
    assert [samples[t].get("png") for t in TEXTS] == [PHOTOS[0], PHOTOS[1], None]
    assert card["kept_pairs"] == {"with_image": 2, "without_image": 1, "without_url": 3,
                                  "no_image": {"no_image": 1}}  # fmt: skip


def test_rows_of_pixels_and_broken_base64_are_no_images():
    pixels = pa.schema({"image": pa.list_(pa.list_(pa.uint8()))})
    assert image_column(pixels, None) is None
    whole, broken = "/9j/" + "A" * 60, "/9j/" + "A" * 61
    column = pa.array([whole, broken, "not base64 at all", None])
    assert image_counts(column).tolist() == [1, 1, 0, 0]
    content = b"\xff\xd8\xff" + bytes(45)
    assert encoded_images(column).to_pylist() == [content, broken.encode(), None, None]


FORMATS = {"jpg": "JPEG", "gif": "GIF", "bmp": "BMP", "tiff": "TIFF", "avif": "AVIF"}


@pytest.mark.parametrize("kind", ["column", "tar"])
def test_formats_that_shards_do_not_take_become_jpegs(tmp_path, metadata, kind):
    found = {f"a dog as {name}": encoded(form) for name, form in FORMATS.items()}
    if kind == "tar":
        members = {}
        for (text, image), suffix in zip(found.items(), FORMATS, strict=True):
            members |= {f"{suffix}0.{suffix.upper()}": image, f"{suffix}0.txt": text}
        path = write_tar(tmp_path / "a.tar", members)
    else:
        path = tmp_path / "a.parquet"
        pq.write_table(pa.table({"image": list(found.values()), "text": list(found)}), path)
    assert match([path], metadata, tmp_path / "out")["with_image"] == 5
    card, _ = balanced(tmp_path, name="keep")
    assert card["kept_pairs"]["no_image"] == {"not_jpeg_png_or_webp": 4}
    card, samples = balanced(tmp_path, image_format="jpg")
    assert card["kept_pairs"]["without_image"] == 0
    assert samples["a dog as jpg"]["jpg"] == found["a dog as jpg"]
    for text in found:
        image = Image.open(io.BytesIO(samples[text]["jpg"]))
        assert (image.format, image.size) == ("JPEG", (32, 20))
        red, blue = image.getpixel((16, 4)), image.getpixel((16, 15))
        assert red[0] > 200 > 60 > red[2] and blue[2] > 200 > 60 > blue[0]


def test_what_is_no_image_is_counted_in_shard_card_and_table(tmp_path, metadata):
    a = write_pairs(tmp_path / "a.parquet", TEXTS, image=[PHOTOS[0], b"<html>", None])
    match([a], metadata, tmp_path / "out")
    card, _ = balanced(tmp_path, image_format="jpg")
    reasons = {"no_image": 1, "not_an_image": 1}
    assert card["kept_pairs"] == {"with_image": 1, "without_image": 2, "without_url": 0,
                                  "no_image": reasons}  # fmt: skip
    note = json.loads((tmp_path / "b/shards/00000.json").read_text())
    assert note["without_image"] == reasons
    told = "kept with an image 1, without 2 (no_image 1, not_an_image 1)"
    assert told in balance_table(card, "o")
    shown = " ".join((tmp_path / "b/datacard.md").read_text("utf-8").split())
    assert "1 come with an image and 2 without (no image 1, not an image 1)" in shown


def test_without_pillow_the_first_image_to_convert_says_what_to_install(
    tmp_path, metadata, monkeypatch
):
    a = write_pairs(tmp_path / "a.parquet", ["a dog"], image=[encoded("GIF")])
    match([a], metadata, tmp_path / "out")
    monkeypatch.setattr(shard_images, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="Converting images.*pip install"):
        balanced(tmp_path, image_format="jpg")


def test_shards_are_written_whichever_input_comes_first(tmp_path, metadata):
    urls = write_pairs(tmp_path / "urls.parquet", TEXTS)
    empty = write_tar(tmp_path / "empty.tar", {"0.txt": "nothing that matches"})
    images = write_pairs(tmp_path / "images.parquet", ["a tree"] * 3, first=9, image=PHOTOS)
    for order in ([urls, empty, images], [images, empty, urls], [empty, images, urls]):
        match(order, metadata, tmp_path / "out", overwrite=True)
        card, samples = balanced(tmp_path, name=f"b-{order[0].stem}")
        assert card["format"] == "shards" and len(samples) == 4
        assert card["kept_pairs"]["without_image"] == 3
        assert sum("png" in s for s in samples.values()) == 1


def test_a_tar_of_texts_alone_makes_no_shards_of_texts(tmp_path, metadata):
    tar = write_tar(tmp_path / "a.tar", {f"{i}.txt": t for i, t in enumerate(TEXTS)})
    summary = match([tar], metadata, tmp_path / "out")
    assert "no image either" in match_table(summary, "o")
    card, samples = balanced(tmp_path)
    assert card["format"] == "parquet" and not samples
    assert card["kept_pairs"] == {"with_image": 0, "without_image": 3, "without_url": 3}


def test_the_first_image_of_a_sample_is_taken_and_the_others_counted(tmp_path, metadata):
    members = {"a.1.png": PHOTOS[0], "a.2.png": PHOTOS[1], "a.json": {"caption": TEXTS[0]},
               "b.seg.png": PHOTOS[1], "b.png": PHOTOS[2], "b.txt": TEXTS[1],
               "c.txt": TEXTS[2]}  # fmt: skip
    summary = match([write_tar(tmp_path / "a.tar", members)], metadata, tmp_path / "out")
    assert (summary["with_image"], summary["more_images"]) == (2, 2)
    card, samples = balanced(tmp_path)
    assert [samples[t].get("png") for t in TEXTS] == [PHOTOS[0], PHOTOS[2], None]
    assert card["matched_pairs"]["more_images"] == 2
    shown = " ".join((tmp_path / "b/datacard.md").read_text("utf-8").split())
    assert "2 are beyond the first of their pair" in shown


def test_captions_stand_where_training_looks_for_them(tmp_path, metadata):
    members = {"a.txt": "", "a.json": {"TEXT": TEXTS[0], "URL": "https://e.org/a.jpg"},
               "b.json": {"TEXT": TEXTS[1]}, "c.txt": TEXTS[2], "c.json": {"text": "a tree"},
               "d.txt": ""}  # fmt: skip
    summary = match([write_tar(tmp_path / "a.tar", members)], metadata, tmp_path / "out")
    assert summary["dropped"] == {"empty_text": 1} and summary["without_url"] == 2
    pairs = read_pairs(tmp_path / "out")
    assert pairs.column("text").to_pylist() == TEXTS
    assert pairs.column("image_id").null_count == 2


def test_what_the_input_says_beside_goes_on_into_the_samples_json(tmp_path, metadata):
    about = {"similarity": 0.31, "tags": ["x"], "lang": "xx", "texts": ["another"], "pair_id": "p",
             "width": None, "key": "0"}  # fmt: skip
    members = {"0.png": PHOTOS[0], "0.txt": TEXTS[0], "0.json": about}
    tar = write_tar(tmp_path / "a.tar", members)
    table = {"image": PHOTOS[1:], "text": TEXTS[1:], "score": [float("nan"), 0.5],
             "raw": [b"1"] * 2, "size": [{"w": 1}, None], "probability": ["x"] * 2}  # fmt: skip
    pq.write_table(pa.table(table), tmp_path / "b.parquet")
    match([tar, tmp_path / "b.parquet"], metadata, tmp_path / "out")
    _, samples = balanced(tmp_path)
    found = [json.loads(samples[text]["json"]) for text in TEXTS]
    ours = {"url": None, "lang": "en", "probability": 1.0}
    for one in found:
        assert one.pop("entry_ids")
    assert found == [
        {**ours, "similarity": 0.31, "tags": ["x"], "key": "0", "uid": "0"},
        {**ours, "score": None, "size": {"w": 1}},
        {**ours, "score": 0.5},
    ]


def test_the_card_made_anew_is_the_same(tmp_path, metadata):
    a = write_pairs(tmp_path / "a.parquet", TEXTS, image=[*PHOTOS[:2], None])
    match([a], metadata, tmp_path / "out")
    for form in ("shards", "parquet"):
        card, _ = balanced(tmp_path, name=form, output_format=form)
        assert card["kept_pairs"]["with_image"] == 2
        first = (tmp_path / form / "datacard.json").read_bytes()
        make_card(matched=str(tmp_path / "out"), balanced=str(tmp_path / form), quiet=True)
        assert (tmp_path / form / "datacard.json").read_bytes() == first
