"""Experts as one model: its logits are the weighed sum of the experts' cosines."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from curate.curation.vectors.mixture import expert_weights
from curate.errors import ArtifactError
from curate.training.ensemble.model import Ensemble, FixedWeights
from curate.training.ensemble.places import NOWHERE, ClusterWeights, TextPlaces
from curate.training.eval.embed import Encoder
from curate.training.eval.evaluate import evaluate, evaluate_views
from curate.training.eval.prompts import Vocabulary
from curate.training.eval.sets import EvalSpec, open_dataset
from curate.training.eval.zeroshot import class_embeddings
from curate.training.export.load import input_functions
from tests.training.eval_world import NAMES, write_cvqa, write_table
from tests.training.tiny import tiny_model, tiny_tokenizer


class Words:
    """A text's vector is that of its last word."""

    width = 3
    known = {"red": [1, 0, 0], "green": [0, 1, 0], "blue": [0, 0.8, 0.6]}

    def prepare(self, texts):
        return list(texts), np.zeros(len(texts), np.int64)

    def encode(self, prepared):
        found = [self.known.get(text.split()[-1], [0, 0, 0]) for text in prepared]
        return np.array(found, np.float32)


PLACES = TextPlaces(
    Words(), np.array([[1, 0, 0], [0, 0.9, 0], [0, 0, 1]], np.float32), np.array([0, 1, 2])
)
COLOURS = Vocabulary(
    lang="", class_ids=(0, 1, 2), names=(("red",), ("green",), ("blue",)),
    templates=("a {}", "{}"),
)  # fmt: skip


@pytest.fixture(scope="module")
def experts():
    words = tiny_tokenizer()
    return [tiny_model(words.eos_id, seed) for seed in range(3)], words


def test_a_products_sum_is_that_of_the_experts_cosines(experts):
    models, words = experts
    preprocess, tokenize = input_functions(32, words)
    weights = torch.tensor([0.5, 0.2, 0.3])
    view = FixedWeights(weights.tolist())
    encoder = Encoder(model=Ensemble(models), tokenize=tokenize, preprocess=preprocess)
    class_CE = view.classes(class_embeddings(encoder, COLOURS), COLOURS)
    images = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        image_NE = F.normalize(encoder.model.encode_image(images), dim=-1)
        expected = torch.zeros(5, 3)
        for model, weight in zip(models, weights, strict=True):
            single = Encoder(model=model, tokenize=tokenize, preprocess=preprocess)
            cosines = F.normalize(model.encode_image(images), dim=-1) @ (
                class_embeddings(single, COLOURS).T
            )
            expected += weight * cosines
    torch.testing.assert_close(image_NE @ class_CE.T * 3**0.5, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["classes", "questions"])
def test_each_expert_seen_alone_has_the_figures_of_its_model(experts, tmp_path, kind):
    models, words = experts
    preprocess, tokenize = input_functions(32, words)
    path = tmp_path / "set.parquet"
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    classes = str(tmp_path / "classes.txt") if kind == "classes" else None
    (write_table if kind == "classes" else write_cvqa)(path)
    dataset = open_dataset(EvalSpec(path=str(path), classes=classes))
    views = [FixedWeights([float(i == j) for j in range(3)]) for i in range(3)]
    found = evaluate_views(Ensemble(models), tokenize, preprocess, dataset, views)
    alone = [evaluate(model, tokenize, preprocess, dataset) for model in models]
    assert found == alone


def test_weights_are_those_of_the_classes_places_and_noted(experts):
    view = ClusterWeights(PLACES, [1, 0])
    class_CE = torch.arange(24, dtype=torch.float32).reshape(3, 8) + 1
    weighed = view.classes(class_CE, COLOURS)
    cluster, distance = np.array([0, 1, 1]), np.array([0, 0.1, np.hypot(0.1, 0.6)])
    expected = expert_weights(cluster, distance, np.array([1, 0]))
    np.testing.assert_allclose(view.noted[""], expected, atol=1e-3)
    lengths = weighed.view(3, 2, 4).norm(dim=-1)
    np.testing.assert_allclose(lengths, np.tile(expected, (3, 1)), atol=1e-3)


def test_texts_ask_the_expert_of_their_cluster_and_unknown_ones_all(experts):
    view = ClusterWeights(PLACES, [1, 0])
    text_ME = torch.ones(4, 8)
    asked, asking = view.texts(text_ME, ["red", "a green", "nothing known", "blue"])
    each = asking.view(4, 2, 4).norm(dim=-1)
    torch.testing.assert_close(each, torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [1.0, 0.0]]))
    assert PLACES.of_texts(["nothing known"])[0].tolist() == [NOWHERE]
    assert asked.view(4, 2, 4).norm(dim=-1).std(dim=0).max() < 1e-6


def test_of_questions_the_mean_of_the_weights_is_noted(experts):
    view = ClusterWeights(PLACES, [1, 0])
    for answers in (["red"], ["red"], ["a green"], ["nothing known"]):
        view.texts(torch.ones(1, 8), answers)
    assert view.noted["texts"] == [0.375, 0.625]
    assert view.of_all_ranks() == {"texts": [0.375, 0.625]}


def test_experts_of_several_shapes_are_no_ensemble(experts):
    models, words = experts
    with pytest.raises(ArtifactError, match="the experts are of several shapes"):
        Ensemble([models[0], tiny_model(words.eos_id, embed_dim=8)])
