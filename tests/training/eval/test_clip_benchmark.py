"""`curate eval` beside CLIP_benchmark itself: one model, one set of files, its figures and ours."""

import io
import random
import tarfile
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from curate.training.eval.evaluate import evaluate
from curate.training.eval.sets import EvalSpec, open_dataset
from curate.training.export.load import input_functions
from tests.pipelines.helpers import png
from tests.training.eval_world import add
from tests.training.their_programs import import_clip_benchmark
from tests.training.tiny import tiny_model, tiny_tokenizer

# Their reader leaves tars open.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
CLASSES = ["red dog", "Hund", "ein", "dog", "狗", "a", "red"]
TEMPLATES = ["a {c}", "{c}", "ein {c} dog"]
NUM = 60


@pytest.fixture(scope="module")
def theirs():
    found = import_clip_benchmark()
    if found is None:
        pytest.skip("clip_benchmark, scikit-learn or torchvision is missing; make test has them")
    return found


@pytest.fixture(scope="module")
def model():
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer.eos_id)
    return model, *input_functions(model.config.image_size, tokenizer)


def noise(seed):
    """An image of 32 pixels, so that nothing is resized, and no two are alike."""
    rng = np.random.default_rng(seed)
    return png(tuple(rng.integers(0, 256, 3).tolist()), size=32)


def write_set(root: Path, kind: str, members) -> Path:
    """Write a set as CLIP_benchmark publishes its own: tars of a split, and what they are."""
    (root / "test").mkdir(parents=True)
    for number in range(2):
        with tarfile.open(root / "test" / f"{number}.tar", "w") as tar:
            for i in range(number, NUM, 2):
                add(tar, f"s{i:07d}.png", noise(i))
                for suffix, content in members(i).items():
                    add(tar, f"s{i:07d}.{suffix}", content)
    (root / "test" / "nshards.txt").write_text("2\n")
    (root / "dataset_type.txt").write_text(kind)
    (root / "classnames.txt").write_text("\n".join(CLASSES) + "\n")
    (root / "zeroshot_classification_templates.txt").write_text("\n".join(TEMPLATES) + "\n")
    return root


def loaded(theirs, root, transform, **options):
    """Return their data set, as their command reads it, in batches."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of theirs, for webdataset's newer versions
        found = theirs.builder.build_wds_dataset("wds/set", transform, "test", str(root))
    return torch.utils.data.DataLoader(found.batched(16, partial=True), batch_size=None, **options)


def accuracy(logits, target, topk):
    """Theirs in torch alone: with numpy 2.4 theirs fails to make a number of an array of one."""
    hit = logits.topk(max(topk), dim=1).indices == target[:, None]
    return [hit[:, :k].any(dim=1).float().mean().item() for k in topk]


def test_zero_shot_figures_are_theirs(theirs, model, tmp_path, monkeypatch):
    monkeypatch.setattr(theirs.classification, "accuracy", accuracy)
    clip, preprocess, tokenize = model
    label = partial(random.Random(0).randrange, len(CLASSES))
    root = write_set(tmp_path, "classification", lambda _: {"cls": str(label()).encode()})
    mine = evaluate(clip, tokenize, preprocess, open_dataset(EvalSpec(path=str(root))))
    loader = loaded(theirs, root, preprocess)
    loader.dataset.classes = CLASSES
    found = theirs.classification.evaluate(
        clip, loader, tokenize, CLASSES, TEMPLATES, "cpu", amp=False
    )
    assert mine["images"] == NUM and 0 < mine["top1"] < mine["top5"] < 1
    assert (mine["top1"], mine["top5"]) == pytest.approx((found["acc1"], found["acc5"]))
    assert mine["mean_class_recall"] == pytest.approx(found["mean_per_class_recall"])
    for name in ("top1", "top5", "mean_class_recall"):
        low, high = mine[f"{name}_interval"]
        assert low < mine[name] < high


def test_figures_of_several_labels_are_theirs(theirs, model, tmp_path):
    clip, preprocess, tokenize = model
    rng = np.random.default_rng(3)
    rows = (rng.random((NUM, len(CLASSES))) < 0.3).astype(np.int64)

    def members(i):
        np.save(buffer := io.BytesIO(), rows[i])
        return {"npy": buffer.getvalue()}

    root = write_set(tmp_path, "multilabel", members)
    mine = evaluate(clip, tokenize, preprocess, open_dataset(EvalSpec(path=str(root))))
    loader = loaded(theirs, root, preprocess)
    found = theirs.classification.evaluate(
        clip, loader, tokenize, CLASSES, TEMPLATES, "cpu", amp=False
    )
    assert mine["mean_average_precision"] == pytest.approx(found["mean_average_precision"])
    low, high = mine["interval"]
    assert low < mine["mean_average_precision"] < high


def test_retrieval_figures_are_theirs(theirs, model, tmp_path):
    clip, preprocess, tokenize = model
    words = "a red dog Hund ein rote Hunde 狗 red-dog".split()
    rng = random.Random(5)
    texts = [[" ".join(rng.choices(words, k=5)) for _ in range(1 + i % 3)] for i in range(NUM)]
    root = write_set(tmp_path, "retrieval", lambda i: {"txt": "\n".join(texts[i]).encode()})
    mine = evaluate(clip, tokenize, preprocess, open_dataset(EvalSpec(path=str(root))))
    loader = loaded(theirs, root, preprocess)
    found = theirs.retrieval.evaluate(
        clip, loader, tokenize, "cpu", amp=False, recall_k_list=[1, 5, 10]
    )
    assert mine["distinct_images"] == NUM
    for k in (1, 5, 10):
        ours = mine["text_to_image"][f"R@{k}"], mine["image_to_text"][f"R@{k}"]
        expected = (found[f"image_retrieval_recall@{k}"], found[f"text_retrieval_recall@{k}"])
        assert ours == pytest.approx(expected)
    assert 0 < mine["text_to_image"]["R@10"] < 1
