import io
import json
import math
import tarfile
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import ArtifactError, CurateError, InputError, UsageError
from curate.training.eval.confidence import bootstrap_interval, wilson_interval
from curate.training.eval.data import EvalDataset, EvalSample
from curate.training.eval.evaluate import evaluate, evaluate_all
from curate.training.eval.multilabel import average_precision
from curate.training.eval.prompts import parse_classes, parse_templates
from curate.training.eval.retrieval import retrieval_recall
from curate.training.eval.sets import EvalSpec, load_datasets, open_dataset
from curate.training.eval.zeroshot import ranks_of_labels
from tests.pipelines.helpers import png
from tests.training.eval_world import (
    COLOURS,
    LABELLED,
    NAMES,
    ColourModel,
    add,
    preprocess,
    shade,
    tokenize,
    write_cvqa,
    write_folder,
    write_table,
    write_wds,
)
from tests.training.ranks import run_on_ranks
from tests.training.tiny import tiny_model


def run(path, *, model=None, batch_size=3, **spec):
    dataset = open_dataset(EvalSpec(path=str(path), **spec))
    return evaluate(model or ColourModel(), tokenize, preprocess, dataset, batch_size=batch_size)


def figures(found):
    """A result without what says where the set is and what was given with it."""
    other = ("file", "asked", "by_group", "top1_by_group")
    return {k: v for k, v in found.items() if k not in other}


# Zero-shot classification


def test_every_layout_gives_the_same_figures(tmp_path):
    classes = str(tmp_path / "classes.txt")
    folder = run(write_folder(tmp_path / "folder"), classes=classes)
    assert folder["task"] == "zero-shot classification" and folder["classes"] == 3
    assert (folder["images"], folder["unusable"], folder["chance"]) == (8, 0, 1 / 3)
    assert folder["top1"] == 7 / 8 and folder["top5"] == 1.0
    # Of the images labelled red, green and blue, 3 of 3, 2 of 2 and 2 of 3 are right.
    assert folder["mean_class_recall"] == pytest.approx((1 + 1 + 2 / 3) / 3)
    low, high = folder["top1_interval"]
    assert 0 < low < 7 / 8 < high < 1
    others = [
        run(write_wds(tmp_path / "wds")),
        run(write_table(tmp_path / "names.parquet"), classes=classes),
        run(write_table(tmp_path / "numbers.parquet", numbers=True), classes=classes),
        run(write_table(tmp_path / "hf.parquet", numbers=True, huggingface=True)),
    ]
    assert all(figures(found) == figures(folder) for found in others)


def test_folders_that_are_not_named_like_classes_count_in_their_order(tmp_path):
    root = write_folder(tmp_path / "folder")
    for name, wnid in (("red", "n01"), ("green", "n02"), ("blue", "n03")):
        (root / name).rename(root / wnid)
    found = run(root, classes=str(tmp_path / "classes.txt"))
    assert found["top1"] == 7 / 8
    (tmp_path / "four.txt").write_text("a\nb\nc\nd\n")
    with pytest.raises(InputError, match=r"3 folders, but .*four\.txt has 4 classes"):
        run(root, classes=str(tmp_path / "four.txt"))


def test_a_class_is_the_mean_of_its_names_in_all_templates(tmp_path):
    (tmp_path / "classes.txt").write_text("red\tscarlet\ngreen\nblue\n")
    (tmp_path / "templates.txt").write_text("{a} {}\n\nthe {c} one\n{name}\n")
    spec = {"classes": str(tmp_path / "classes.txt"), "templates": str(tmp_path / "templates.txt")}
    table = write_table(tmp_path / "a.parquet")
    (vocabulary,) = open_dataset(EvalSpec(path=str(table), **spec)).vocabularies
    assert vocabulary.prompts(0) == [
        "a red", "the red one", "red", "a scarlet", "the scarlet one", "scarlet"
    ]  # fmt: skip
    assert run(table, **spec)["top1"] == 7 / 8


