import sys

import pytest

from curate.errors import MissingExtraError
from curate.metadata.ngrams import words
from curate.metadata.ngrams.words import join_words, segmenter_name, segmenter_version, split_runs

CASES = [
    ("apostrophes and hyphens", "en", "rock'n'roll, T-shirt", [["rock'n'roll"], ["T-shirt"]]),
    ("a typographic apostrophe", "en", "don’t", [["don’t"]]),
    ("quotes are not in the word", "en", "'red' dogs' -x-", [["red"], ["dogs"], ["x"]]),
    ("line ends interrupt", "en", "a b\nc", [["a", "b"], ["c"]]),
    ("case is kept", "de", "Der Hund", [["Der", "Hund"]]),
    ("digits", "en", "in 1999 (3.5)", [["in", "1999"], ["3"], ["5"]]),
    ("combining marks", "hi", "हिन्दी भाषा", [["हिन्दी", "भाषा"]]),
    ("joiners", "fa", "می‌خواهم", [["می‌خواهم"]]),
    ("decomposed letters", "fr", "e\u0301te\u0301 x", [["e\u0301te\u0301", "x"]]),
    ("no-break space", "fr", "a\u00a0b", [["a", "b"]]),
    ("nothing", "en", " .,!\n", []),
    ("Tibetan syllables", "bo", "བོད་སྐད། ང་ཚོ་", [["བོད", "སྐད"], ["ང", "ཚོ"]]),
    ("Chinese", "zh", "我爱北京，你呢？", [["我", "爱", "北京"], ["你", "呢"]]),
    ("Japanese", "ja", "吾輩は猫。名前は", [["吾輩", "は", "猫"], ["名前", "は"]]),
    ("a compound in katakana", "ja", "ファニチャーセットだ", [["ファニチャーセット", "だ"]]),
    ("katakana with a point", "ja", "ソファ・ファニチャー", [["ソファ"], ["ファニチャー"]]),
    ("katakana of half width", "ja", "ｶﾞｰﾃﾞﾝﾌｧﾆﾁｬｰ", [["ｶﾞｰﾃﾞﾝﾌｧﾆﾁｬｰ"]]),
    ("katakana in Chinese", "zh", "買ファニチャーセット", [["買", "ファニチャーセット"]]),
    ("katakana with a space", "ja", "ソファ セット", [["ソファ", "セット"]]),
    ("Thai", "th", "สวัสดีชาวโลก", [["สวัสดี", "ชาว", "โลก"]]),
    ("a space within Chinese", "zh", "北京 ABC", [["北京", "ABC"]]),
    ("lines of Chinese", "zh", "北京\n你", [["北京"], ["你"]]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("lang", "text", "runs"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_words_come_in_runs(lang, text, runs):
    if segmenter_name(lang) == "icu4py":
        pytest.importorskip("icu4py", reason="needs the extra `segment`")
    assert list(split_runs(text, lang)) == runs


@pytest.mark.parametrize(
    ("lang", "joined"), [("en", "a b"), ("zh", "ab"), ("th", "ab"), ("bo", "a\u0f0bb")]
)
def test_neighbours_are_joined_as_they_stand_in_the_text(lang, joined):
    assert join_words(["a", "b"], lang) == joined


def test_a_joined_pair_is_found_in_tibetan_text():
    text = "བོད་སྐད་ཡིག"
    (run,) = split_runs(text, "bo")
    assert join_words(run[:2], "bo") in text


def test_a_missing_segmenter_names_its_extra(monkeypatch):
    words._word_breaker.cache_clear()
    monkeypatch.setitem(sys.modules, "icu4py.breakers", None)
    with pytest.raises(MissingExtraError, match=r"ja.*curate-clip\[segment\]"):
        list(split_runs("猫", "ja"))
    words._word_breaker.cache_clear()


@pytest.fixture
def botok_pack(tmp_path, monkeypatch):
    """A dictionary of two words, where botok would put its own."""
    pytest.importorskip("botok", reason="needs the package botok")
    pack = tmp_path / "general"
    for folder in ("dictionary/words", "dictionary/rules", "adjustments/words"):
        (pack / folder).mkdir(parents=True)
    rows = "# form\tpos\tlemma\tsense\tfreq\nབོད་སྐད\tNOUN\t\t\t\nང་ཚོ\tPRON\t\t\t\n"
    (pack / "dictionary/words/words.tsv").write_text(rows, "utf-8")
    monkeypatch.setattr(words, "_BOTOK_PACK", pack)
    words._botok.cache_clear()
    yield pack
    words._botok.cache_clear()


def test_tibetan_words_are_those_of_botok_where_its_data_are(botok_pack):
    assert segmenter_name("dz") == "botok"
    runs = list(split_runs("བོད་སྐད་ནི། ང་ཚོ་ ABC, x\nབོད་", "bo"))
    assert runs == [["བོད་སྐད", "ནི"], ["ང་ཚོ", "ABC"], ["x"], ["བོད"]]
    assert join_words(runs[0], "bo") == "བོད་སྐད་ནི"


def test_tibetan_words_are_syllables_without_botoks_data(monkeypatch, tmp_path):
    monkeypatch.setattr(words, "_BOTOK_PACK", tmp_path / "nothing")
    assert segmenter_name("bo") == "regex (tsheg syllables)"
    assert segmenter_version("bo") == segmenter_version("en") is not None


def test_hostile_text_is_split_in_linear_time():
    assert sum(map(len, split_runs("a'" * 200_000, "en"))) == 1
    assert sum(map(len, split_runs("a " * 200_000, "en"))) == 200_000
    assert not list(split_runs("-" * 400_000, "en"))
