"""The compiled LID gives the labels of the fastText library, and reads no damaged model."""

import gzip
import random
from pathlib import Path

import fasttext
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.curation.lid.identify import CompiledIdentifier, FastTextIdentifier, default_lid_model
from curate.curation.lid.steps import StepwiseIdentifier
from curate.errors import InputError
from tests.curation.lid.models import write_random_classifier

MODEL = Path(default_lid_model())


@pytest.fixture(scope="module")
def compiled():
    return CompiledIdentifier(MODEL.read_bytes(), str(MODEL))


def same(texts, compiled, library):
    strings = pa.array(texts, pa.string())
    found, expected = compiled.identify(strings), library.identify(strings)
    assert found.lang.to_pylist() == expected.lang.to_pylist()
    np.testing.assert_allclose(found.score, expected.score, atol=2e-6)


def test_labels_of_112_languages_are_those_of_the_library(real_data, compiled):
    with gzip.open(real_data / "lid/tatoeba_112langs_x40.tsv.gz", "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    assert len({lang for lang, _ in rows}) == 112
    same([text for _, text in rows], compiled, FastTextIdentifier(str(MODEL)))


def test_labels_of_web_texts_are_those_of_the_library(real_data, compiled):
    table = pq.read_table(real_data / "laion/laion400m_10k.parquet", columns=["TEXT"])
    texts = [text for text in table.column("TEXT").to_pylist() if text]
    same(texts, compiled, FastTextIdentifier(str(MODEL)))


HOSTILE = [
    "", " ", "\n", "a", "\x00", "a\x00b", "line\nbreak\r\nand\x0btabs\t", "</s>", "a </s> b",
    "__label__en", "__label__xx hello", "x" * 100_000, "a " * 50_000, "é" * 1000, "漢字" * 500,
    "\U0001f600", "‮right to left",
]  # fmt: skip


def test_hostile_texts_get_the_label_of_the_library(compiled):
    same(HOSTILE, compiled, FastTextIdentifier(str(MODEL)))


def test_of_a_very_long_text_the_beginning_counts(compiled):
    texts = ["der Hund und die Katze " * 60_000 + "é" * 100, "a dog and a cat"]
    assert len(texts[0].encode()) > 1 << 20
    same(texts, compiled, FastTextIdentifier(str(MODEL)))


@pytest.mark.parametrize("loss", [1, 3, 4], ids=["hierarchical softmax", "softmax", "one vs all"])
@pytest.mark.parametrize(("word_ngrams", "max_ngram"), [(1, 0), (1, 4), (3, 0), (2, 3)])
def test_models_of_every_kind_are_evaluated_as_by_the_library(
    tmp_path, loss, word_ngrams, max_ngram
):
    path = tmp_path / "model.bin"
    write_random_classifier(path, loss=loss, word_ngrams=word_ngrams, max_ngram=max_ngram)
    texts = ["red dog", "der hund und le chien", "unknown words only", "red", "漢字 hund", *HOSTILE]
    compiled = CompiledIdentifier(path.read_bytes(), "model.bin")
    same(texts, compiled, FastTextIdentifier(str(path)))
    assert fasttext.load_model(str(path)).predict("red dog")[0]


@pytest.mark.parametrize("engine", ["compiled", "library"])
def test_what_is_no_model_is_refused(tmp_path, engine):
    path = tmp_path / "model.ftz"
    path.write_bytes(b"no model at all, just text")
    with pytest.raises(InputError, match="not a fastText language identification model"):
        if engine == "compiled":
            CompiledIdentifier(path.read_bytes(), str(path))
        else:
            FastTextIdentifier(str(path))


def test_truncated_and_flipped_models_never_crash(tmp_path):
    write_random_classifier(tmp_path / "small.bin", loss=1, word_ngrams=2, max_ngram=3)
    rng = random.Random(0)
    texts = pa.array(["red dog", "der hund", "words unknown to it"])
    refused = 0
    for original in ((tmp_path / "small.bin").read_bytes(), MODEL.read_bytes()):
        for _ in range(600 if len(original) < 100_000 else 60):
            damaged = bytearray(original)
            if rng.random() < 0.3:
                del damaged[rng.randrange(len(damaged)) :]
            else:
                for _ in range(rng.randint(1, 4)):
                    at = rng.randrange(min(len(damaged), rng.choice([80, 400, len(damaged)])))
                    damaged[at] ^= 1 << rng.randrange(8)
            try:
                found = CompiledIdentifier(bytes(damaged), "damaged").identify(texts)
            except InputError as error:
                refused += "damaged: not a fastText" in str(error)
            else:
                assert len(found.lang) == 3
    assert refused > 200


@pytest.mark.parametrize("engine", [CompiledIdentifier, FastTextIdentifier])
def test_captions_in_capitals_are_identified_as_they_stand_and_in_steps_as_in_small_letters(engine):
    is_library = engine is FastTextIdentifier
    identifier = engine(str(MODEL)) if is_library else engine(MODEL.read_bytes(), str(MODEL))
    capitals = ["MY FRIEND IS A BIRD", "VINTAGE BLUE BICYCLE", "HELLO THERE MY FRIEND, 24",
                "МОЙ ДРУГ ПТИЦА НА ДЕРЕВЕ", "ΤΟ ΣΠΙΤΙ ΔΙΠΛΑ ΣΤΗ ΘΑΛΑΣΣΑ"]  # fmt: skip
    library = fasttext.load_model(str(MODEL))
    expected = [library.predict(text)[0][0].removeprefix("__label__") for text in capitals]
    assert identifier.identify(pa.array(capitals)).lang.to_pylist() == expected
    assert expected != ["en", "en", "en", "ru", "el"]
    steps = StepwiseIdentifier(identifier, None)
    mixed = ["My friend is a BIRD", "東京の夜", "24"]
    found = steps.identify(pa.array([*capitals, *mixed]))
    small = steps.identify(pa.array([*(text.lower() for text in capitals), *mixed]))
    assert found.lang.to_pylist() == small.lang.to_pylist()
    assert found.score.tolist() == small.score.tolist()
    assert found.lang.to_pylist()[:5] == ["en", "en", "en", "ru", "el"]