def test_languages_have_their_own_classes_and_templates(tmp_path):
    (tmp_path / "c.en.txt").write_text("red\ngreen\nblue\n")
    (tmp_path / "c.de.txt").write_text("blau\nunbekannt\nrot\n")
    (tmp_path / "t.en.txt").write_text("a {} thing\n")
    (tmp_path / "t.de.txt").write_text("ein {} Ding\n")
    spec = {
        "classes": str(tmp_path / "c.{lang}.txt"), "templates": str(tmp_path / "t.{lang}.txt"),
        "languages": ("en", "de"),
    }  # fmt: skip
    found = run(write_table(tmp_path / "a.parquet"), **spec)
    assert set(found["by_lang"]) == {"en", "de"}
    assert found["by_lang"]["en"]["top1"] == 7 / 8
    # Red and blue are mixed up: right are the two green images (an unknown word is grey, nearer to
    # green than red and blue are) and the one that is labelled wrongly.
    assert found["by_lang"]["de"]["top1"] == 3 / 8
    assert found["top1"] == pytest.approx((7 / 8 + 3 / 8) / 2)
    with pytest.raises(InputError, match="Name them, such as: --languages en,de"):
        run(tmp_path / "a.parquet", **{**spec, "languages": ()})
    with pytest.raises(InputError, match=r"c\.fr\.txt: there is no such file"):
        run(tmp_path / "a.parquet", **{**spec, "languages": ("fr",)})


def test_babel_imagenet_names_some_classes_in_each_language(tmp_path):
    labels = {"EN": [[0, 1, 2], NAMES], "DE": [[2, 0], ["blau", "rot"]]}
    (tmp_path / "babel.json").write_text(json.dumps(labels))
    root = write_folder(tmp_path / "folder")
    for name, wnid in (("red", "n01"), ("green", "n02"), ("blue", "n03")):
        (root / name).rename(root / wnid)
    found = run(root, labels=str(tmp_path / "babel.json"))
    assert found["by_lang"]["EN"]["top1"] == 7 / 8
    assert found["by_lang"]["DE"]["images"] == 6 and found["by_lang"]["DE"]["top1"] == 5 / 6
    assert found["by_lang"]["DE"]["chance"] == 1 / 2
    only = run(root, labels=str(tmp_path / "babel.json"), languages=("de",))
    assert only["top1"] == 5 / 6 and "by_lang" not in only
    prompts = {"DE": ["ein Bild von {}", "{}"]}
    (tmp_path / "prompts.json").write_text(json.dumps(prompts))
    spec = {"labels": str(tmp_path / "babel.json"), "languages": ("de",)}
    assert run(root, templates=str(tmp_path / "prompts.json"), **spec)["top1"] == 5 / 6
    with pytest.raises(InputError, match="there is no language 'fr'; it has DE, EN"):
        run(root, labels=str(tmp_path / "babel.json"), languages=("fr",))
    (tmp_path / "bad.json").write_text('{"DE": [[1, 2], ["blau"]]}')
    with pytest.raises(InputError, match="as many names as ids"):
        run(root, labels=str(tmp_path / "bad.json"))


def test_groups_are_counted_apart(tmp_path):
    classes = write_folder(tmp_path / "folder").parent / "classes.txt"
    found = run(write_table(tmp_path / "a.parquet"), classes=str(classes), group_by="split")
    assert found["top1_by_group"] == {"even": 1.0, "odd": 3 / 4}
    assert found["by_group"]["odd"]["images"] == 4
    with pytest.raises(InputError, match="no column 'lang'; it has image, label, split"):
        run(tmp_path / "a.parquet", classes=str(classes), group_by="lang")


@given(st.integers(0, 2**32 - 1))
def test_a_label_has_the_rank_that_a_stable_sort_gives_it(seed):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.integers(0, 4, (5, 7)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, 7, 5))
    found = ranks_of_labels(logits, labels).tolist()
    for row, label, rank in zip(logits.tolist(), labels.tolist(), found, strict=True):
        order = sorted(range(7), key=lambda c: (-row[c], c))
        assert order.index(label) == rank


class Constant(ColourModel):
    def encode_image(self, image_B3HW):
        return torch.full((len(image_B3HW), 3), self.value)

    value = 1.0


