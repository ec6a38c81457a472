import gzip
from collections import Counter

import nltk
import pytest

from metadata import wordnet
from metadata.errors import InputError
from metadata.wordnet import english_lemmas, omw_lemmas


@pytest.fixture(scope="module")
def english(wordnet_dir):
    return english_lemmas(str(wordnet_dir))


def test_wordnet_3_gives_the_published_number_of_names(english):
    assert len(english) == len(set(english)) == 86_554
    assert len({*english, *map(str, range(100))}) == 86_654


def test_names_are_lower_case_words_with_spaces(english):
    assert {"dog", "a cappella", "18-karat gold"} <= set(english)
    assert not [name for name in english if "_" in name or name != name.lower()]


def test_a_folder_leaves_nothing_behind_in_nltks_data_path(wordnet_dir):
    before = list(nltk.data.path)
    _, files = wordnet._reader(str(wordnet_dir))
    for file in files:
        file.close()
    assert nltk.data.path == before


def test_a_folder_without_wordnet_is_an_error_that_names_a_package(tmp_path):
    with pytest.raises(InputError, match="wordnet-base"):
        english_lemmas(str(tmp_path))


def test_without_wordnet_and_network_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(nltk, "download", lambda *_, **__: False)
    with pytest.raises(InputError, match="--wordnet-dir"):
        english_lemmas(None)


@pytest.mark.parametrize(
    ("lang", "num"),
    [("bg", 6720), ("da", 4468), ("he", 5325), ("is", 11422), ("sk", 29150), ("zh", 61100)],
)
def test_real_tab_files_are_read_in_full(real_data, lang, num):
    bad = Counter()
    assert len(omw_lemmas(lang, str(real_data / "wordnet"), bad)) == num
    assert not bad


def test_chinese_lemmas_have_no_particle_marks(real_data):
    assert not [w for w in omw_lemmas("zh", str(real_data / "wordnet")) if "+" in w]


def test_a_language_without_wordnet_gives_none(tmp_path):
    assert omw_lemmas("sw", str(tmp_path)) is None
    assert omw_lemmas("bg", str(tmp_path)) is None


@pytest.mark.parametrize(
    "name",
    ["dan/wn-data-dan.tab", "nordic/wn-data-dan.tab.gz", "wn-data-dan.tab", "wn-data-dan.tab.gz"],
)
def test_tab_files_are_found_in_each_layout(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    text = (
        "# DanNet\tdan\turl\tlicence\n"
        "00001740-n\tdan:lemma\tvarm_hund\n"
        "00001740-n\tlemma\then\n"
        "00001740-n\tdan:def\t0\tet dyr\n"
        "no tab line at all\n"
        "00001740-n\tlemma\t\n"
    )
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    bad = Counter()
    assert omw_lemmas("da", str(tmp_path), bad) == ["hen", "varm hund"]
    assert bad == {str(path): 2}


def test_a_truncated_tab_file_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "wn-data-dan.tab.gz"
    path.write_bytes(gzip.compress(b"00001740-n\tlemma\thund\n" * 99)[:-12])
    with pytest.raises(InputError, match="wn-data-dan.tab.gz"):
        omw_lemmas("da", str(tmp_path))
