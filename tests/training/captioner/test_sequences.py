import threading

import numpy as np
import pytest

from curate.errors import InputError, UsageError
from curate.training.captioner.config import CaptionerConfig
from curate.training.captioner.sequences import SequenceEncoder, trimmed
from curate.training.captioner.texts import PhaseTexts, joined, parted
from curate.training.captions.lookup import CaptionIndex
from tests.training.captioner.tiny_lm import WORDS, make_tokenizer
from tests.training.captions.test_lookup import build

SHAPE = CaptionerConfig(prompt_tokens=4, text_tokens=9, mapper_layers=1, prefix_tokens=2)
WORD = {word: i for i, word in enumerate(WORDS)}


def encoder():
    return SequenceEncoder(make_tokenizer(), SHAPE)


def test_prompts_end_and_captions_begin_in_one_column():
    rows = encoder().encode([joined("a dog", "the red dog"), joined("", "cat")])
    a, dog, the, red, cat, end = (WORD[w] for w in ("a", "dog", "the", "red", "cat", "</s>"))
    assert rows.tolist() == [
        [-1, -1, a, dog, the, red, dog, end, -1],
        [-1, -1, -1, -1, cat, end, -1, -1, -1],
    ]


def test_what_is_too_long_is_cut_and_then_has_no_end():
    (row,) = encoder().encode([joined("dog " * 9, "cat " * 9)]).tolist()
    assert row == [WORD["dog"]] * 4 + [WORD["cat"]] * 5
    (row,) = encoder().encode([joined("", "cat " * 4)]).tolist()
    assert row[4:] == [WORD["cat"]] * 4 + [WORD["</s>"]]


def test_columns_that_no_row_needs_are_cut_off():
    rows = encoder().encode([joined("a dog", "the red dog"), joined("", "cat")])
    cut, num_prompt = trimmed(rows, 4, 1)
    assert num_prompt == 2 and cut.shape == (2, 6) and (cut == rows[:, 2:8]).all()
    cut, num_prompt = trimmed(rows, 4, 4)
    assert num_prompt == 4 and cut.shape == (2, 8)
    cut, num_prompt = trimmed(encoder().encode([joined("", "cat")]), 4, 1)
    assert num_prompt == 0 and cut.tolist() == [[WORD["cat"], WORD["</s>"]]]


def test_prompts_alone_are_padded_to_the_longest():
    assert encoder().prompts(["", "dog", "a dog"]).tolist() == [
        [-1, -1], [-1, WORD["dog"]], [WORD["a"], WORD["dog"]],
    ]  # fmt: skip
    assert encoder().prompts(["", ""]).shape == (2, 0)


def test_a_tokenizer_without_an_end_is_refused_and_one_without_padding_is_not():
    assert make_tokenizer().pad_token_id is None
    with pytest.raises(InputError, match="has no end token"):
        SequenceEncoder(make_tokenizer(end=None), SHAPE)


def test_threads_may_encode_at_once():
    one, texts = encoder(), [joined("a dog", "the red dog")] * 50
    expected, found = one.encode(texts), []
    threads = [threading.Thread(target=lambda: found.append(one.encode(texts))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and all((rows == expected).all() for rows in found)


def test_a_separator_in_a_text_does_not_part_it():
    assert parted(joined("a\x1fdog", "x\x1fy")) == ("a dog", "x y")


def phase_texts(phase, **options):
    return PhaseTexts(seed=0, phase=phase, **{"prompt_dropout": 0.0, **options})


def chosen(texts, pair_id="p", epoch=0, alt=None, about=None):
    found = texts.choose(pair_id, epoch, alt, about or {})
    return None if found is None else (*parted(found.text), found.source)


def test_in_pretraining_the_longest_text_is_written_and_another_is_the_prompt():
    about = {"texts": ["a dog", {"text": "a very red dog"}, "a dog", 5, " "]}
    texts = phase_texts("pretrain")
    assert chosen(texts, about=about, alt="a dog") == ("a dog", "a very red dog", "alt")
    about = {"texts": ["dog", "a dog", "a very red dog"]}
    prompts = {chosen(texts, about=about, epoch=e)[0] for e in range(40)}
    assert prompts == {"dog", "a dog"}
    assert chosen(texts, alt="alone") == ("", "alone", "alt")
    assert chosen(texts) is None


def test_in_fine_tuning_a_caption_is_written_and_the_alt_text_is_the_prompt(tmp_path):
    build(tmp_path / "x", [("p", "one", 0), ("p", "two", 1)])
    texts = phase_texts("finetune", index=CaptionIndex(str(tmp_path / "x")))
    found = {chosen(texts, epoch=e, alt="a dog") for e in range(40)}
    assert found == {("a dog", "one", "a"), ("a dog", "two", "b")}
    assert chosen(texts)[0] == "" and chosen(texts, "unknown", alt="a dog") is None
    pretrain = phase_texts("pretrain", index=CaptionIndex(str(tmp_path / "x")))
    assert chosen(pretrain, alt="a very long text")[1] == "a very long text"


def test_half_of_the_prompts_are_left_out_by_seed_epoch_and_pair():
    texts = phase_texts("pretrain", prompt_dropout=0.5)
    about = {"texts": ["dog", "a dog"]}
    left = [chosen(texts, f"{i}", about=about)[0] == "" for i in range(4000)]
    assert abs(np.mean(left) - 0.5) < 5 * (0.25 / 4000) ** 0.5
    assert left == [chosen(texts, f"{i}", about=about)[0] == "" for i in range(4000)]
    assert left != [chosen(texts, f"{i}", 1, about=about)[0] == "" for i in range(4000)]


@pytest.mark.parametrize(
    "wrong", [{"prefix_tokens": 0}, {"prompt_tokens": 319}, {"prompt_dropout": 1.5}]
)
def test_shapes_that_cannot_be_meant_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        CaptionerConfig(**wrong)