def test_a_model_that_says_nothing_is_right_by_chance_and_one_that_diverged_is_refused(tmp_path):
    root = write_wds(tmp_path / "wds")
    constant = run(root, model=Constant())
    assert constant["top1"] == sum(label == "red" for _, label, _ in LABELLED) / 8
    broken = Constant()
    broken.value = math.nan
    with pytest.raises(ArtifactError, match="embeddings of images are not finite"):
        run(root, model=broken)
    broken = ColourModel()
    broken.scale.data.fill_(math.nan)
    with pytest.raises(ArtifactError, match="embeddings of class names are not finite"):
        run(root, model=broken)


# Bad input


def test_images_that_cannot_be_used_are_counted(tmp_path):
    root = write_wds(tmp_path / "wds", num_tars=1)
    with tarfile.open(root / "test" / "0.tar", "a") as tar:
        for name, content in (("x1.png", b"not an image"), ("x1.cls", b"0"), ("x2.cls", b"1")):
            add(tar, name, content)
        add(tar, "x3.jpg", shade("red", 1)[:40])
        add(tar, "x3.cls", b"0")
    found = run(root)
    assert (found["images"], found["unusable"]) == (8, 3)
    assert found["skipped"] == {"corrupt_image": 2, "no_image": 1} and found["top1"] == 7 / 8


def test_sets_without_a_usable_image_are_errors(tmp_path):
    (tmp_path / "wds" / "test").mkdir(parents=True)
    (tmp_path / "wds" / "classnames.txt").write_text("red\n")
    with pytest.raises(InputError, match=r"parts of a set and no classes.*: .*/wds/test$"):
        run(tmp_path / "wds")
    (tmp_path / "folder" / "red").mkdir(parents=True)
    with pytest.raises(InputError, match="there are no images"):
        run(tmp_path / "folder")
    with pytest.raises(InputError, match="there is no such file or folder; expected Parquet files"):
        run(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no evaluation set; expected Parquet files"):
        run(tmp_path / "empty")
    with tarfile.open(tmp_path / "wds" / "test" / "0.tar", "w"):
        pass
    with pytest.raises(InputError, match="there is no sample in it"):
        run(tmp_path / "wds")
    table = pa.table({"image": pa.array([], pa.binary()), "label": pa.array([], pa.string())})
    pq.write_table(table, tmp_path / "empty.parquet")
    with pytest.raises(InputError, match="no usable image among 0 samples.*it is empty"):
        run(tmp_path / "empty.parquet", classes=str(tmp_path / "wds" / "classnames.txt"))
    pq.write_table(pa.table({"image": [b"x"], "text": ["red"]}), tmp_path / "bad.parquet")
    with pytest.raises(InputError, match="no usable image among 1 sample .*corrupt_image"):
        run(tmp_path / "bad.parquet")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a photo\n", "line 1: got 'a photo'; expected one place for the class name"),
        ("{}\na {} {}\n", "line 2: got 'a {} {}'"),
        ("{}\n{name.__class__}\n", "line 2: got"),
        ("{0}\n", "line 1: got"),
        ("a {\n", "line 1: not a template"),
        ("\n", "no template in it"),
    ],
)
def test_templates_have_one_place_for_the_name(content, message):
    with pytest.raises(InputError) as error:
        parse_templates(content, "t.txt")
    assert message in str(error.value) and "t.txt" in str(error.value)


def test_class_files_have_a_name_on_every_line(tmp_path):
    with pytest.raises(InputError, match="line 2: an empty line"):
        parse_classes("red\n\nblue\n", "c.txt")
    with pytest.raises(InputError, match="there is no class in it"):
        parse_classes("\n", "c.txt")
    (tmp_path / "latin1.txt").write_bytes("grün\n".encode("latin-1"))
    table = write_table(tmp_path / "a.parquet", numbers=True)
    with pytest.raises(InputError, match=r"latin1\.txt: not UTF-8"):
        run(table, classes=str(tmp_path / "latin1.txt"))
    with pytest.raises(InputError, match=r"none\.txt: there is no such file"):
        run(table, classes=str(tmp_path / "none.txt"))
    with pytest.raises(InputError, match=r"does not say of which classes; give a file.*--classes"):
        run(table)


