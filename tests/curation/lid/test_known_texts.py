"""A memory of texts gives what was found of a text, and of no other."""

import numpy as np
import pyarrow as pa
import pytest

from curate.curation.lid.identify import CompiledIdentifier, default_lid_model
from curate.curation.lid.known_texts import KnownTexts
from curate.curation.lid.steps import StepwiseIdentifier


class _Asked:
    """Numbers texts, and counts of how many it was asked."""

    def __init__(self) -> None:
        self.number_of: dict[str, int] = {}
        self.times = 0

    def __call__(self, texts: pa.StringArray) -> list[np.ndarray]:
        self.times += len(texts)
        found = [self.number_of.setdefault(text, len(self.number_of)) for text in texts.to_pylist()]
        return [np.array(found, np.int32), np.array(found, np.float32) / 2]


def _check(known: KnownTexts, ask: _Asked, texts: list[str]) -> None:
    numbers, halves = known.found(pa.array(texts, pa.string()), ask)
    expected = [ask.number_of[text] for text in texts]
    assert numbers.tolist() == expected and (2 * halves).tolist() == expected


def test_what_was_found_twice_comes_back_without_being_asked_again():
    known, ask = KnownTexts((np.int32, np.float32)), _Asked()
    texts = ["", " ", "a", "a\0", "\0", "犬", "a red dog", "12345678", "123456789", "x" * 183]
    texts += ["x" * 184, *("y" * n for n in range(7, 60))]
    for _ in range(4):
        _check(known, ask, texts)
        _check(known, ask, texts[::-1])
    assert ask.times == 2 * len(texts)


def test_long_texts_are_asked_of_each_time():
    known, ask = KnownTexts((np.int32, np.float32)), _Asked()
    texts = ["z" * 185, "z" * 1_000_000, "short"]
    for _ in range(4):
        _check(known, ask, texts)
    assert ask.times == 2 * 4 + 2


@pytest.mark.parametrize("cells", [4, 16, 64])
def test_a_full_memory_mixes_up_no_texts(cells):
    known, ask = KnownTexts((np.int32, np.float32), cells), _Asked()
    rng = np.random.default_rng(cells)
    for _ in range(40):
        drawn = np.minimum(rng.geometric(0.03, size=50), 150).tolist()
        _check(known, ask, [f"{'caption ' * (n % 5)}{n}" for n in drawn])
    assert ask.times < 40 * 50  # some did come back


def test_a_text_that_comes_again_outlives_those_that_do_not():
    known, ask = KnownTexts((np.int32, np.float32), 4), _Asked()
    for n in range(20):
        _check(known, ask, ["comes again"])
        _check(known, ask, [f"once {n}"])
    assert ask.times < 26


def test_slices_and_no_texts_are_known_too():
    known, ask = KnownTexts((np.int32, np.float32)), _Asked()
    texts = pa.array(["one", "two", "three", "four"])
    for _ in range(2):
        known.found(texts[1:3], ask)
    assert known.found(texts[2:3], ask)[0].tolist() == [1] and ask.times == 4
    assert known.found(texts[:0], ask)[0].tolist() == []


def test_identifying_texts_again_gives_the_same(monkeypatch):
    model = default_lid_model()
    with open(model, "rb") as file:
        identifier = CompiledIdentifier(file.read(), model, threads=2)
    texts = pa.array(["a dog", "ein Hund", "", "IMG_1234", "un chien rouge", "a dog", "x " * 500])
    for one in (identifier, StepwiseIdentifier(identifier, None)):
        found = one.identify(texts)
        for _ in range(3):
            again = one.identify(texts.take(pa.array([6, 5, 4, 3, 2, 1, 0])))
            assert again.lang.to_pylist() == found.lang.to_pylist()[::-1]
            assert again.score.tobytes() == found.score[::-1].tobytes()
    monkeypatch.setattr(identifier, "predict", lambda _: pytest.fail("was asked again"))
    identifier.identify(texts[:6])
