"""What is remembered, and what kernels sort out, changes nothing: the slow way says the same."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from curate.curation.lid import marks, memory, no_text
from curate.curation.lid.identify import CompiledIdentifier, default_lid_model
from curate.curation.lid.opinions import open_opinion
from curate.curation.lid.steps import Prior, StepwiseIdentifier

MODEL = Path(default_lid_model()).read_bytes()
_FORMS = [
    "IMG_1234.JPG", "1080x1920", "КРАСНАЯ ПЛОЩАДЬ", "ΑΘΗΝΑ.png", "東京 USA", "\u24b6\u24d1",
    "\uff26\uff35", "\u2163 4", "\u1e9e", "a\u3000b", "犬.jpg", "♥ 2020", "A-B-C",
    "100%20percent", "x", "", "\u00a0", "\u01c5 A",
]  # fmt: skip


@pytest.fixture(scope="module")
def captions(real_data):
    table = pq.read_table(real_data / "laion/laion400m_10k.parquet", columns=["TEXT"])
    found = [text for text in table.column("TEXT").to_pylist() if text][::6]
    with gzip.open(real_data / "lid/tatoeba_112langs_x40.tsv.gz", "rt", encoding="utf-8") as file:
        found += [line.rstrip("\n").split("\t")[1] for line in file][::6]
    return pa.array([*found, *(text.upper() for text in found[::20]), *_FORMS])


def test_a_memory_that_forgets_all_the_time_gives_what_a_large_one_does(captions, monkeypatch):
    plain = CompiledIdentifier(MODEL, "model").predict(captions)
    monkeypatch.setattr(memory, "_SLOTS", 64)
    monkeypatch.setattr(memory, "_STORE", 700)
    small = CompiledIdentifier(MODEL, "model", threads=3)
    for _ in range(2):
        for one, other in zip(small.predict(captions), plain, strict=True):
            assert one.tobytes() == other.tobytes()
    assert all(kept.used[1] <= 33 for kept in small._memories)


def test_probabilities_of_means_are_those_of_the_texts(captions):
    identifier = CompiledIdentifier(MODEL, "model")
    rows = np.arange(0, len(captions), 7)
    found = identifier.predict(captions).rows(rows)
    some = captions.take(pa.array(rows))
    of_means = identifier.probabilities(some, found)
    assert of_means.tobytes() == identifier.probabilities(some).tobytes()
    best = of_means[np.arange(len(rows)), found.label]
    np.testing.assert_allclose(best[found.score > 0.01], found.score[found.score > 0.01], rtol=2e-3)


def test_texts_that_no_expression_sees_are_those_that_it_would_leave_alone(captions):
    assert no_text.kinds_of(captions).tolist() == no_text._looked_at(captions).tolist()
    assert no_text.normalized(captions).equals(no_text._rewritten(captions))


def test_marks_of_characters_hold_in_this_version_of_unicode():
    points = [chr(c) for c in range(0x10400) if not 0xD800 <= c < 0xE000]
    characters = pa.array(points)
    found = marks.marks_of(characters)

    def matches(pattern):
        return pc.match_substring_regex(characters, pattern).to_numpy(zero_copy_only=False)

    def upper(strings):
        return pc.utf8_is_upper(strings).to_numpy(zero_copy_only=False)

    beside_a = upper(pa.array([c + "A" for c in points]))
    caseless = ~found.has(marks.MAYBE_CASED)
    assert matches(r"\p{L}")[found.has(marks.LETTER)].all()
    assert not beside_a[found.has(marks.LOWER)].any()
    assert beside_a[caseless].all() and not upper(characters)[caseless].any()
    assert (matches(no_text._SPACES) == found.has(marks.WIDE_SPACE)).all()
    assert found.letters.sum() == 52 and found.vowels.sum() == 10


@pytest.mark.parametrize("with_prior", [False, True])
def test_a_second_opinion_is_not_asked_again_and_again_of_one_text(with_prior):
    pytest.importorskip("pycld2")
    texts = pa.array(["Ein Hund im Park", "He kurī i te pāka", "Ein Hund im Park", "Sofa 3"] * 2)
    priors = [Prior(pa.array(["de", "mi", "nl", None, None, "mi", "de", "sv"]), 1.5)]
    priors = priors if with_prior else []
    model = CompiledIdentifier(MODEL, "model")
    expected = StepwiseIdentifier(model, open_opinion("cld2")).identify(texts, priors)
    opinion, asked = open_opinion("cld2"), []
    ask = opinion.ask
    opinion.ask = lambda texts: asked.extend(texts.to_pylist()) or ask(texts)
    identifier = StepwiseIdentifier(model, opinion)
    for _ in range(4):
        found = identifier.identify(texts, priors)
        assert [found.lang.to_pylist(), found.step.tolist(), found.score.tolist()] == [
            expected.lang.to_pylist(), expected.step.tolist(), expected.score.tolist()
        ]  # fmt: skip
    assert set(asked) <= set(texts.to_pylist()) and 0 < len(asked) <= 2 * len(texts)