def test_labels_that_are_no_class_are_errors(tmp_path):
    root = write_wds(tmp_path / "wds")
    (root / "classnames.txt").write_text("red\ngreen\n")
    with pytest.raises(InputError, match=r"sample s0000002: got class 2; expected 0 to 1, for 2"):
        run(root)
    (root / "classnames.txt").unlink()
    with pytest.raises(InputError, match="there are no class names with it"):
        run(root)
    (tmp_path / "c.txt").write_text("green\n")
    with pytest.raises(InputError, match="'blue' is not in this list of classes, nor are 1 others"):
        run(write_table(tmp_path / "a.parquet"), classes=str(tmp_path / "c.txt"))
    with tarfile.open(tmp_path / "no.tar", "w") as tar:
        add(tar, "a.png", shade("red", 0))
        add(tar, "a.cls", b"red")
    with pytest.raises(InputError, match=r"got b'red' for \.cls; expected the number of a class"):
        run(tmp_path / "no.tar", classes=str(tmp_path / "c.txt"))


def test_sets_that_are_not_whole_are_errors(tmp_path):
    root = write_wds(tmp_path / "wds")
    (root / "test" / "nshards.txt").write_text("3")
    with pytest.raises(InputError, match=r"nshards\.txt says 3 tars, but 2 are there"):
        run(root)
    (root / "test" / "nshards.txt").unlink()
    tar = root / "test" / "1.tar"
    for size in (700, 1536):
        tar.write_bytes(tar.read_bytes()[:size])
        with pytest.raises(InputError, match=r"1\.tar: not a whole tar \(cut off"):
            run(root)
    (root / "dataset_type.txt").write_text("boxes\n")
    with pytest.raises(InputError, match="the type is 'boxes'; expected classification"):
        run(root)
    (tmp_path / "cut.parquet").write_bytes(write_table(tmp_path / "a.parquet").read_bytes()[:99])
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        run(tmp_path / "cut.parquet")


def test_options_are_checked(tmp_path):
    for spec, message in (
        ({"format": "zip"}, "unknown format 'zip'; expected auto, folder"),
        ({"texts": "both"}, "texts is 'both'"),
        ({"share": 0.0}, "share is 0.0"),
        ({"classes": "a", "labels": "b"}, "classes and labels are both given"),
    ):
        with pytest.raises(UsageError, match=message):
            EvalSpec(path="x", **spec)
    dataset = open_dataset(EvalSpec(path=str(write_wds(tmp_path / "wds"))))
    with pytest.raises(UsageError, match="the batch size is 0"):
        evaluate(ColourModel(), tokenize, preprocess, dataset, batch_size=0)


# Several classes per image


def naive_average_precision(scores, truth):
    """The textbook's, with the order of ties against the model."""
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], truth[i]))
    precisions = [
        sum(truth[j] for j in order[: place + 1]) / (place + 1)
        for place, i in enumerate(order)
        if truth[i]
    ]
    return np.mean(precisions) if precisions else math.nan


@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_average_precision_is_that_of_the_naive_loop(seed, num):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (num, 3)).astype(np.float32)
    truth = rng.random((num, 3)) < 0.4
    expected = [naive_average_precision(scores[:, c], truth[:, c]) for c in range(3)]
    np.testing.assert_allclose(average_precision(scores, truth), expected)
    twice = average_precision(np.repeat(scores, 2, 0), np.repeat(truth, 2, 0))
    # An image that counts twice stands twice beside itself, both times with the later precision.
    assert (np.nan_to_num(average_precision(scores, truth, np.full(num, 2)) - twice) >= -1e-9).all()


