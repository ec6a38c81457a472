import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curate.metadata.ngrams.counter import NgramCounter
from curate.metadata.ngrams.runs import WORDS, Run, column, read_groups, write_run
from curate.metadata.ngrams.words import character_classes, cut_segments, is_segmented
from tests.metadata.ngram_reference import count_texts, counts_of

# Letters, marks, digits, joiners, spaces and what parts, of one to four bytes.
ALPHABET = (
    "aäß1٣\u0301\u0940中猫かナꙮ𠮷𝒳'’-\u2010\u2011\u200c\u200d \t\u00a0\u3000\n\r\u2028.,;!?\"()€"
    "ファニーｶﾞ\U0001f600\x00\x1f\u0f0bང་གི"
)
TEXTS = st.lists(st.text(st.sampled_from(ALPHABET), max_size=60), max_size=5)
SPACED = ("en", "bo")


def count(texts, lang, folder, memory_bytes=1 << 20):
    """Count texts; return the counter and its runs."""
    runs = []

    def spill(words, pairs):
        runs.append(Run(folder / str(len(runs))))
        write_run(runs[-1], words, pairs)

    counter = NgramCounter(
        character_classes(lang),
        segmented=is_segmented(lang),
        memory_bytes=memory_bytes,
        spill=spill,
    )
    for text in texts:
        counter.add(cut_segments(text, lang) if is_segmented(lang) else text)
    counter.finish()
    return counter, runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize("lang", SPACED)
@given(texts=TEXTS)
@example(texts=["a-", "-a", "a--b", "a-b-", "a 'b' c", "a'"])
@example(texts=["a", "b"])
def test_compiled_counting_is_that_of_the_reference(folder, lang, texts):
    counter, runs = count(texts, lang, folder)
    words, pairs = count_texts(texts, lang)
    assert counts_of(*runs) == (words, pairs)
    assert (counter.num_tokens, counter.num_pair_tokens) == (words.total(), pairs.total())


@pytest.mark.parametrize("lang", ["zh", "ja", "th"])
@given(texts=TEXTS)
@example(texts=["我爱北京，你呢？", "吾輩は猫。\n名前は"])
@example(texts=["ガーデンファニチャーセット", "カ\nナ", "らーめんファニチャー", "ｶﾞｰﾃﾞﾝﾌｧﾆﾁｬｰ・カ"])
@example(texts=["北京 ABC", "北京　上海", "ก-ข"])
def test_segments_are_counted_as_by_the_reference(folder, lang, texts):
    pytest.importorskip("icu4py", reason="needs the extra `segment`")
    texts = [text.replace("\x00", "\n") for text in texts]
    _, runs = count(texts, lang, folder)
    assert counts_of(*runs) == count_texts(texts, lang)


def many_words(num):
    """Return texts of many different words and pairs, and of many equal ones."""
    for start in range(0, num, 100):
        yield " ".join(f"word{(n * n) % 99_991} the" for n in range(start, start + 100))


def test_full_tables_are_emptied_and_nothing_is_lost(tmp_path):
    texts = list(many_words(60_000))
    _, small = count(texts, "en", tmp_path, memory_bytes=0)
    (tmp_path / "large").mkdir()
    _, large = count(texts, "en", tmp_path / "large", memory_bytes=1 << 28)
    assert len(small) > 2 and len(large) == 1
    assert counts_of(*small) == counts_of(*large) == count_texts(texts, "en")


def test_a_pair_that_a_full_table_parts_is_counted(tmp_path):
    line = " ".join(f"w{n}" for n in range(40_000))
    _, runs = count([line], "en", tmp_path, memory_bytes=0)
    _, pairs = counts_of(*runs)
    assert len(runs) > 1
    assert len(pairs) == 39_999


def test_the_tables_keep_to_their_memory(tmp_path):
    texts = [
        " ".join(f"w{n * n % 999_983:x}" for n in range(s, s + 500)) for s in range(0, 500_000, 500)
    ]
    count(texts[:1], "en", tmp_path)  # compiled before it is measured
    tracemalloc.start()
    _, runs = count(texts, "en", tmp_path, memory_bytes=8 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(runs) > 3
    assert peak < (8 << 20) + (6 << 20)  # and a block of text


def test_a_word_longer_than_all_tables_is_one_word(tmp_path):
    _, runs = count(["x" * 3_000_000 + " y"], "en", tmp_path)
    words, pairs = counts_of(*runs)
    assert words == {"x" * 3_000_000: 1, "y": 1} and len(pairs) == 1


def test_a_run_is_in_order(tmp_path):
    _, (run,) = count(many_words(20_000), "en", tmp_path, 1 << 28)
    hashes = [h for t in read_groups(run.words) for h in column(t, "hash").tolist()]
    keys = [k for t in read_groups(run.pairs) for k in column(t, "key").tolist()]
    assert hashes == sorted(hashes) and keys == sorted(set(keys))
    assert next(read_groups(run.words)).schema.equals(WORDS)


def test_lone_surrogates_are_no_error(tmp_path):
    _, runs = count(["a \ud800b c"], "en", tmp_path)
    assert counts_of(*runs)[0] == {"a": 1, "b": 1, "c": 1}


def test_no_texts_make_no_run(tmp_path):
    assert count([], "en", tmp_path)[1] == []
    assert count(["", " .. \n"], "en", tmp_path)[1] == []
