"""The table of cases that ARCHITECTURE.md shows, and what must hold for any text."""

import sys
import unicodedata
from pathlib import Path

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from curate.curation.matching.normalize import (
    check_normalization,
    normalize_entry,
    normalize_text,
    tokens,
)
from curate.errors import UsageError
from tests.reference import metaclip_spacing

TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)


def matches(entry: str, text: str, normalization: str = "standard") -> bool:
    needle = normalize_entry(entry, check_normalization(normalization))
    return bool(needle) and needle in normalize_text(text, check_normalization(normalization))


# name, entry, text, matches in standard, matches in metaclip
CASES = [
    ("a word", "dog", "a dog runs", True, True),
    ("not inside a word", "dog", "dogma", False, False),
    ("case counts", "Dog", "a dog", False, False),
    ("two words", "red dog", "a red dog", True, True),
    ("two words and two spaces", "red dog", "a red  dog", True, False),
    ("no-break space", "red dog", "a red\u00a0dog", True, False),
    ("line break", "red dog", "a red\ndog", True, True),
    ("point inside an entry", "St. John", "St. John, Canada", True, False),
    ("point at the end", "U.S.", "the U.S. army", True, False),
    ("without the point", "U.S.", "the U.S army", False, False),
    ("brackets", "dog", "a (dog)", True, False),
    ("an entry with brackets", "(dog)", "a (dog)", True, True),
    ("straight quotes", "dog", 'a "dog"', True, False),
    ("an entry in quotes", '"dog"', 'a "dog"', True, True),
    ("guillemets", "chien", "un «chien»", True, False),
    ("an entry in guillemets", "«chien»", "un «chien»", True, True),
    ("slash", "dog", "dog/cat", True, False),
    ("an entry with a slash", "dog/cat", "dog/cat", True, True),
    ("comma", "dog", "dog,cat", True, True),
    ("apostrophes inside", "rock'n'roll", "rock'n'roll music", True, True),
    ("curly apostrophes inside", "rock'n'roll", "rock’n’roll music", True, False),
    ("not after an apostrophe", "t", "I don't know", False, False),
    ("not after a hyphen", "shirt", "a T-shirt", False, False),
    ("with its hyphen", "T-shirt", "a T-shirt", True, True),
    ("no-break hyphen", "T-shirt", "a T\u2011shirt", True, False),
    ("dash between words", "dog", "dog–cat", True, False),
    ("decimal numbers", "3", "3.5 kg", False, True),
    ("number before a full stop", "3", "only 3.", True, True),
    ("composed and decomposed", "café", "a cafe\u0301", True, False),
    ("soft hyphen", "football", "foot\u00adball", True, False),
    ("emoji", "dog", "❤\ufe0fdog", True, False),
    ("Chinese", "北京", "我爱北京天安门", True, True),
    ("Chinese with Latin", "iPhone", "新iPhone手机", True, False),
    ("kana", "ラーメン", "美味しいラーメンです", True, False),
    ("half-width kana", "カメラ", "新品ｶﾒﾗ入荷", True, False),
    ("iteration mark", "佐々", "佐々木さん", True, False),
    ("extension B", "\U00020bb7", "\U00020bb7野家", True, True),
    ("extension H", "\U00031350", "\U00031350字", True, True),
    ("Thai", "แมว", "ฉันมีแมวสองตัว", True, True),
    ("not half a Thai letter", "ก", "กินข้าว", False, True),
    ("Khmer", "ឆ្កែ", "ខ្ញុំមានឆ្កែមួយ", True, True),
    ("Burmese", "ခွေး", "အနီရောင်ခွေးတစ်ကောင်", True, True),
    ("Tibetan syllables", "བོད", "བོད་ཡིག", True, True),
    ("Korean words", "개", "개 한 마리", True, True),
    ("not inside Korean words", "개", "개가", False, False),
    ("full-width Latin", "Cafe", "Ｃａｆｅ", True, False),
    ("full-width comma", "dog", "dog，cat", True, False),
    ("Hindi marks", "कुत्ता", "एक कुत्ता", True, True),
    ("not half a Hindi word", "क", "एक कुत्ता", False, False),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "text", "standard", "metaclip"), [c[1:] for c in CASES],
                         ids=[c[0] for c in CASES])  # fmt: skip
def test_entries_match_as_the_table_says(
    entry: str, text: str, standard: bool, metaclip: bool
) -> None:
    assert matches(entry, text) is standard
    assert matches(entry, text, "metaclip") is metaclip


@given(TEXTS)
def test_metaclip_spacing_is_the_released_one_character_by_character(text: str) -> None:
    assert normalize_text(text, "metaclip") == metaclip_spacing(text)


@given(TEXTS)
def test_standard_normalization_is_idempotent(text: str) -> None:
    once = normalize_text(text)
    assert normalize_text(once) == once


@given(TEXTS)
def test_equal_looking_texts_normalize_equally(text: str) -> None:
    assert normalize_text(unicodedata.normalize("NFD", text)) == normalize_text(text)


@given(st.text(st.characters(max_codepoint=127), max_size=40))
def test_the_ascii_shortcut_gives_what_the_long_way_gives(text: str) -> None:
    assert tokens(text) == tokens(text + " é")[:-1]


def test_an_entry_matches_itself_unless_it_has_no_visible_character() -> None:
    assert matches("( ) !", "( ) !")
    assert not matches("\u200b", "\u200b")
    assert normalize_entry("") == normalize_entry("", "metaclip") == ""


def test_an_unknown_normalization_is_refused() -> None:
    with pytest.raises(UsageError, match="standard, metaclip"):
        check_normalization("nfc")


def _table() -> dict[str, set[int]]:
    path = Path(__file__).parents[3] / "curation" / "matching" / "unicode_ranges.tsv"
    table: dict[str, set[int]] = {}
    for line in path.read_text().splitlines()[1:]:
        name, first, last = line.split("\t")
        table.setdefault(name, set()).update(range(int(first, 16), int(last, 16) + 1))
    return table


def test_the_character_table_agrees_with_the_unicode_data_of_python() -> None:
    table = _table()
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category == "Cn":
            continue
        assert (code in table["word"]) == (category[0] in "LMN" or category == "Pc"), hex(code)
        assert (code in table["mark"]) == (category[0] == "M"), hex(code)
        assert (code in table["digit"]) == (category == "Nd"), hex(code)


@pytest.mark.parametrize("script", ["Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer"])
def test_letters_of_scripts_without_spaces_are_in_the_table(script: str) -> None:
    table = _table()["spaceless"]
    letters = regex.compile(rf"(?V1)[\p{{Script={script}}}&&\p{{L}}]")
    assert {c for c in range(sys.maxunicode + 1) if letters.match(chr(c))} <= table