def write_multilabel(root, num_labels=3):
    (root / "test").mkdir(parents=True)
    with tarfile.open(root / "test" / "0.tar", "w") as tar:
        for i, colours in enumerate([["red"], ["green"], ["blue"], ["red", "blue"], []]):
            buffer = io.BytesIO()
            labels = [int(name in colours) for name in [*NAMES, "other"][:num_labels]]
            np.save(buffer, np.array(labels))
            mixed = np.sum([COLOURS[c] for c in colours], axis=0) if colours else (255, 255, 255)
            add(tar, f"s{i}.png", png(tuple(int(v) for v in mixed), size=8))
            add(tar, f"s{i}.npy", buffer.getvalue())
    (root / "classnames.txt").write_text("\n".join(NAMES) + "\n")
    (root / "dataset_type.txt").write_text("multilabel\n")
    return root


def test_images_may_have_several_classes(tmp_path):
    found = run(write_multilabel(tmp_path / "wds"), batch_size=2)
    assert (found["task"], found["images"], found["classes"]) == ("multilabel classification", 5, 3)
    # Every class's images come before those without it: white is farther from each than purple.
    assert found["mean_average_precision"] == 1.0 and found["chance"] == pytest.approx(5 / 15)
    assert found["interval"][1] == 1.0
    with pytest.raises(InputError, match="got 4 labels; expected one for each of the 3 classes"):
        run(write_multilabel(tmp_path / "four", num_labels=4))
    with tarfile.open(tmp_path / "wds" / "test" / "0.tar", "a") as tar:
        add(tar, "s9.png", shade("red", 0))
        add(tar, "s9.npy", b"no array")
    with pytest.raises(InputError, match=r"sample s9: no labels .*expected a \.npy"):
        run(tmp_path / "wds")


# Retrieval


def naive_recall(similarity, positive, k):
    """Share of rows of which a positive is among the k best; ties count against it."""
    hits = []
    for row, is_right in zip(similarity, positive, strict=True):
        if is_right.any():
            best = row[is_right].max()
            hits.append(sum(row[~is_right] >= best) < k)
    return np.mean(hits)


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 60))
def test_recalls_are_those_of_the_naive_loop(seed, num_images, num_texts):
    rng = np.random.default_rng(seed)
    # Small integers: many ties, and products that floating point has exactly.
    image = torch.from_numpy(rng.integers(-2, 3, (num_images, 3)).astype(np.float32))
    text = torch.from_numpy(rng.integers(-2, 3, (num_texts, 3)).astype(np.float32))
    owner = rng.integers(0, num_images, num_texts)
    similarity = (image @ text.T).numpy()
    positive = owner[None, :] == np.arange(num_images)[:, None]
    found = retrieval_recall(image, text, owner.tolist())
    for k in (1, 5, 10):
        assert found["image_to_text"][f"R@{k}"] == naive_recall(similarity, positive, k)
        assert found["text_to_image"][f"R@{k}"] == naive_recall(similarity.T, positive.T, k)


def test_recall_counts_ties_against_the_model():
    same = F.normalize(torch.ones(20, 4), dim=-1)
    found = retrieval_recall(same, same, list(range(20)))
    assert found["image_to_text"] == {"R@1": 0.0, "R@5": 0.0, "R@10": 0.0}


def test_an_image_may_have_several_captions_in_several_languages(tmp_path):
    rows = [("red", "a red one", "en"), ("red", "rot", "de"), ("green", "green", "en"),
            ("blue", "blue", "en"), ("blue", "ein red", "de"), ("blue", "blau", "de")]  # fmt: skip
    images = [shade(colour, 0) for colour, _, _ in rows]
    table = {"image": images, "caption": [r[1] for r in rows], "lang": [r[2] for r in rows]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    found = run(tmp_path / "a.parquet", group_by="lang")
    assert (found["images"], found["distinct_images"], found["texts"]) == (6, 3, 6)
    assert found["text_to_image"]["R@1"] == pytest.approx(5 / 6)
    # "rot" and "ein red" are one to the model, so for the red image the wrong one ties with it.
    assert found["image_to_text"]["R@1"] == pytest.approx(2 / 3)
    german = found["by_group"]["de"]
    assert (german["texts"], german["images_with_text"]) == (3, 2)
    assert german["image_to_text"]["R@1"] == 1 / 2 and german["text_to_image"]["R@1"] == 2 / 3
    assert found["by_group"]["en"]["text_to_image"]["R@1"] == 1.0
    assert found["mean_over_groups"]["text_to_image"]["R@1"] == pytest.approx(5 / 6)
    low, high = found["intervals"]["text_to_image"]["R@1"]
    assert low <= 5 / 6 <= high <= 1


def test_captions_of_tars_are_lines_and_must_be_there(tmp_path):
    (tmp_path / "test").mkdir()
    with tarfile.open(tmp_path / "test" / "0.tar", "w") as tar:
        for i, colour in enumerate(COLOURS):
            add(tar, f"s{i}.webp", shade(colour, 0))
            add(tar, f"s{i}.txt", f"a {colour} one\n{colour}\n".encode())
    (tmp_path / "dataset_type.txt").write_text("retrieval\n")
    found = run(tmp_path)
    assert (found["texts"], found["text_to_image"]["R@1"]) == (6, 1.0)
    with tarfile.open(tmp_path / "test" / "0.tar", "a") as tar:
        add(tar, "s9.png", shade("red", 0))
        add(tar, "s9.txt", b" \n")
    with pytest.raises(InputError, match="sample s9: there is no text; expected a .txt"):
        run(tmp_path)


def test_texts_that_are_missing_are_an_error(tmp_path):
    table = pa.table({"image": [shade("red", 0)], "text": pa.array([None], pa.string())})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="there is no image with a text; expected captions"):
        run(tmp_path / "a.parquet")


def write_xm3600(root, *, jsonl):
    (root / "images").mkdir(parents=True)
    captions = {"k1": ("red", {"en": ["a red one", "red"], "de": ["rot"]}),
                "k2": ("blue", {"en": ["blue"], "de": ["blau", "sehr blau"]}),
                "k3": ("green", {"en": ["green"], "de": ["unbekannt"]})}  # fmt: skip
    lines = []
    for key, (colour, texts) in captions.items():
        if key != "k3":
            (root / "images" / f"{key}.jpg").write_bytes(shade(colour, 0))
        if jsonl:
            of_langs = {lang: {"caption": found} for lang, found in texts.items()}
            lines.append(json.dumps({"image/key": key, "image/locale": "en", **of_langs}))
        else:
            lines += [f"{key}\t{lang}\t{t}" for lang, found in texts.items() for t in found]
    header = [] if jsonl else ["image_key\tlang\tcaption"]
    path = root / ("captions.jsonl" if jsonl else "captions.tsv")
    path.write_text("\n".join([*header, *lines]) + "\n")
    return root


@pytest.mark.parametrize("jsonl", [True, False])
def test_crossmodal_3600_is_read_as_published_and_as_a_table(tmp_path, jsonl):
    root = write_xm3600(tmp_path / "xm", jsonl=jsonl)
    found = run(root)
    assert (found["images"], found["skipped"]) == (2, {"no_image": 1})
    assert (found["texts"], found["text_to_image"]["R@1"]) == (6, 1.0)
    assert found["by_group"]["de"]["texts"] == 3
    assert run(root, languages=("de",))["texts"] == 3
    with pytest.raises(InputError, match="no captions in 'fr'; it has de, en"):
        run(root, languages=("fr",))


def test_broken_captions_say_where(tmp_path):
    root = write_xm3600(tmp_path / "xm", jsonl=True)
    (root / "captions.jsonl").write_text('{"image/key": "k1", "en": {"caption": ["x"]}}\n{}\n')
    with pytest.raises(InputError, match=r"captions\.jsonl, line 2: not an image with captions"):
        run(root)
    (root / "captions.jsonl").unlink()
    (root / "captions.tsv").write_text("key\tcaption\n")
    with pytest.raises(InputError, match="expected the columns image_key, lang and caption"):
        run(root)


def test_the_real_crossmodal_3600_has_33_languages(real_data):
    dataset = open_dataset(EvalSpec(path=str(real_data / "xm3600_150")))
    found = evaluate(ColourModel(), tokenize, partial(small, 8), dataset)
    assert found["distinct_images"] == 150 and found["texts"] == 9943
    assert len(found["by_group"]) == 33 and found["by_group"]["en"]["texts"] == 300
    assert all(g["images_with_text"] <= 150 for g in found["by_group"].values())


def small(size, image):
    return preprocess(image.resize((size, size)))


# Multiple choice


def test_answers_of_cvqa_are_chosen_by_similarity(tmp_path):
    found = run(write_cvqa(tmp_path / "a.parquet"))
    assert (found["task"], found["questions"], found["chance"]) == ("multiple choice", 4, 1 / 4)
    assert found["accuracy"] == 3 / 4
    assert found["by_group"]["Chinese, Singapore"]["accuracy"] == 1.0
    assert found["by_group"]["German, Germany"]["accuracy"] == 1 / 2
    as_text = run(write_cvqa(tmp_path / "b.parquet", options_as_text=True))
    assert as_text["accuracy"] == found["accuracy"]
    assert run(tmp_path / "a.parquet", texts="english", prompt="{option}")["accuracy"] == 3 / 4
    with pytest.raises(InputError, match="the prompt is '{question}'; expected {option} in it"):
        run(tmp_path / "a.parquet", prompt="{question}")
    with pytest.raises(InputError, match="row 0: the right answer is number -1, but there are 4"):
        run(write_cvqa(tmp_path / "c.parquet", label=-1))


# During training, and over ranks


def test_evaluation_leaves_the_model_and_the_random_state_as_they_were(tmp_path):
    model = ColourModel().train()
    state = torch.random.get_rng_state()
    run(write_wds(tmp_path / "wds"), model=model)
    assert model.training and torch.equal(state, torch.random.get_rng_state())
    assert model.scale.grad is None


def test_no_more_than_two_batches_are_read_ahead():
    num_read = 0

    def samples(rank, world):
        nonlocal num_read
        for i in range(100):
            num_read += 1
            yield EvalSample(where=str(i), key=str(i), image=shade("red", i), texts=("red",))

    class Watching(ColourModel):
        most = 0

        def encode_image(self, image_B3HW):
            self.seen = getattr(self, "seen", 0) + len(image_B3HW)
            Watching.most = max(Watching.most, num_read - self.seen)
            return super().encode_image(image_B3HW)

    dataset = EvalDataset(name="x", path="x", task="retrieval", samples=samples)
    evaluate(Watching(), tokenize, preprocess, dataset, batch_size=10)
    assert num_read == 100 and Watching.most <= 20


def test_a_share_of_the_samples_does_not_depend_on_the_ranks(tmp_path):
    table = {"image": [shade("red", i) for i in range(200)], "text": ["red"] * 200}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    dataset = open_dataset(EvalSpec(path=str(tmp_path / "a.parquet"), share=0.3))
    dataset_samples = list(dataset.samples(0, 1))
    whole = {s.where for s in dataset_samples}
    # 200 draws of 0.3: mean 60, standard deviation 6.5; five of them are 33.
    assert 27 < len(whole) < 93
    assert {s.where for rank in range(3) for s in dataset.samples(rank, 3)} == whole
    moved = (tmp_path / "a.parquet").rename(tmp_path / "b.parquet")
    other = open_dataset(EvalSpec(path=str(moved), share=0.3))
    assert {s.key for s in other.samples(0, 1)} == {s.key for s in dataset_samples}


def test_a_config_names_several_sets(tmp_path):
    write_wds(tmp_path / "wds")
    write_cvqa(tmp_path / "cvqa.parquet")
    config = tmp_path / "eval.json"
    entries = [{"path": "wds", "name": "colours"}, {"path": "cvqa.parquet", "texts": "english"}]
    config.write_text(json.dumps({"datasets": entries}))
    found = evaluate_all(ColourModel(), tokenize, preprocess, load_datasets(str(config)))
    assert found["colours"]["top1"] == 7 / 8 and found["cvqa"]["accuracy"] == 3 / 4
    for broken, message in (
        ({"datasets": [{"path": "wds", "colour": 1}]}, "unknown key 'colour'; expected classes"),
        ({"datasets": [entries[0], entries[0]]}, "two sets are named 'colours'"),
        ({"datasets": []}, "there is no dataset in it"),
        ({"sets": []}, "not an evaluation config"),
    ):
        config.write_text(json.dumps(broken))
        with pytest.raises(InputError, match=message):
            load_datasets(str(config))


def spell(texts):
    """Tokenise letters: start, at most six of them, end, padding."""
    rows = [[1, *(3 + ord(c) % 200 for c in text[:6]), 2] for text in texts]
    return torch.tensor([row + [0] * (8 - len(row)) for row in rows])


def run_clip(path, *, sharded):
    """Evaluate a CLIP of random weights, in batches of one: the ranks run out at other times."""
    model = tiny_model(eos_id=2).train()
    if sharded:
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        fully_shard(model, ignored_params={model.logit_scale})
        for method in ("encode_image", "encode_text"):
            register_fsdp_forward_method(model, method)
    dataset = open_dataset(EvalSpec(path=str(path)))
    found = evaluate(model, spell, partial(small, 32), dataset, batch_size=1)
    assert model.training
    return found


def _of_rank(_, specs, captions):
    results = []
    for spec in specs:
        try:
            results.append(run(**spec))
        except CurateError as error:
            results.append(f"{type(error).__name__}: {error}")
    results.append(run_clip(captions, sharded=True))
    return json.dumps(results)


@pytest.mark.slow
def test_ranks_find_what_one_process_does(tmp_path):
    classes = str(write_folder(tmp_path / "folder").parent / "classes.txt")
    bad = write_wds(tmp_path / "bad")
    (bad / "classnames.txt").write_text("red\ngreen\n")
    captions = {
        "image": [shade(NAMES[i % 3], i // 4) for i in range(20)],
        "text": [f"{i} {NAMES[i % 2]}" for i in range(20)],
        "lang": ["en", "de"] * 10,
    }
    pq.write_table(pa.table(captions), tmp_path / "captions.parquet")  # fmt: skip
    specs = [
        {"path": str(tmp_path / "folder"), "classes": classes},
        {"path": str(write_wds(tmp_path / "wds"))},
        {"path": str(write_table(tmp_path / "a.parquet")), "group_by": "split"},
        {"path": str(write_cvqa(tmp_path / "b.parquet"))},
        {"path": str(tmp_path / "captions.parquet"), "group_by": "lang"},
        {"path": str(write_multilabel(tmp_path / "multilabel"))},
        {"path": str(bad)},
    ]
    expected = [run(**spec) for spec in specs[:-1]]
    captions = tmp_path / "captions.parquet"
    expected_of_clip = json.loads(json.dumps(run_clip(captions, sharded=False)))
    for found in run_on_ranks(_of_rank, 3, tmp_path, specs, captions):
        *of_sets, problem, of_clip = json.loads(found)
        assert of_sets == json.loads(json.dumps(expected)) and of_clip == expected_of_clip
        assert problem.startswith("InputError") and "got class 2; expected 0 to 1" in problem


# Intervals


def test_intervals_hold_the_true_share_as_often_as_they_say():
    rng = np.random.default_rng(0)
    for share, num in ((0.1, 200), (0.5, 50), (0.97, 400)):
        hits = rng.binomial(num, share, 2000)
        inside = np.mean([low <= share <= high for low, high in (wilson_interval(h, num)
                                                                  for h in hits)])  # fmt: skip
        # Wilson's coverage is near 0.95 for these; 2,000 draws have a standard error of 0.005.
        assert 0.92 < inside < 0.98


def test_captions_of_one_image_are_not_as_good_as_independent_ones():
    rng = np.random.default_rng(0)
    hits = rng.binomial(1, 0.5, 400)
    alone = bootstrap_interval(hits, np.ones(400, int))
    together = bootstrap_interval(5 * hits[:80], np.full(80, 5))
    # Independent queries: 2 · 1.96 · sqrt(0.25 / 400) = 0.098; 80 images instead: 0.219.
    assert alone[1] - alone[0] == pytest.approx(0.098, rel=0.15)
    assert together[1] - together[0] == pytest.approx(0.219, rel=0.15)
    assert bootstrap_interval([], []) == (0.0, 1.0)
