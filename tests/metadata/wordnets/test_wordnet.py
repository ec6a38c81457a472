import gzip
import shutil
import zipfile
from collections import Counter
from unicodedata import combining

import nltk
import pytest

from curate.errors import InputError
from curate.metadata.languages import metadata_languages, omw_codes
from curate.metadata.wordnets import omw
from curate.metadata.wordnets.wordnet import english_lemmas, omw_lemmas, wordnet_languages
from tests.metadata.wordnets.small_database import write_database

DANISH = "# DanNet\tdan\turl\tlicence\n02084071-n\tlemma\thund\n"


@pytest.fixture(scope="module")
def english(wordnet_dir):
    return english_lemmas(str(wordnet_dir))


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """nltk with an empty data path, from which nothing can be downloaded."""
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "nltk_data")])
    monkeypatch.setattr(nltk, "download", lambda *_, **__: False)
    return tmp_path / "nltk_data"


def write(path, text=DANISH):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


# English.


@pytest.mark.slow
def test_wordnet_3_gives_the_published_number_of_names(english):
    assert len(english) == len(set(english)) == 86_554
    assert len({*english, *map(str, range(100))}) == 86_654


@pytest.mark.slow
def test_names_are_lower_case_words_with_spaces(english):
    assert {"dog", "a cappella", "18-karat gold"} <= set(english)
    assert not [name for name in english if "_" in name or name != name.lower()]


SMALL = {"noun": ["dog", "red_sea", "23", "!"], "verb": ["breathe"], "adj": ["red"],
         "adv": ["a_cappella"]}  # fmt: skip
NAMES = ["a cappella", "breathe", "dog", "red", "red sea"]


def test_a_database_below_the_folder_is_found_beside_tab_files(tmp_path_factory, tmp_path):
    (tmp_path / "en").mkdir()
    write_database(elsewhere := tmp_path_factory.mktemp("database"), SMALL)
    (tmp_path / "en/3.0").symlink_to(elsewhere)
    (tmp_path / "en/back").symlink_to(tmp_path)
    write(tmp_path / "corpora/omw-1.4/dan/wn-data-dan.tab")
    path = list(nltk.data.path)
    assert english_lemmas(str(tmp_path)) == NAMES
    assert nltk.data.path == path  # nothing is left behind there
    assert omw_lemmas("da", str(tmp_path)) == ["hund"]
    assert wordnet_languages(str(tmp_path)) == {"en", "da"}


def test_of_several_versions_3_0_is_taken(tmp_path):
    for name in ("deep/down/wordnet", "wordnet31"):
        write_database(tmp_path / name, SMALL)
    for name in ("data.noun", "data.verb"):
        path = tmp_path / "wordnet31" / name
        data = path.read_bytes().replace(b"WordNet 3.0 ", b"WordNet 3.1 ")
        path.write_bytes(data.replace(b" breathe ", b" breeeth "))
    assert english_lemmas(str(tmp_path)) == NAMES


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("index.adv", None, "incomplete WordNet database without index.adv"),
        ("data.noun", b"", r"data\.noun: cut off"),
        ("data.verb", b"<html>Not found</html>\n", r"data\.verb: cut off"),
        ("data.adv", 300_000, r"data\.adv: cut off"),
        ("index.adv", b"", r"data\.adv: cut off"),
        ("index.noun", 500_000, "not readable as a WordNet database"),
        ("lexnames", b"no lexnames at all\n", "not readable as a WordNet database"),
    ],
)
def test_a_broken_database_is_an_error_that_says_where(
    wordnet_dir, tmp_path, name, content, message
):
    shutil.copytree(wordnet_dir, tmp_path / "wordnet")
    path = tmp_path / "wordnet" / name
    if content is None:
        path.unlink()
    else:
        whole = path.read_bytes() if path.exists() else b""
        path.write_bytes(whole[:content] if isinstance(content, int) else content)
    with pytest.raises(InputError, match=message):
        english_lemmas(str(tmp_path))


def test_a_folder_without_wordnet_is_an_error_that_names_a_package(tmp_path):
    with pytest.raises(InputError, match="no WordNet database here.*wordnet-base"):
        english_lemmas(str(tmp_path))
    assert wordnet_languages(str(tmp_path)) == set()


@pytest.mark.parametrize("read", [english_lemmas, wordnet_languages, lambda d: omw_lemmas("da", d)])
def test_a_folder_that_does_not_exist_is_an_error(tmp_path, read):
    with pytest.raises(InputError, match="nowhere: there is no such folder"):
        read(str(tmp_path / "nowhere"))
    file = write(tmp_path / "wn-data-dan.tab")
    with pytest.raises(InputError, match="there is no such folder"):
        read(str(file))


READERS = [english_lemmas, wordnet_languages, lambda d, **fetch: omw_lemmas("da", d, **fetch)]


@pytest.mark.parametrize("read", READERS)
def test_without_wordnet_and_network_the_error_says_what_to_do(no_network, read):
    with pytest.raises(InputError, match="nor could nltk download it.*--wordnet-dir"):
        read(None)


@pytest.mark.parametrize("read", READERS)
def test_where_nothing_is_to_be_fetched_nltk_is_not_asked_to(no_network, monkeypatch, read):
    asked = []
    monkeypatch.setattr(nltk, "download", lambda *args, **_: asked.append(args))
    with pytest.raises(InputError, match="not in nltk's data path, and nothing is fetched.*--word"):
        read(None, fetch=False)
    assert asked == []


def test_a_download_that_fails_prints_nothing(no_network, monkeypatch, capfd):
    """nltk's own downloader, asked for its list on a port of loopback where nobody listens."""
    monkeypatch.undo()
    monkeypatch.setattr(nltk.data, "path", [str(no_network)])
    monkeypatch.setattr(nltk.downloader._downloader, "_url", "http://127.0.0.1:9/index.xml")
    monkeypatch.setattr(nltk.downloader._downloader, "_index", None)
    assert omw.nltk_folder("omw-1.4") is None
    assert capfd.readouterr() == ("", "")


# Open Multilingual WordNet.


@pytest.mark.parametrize(
    ("lang", "num"),
    [("bg", 6720), ("da", 4468), ("he", 5086), ("is", 11422), ("sk", 29150), ("zh", 61100)],
)
def test_real_tab_files_are_read_in_full(real_data, lang, num):
    bad = Counter()
    assert len(omw_lemmas(lang, str(real_data / "wordnet"), bad)) == num
    assert not bad


def test_real_tab_files_have_the_lemmas_that_nltk_reads(real_data):
    """nltk's rule: the last part of the kind is `lemma`, the last column the word."""
    for lang in ("bg", "da", "is", "sk"):
        expected = set()
        path = real_data / f"wordnet/wn-data-{omw_codes(lang)[0]}.tab.gz"
        for line in gzip.open(path, "rt", encoding="utf-8"):
            columns = line.strip().split("\t")
            if not line.startswith("#") and columns[1].split(":")[-1] == "lemma":
                expected.add(columns[-1].replace("_", " ").strip())
        assert set(omw_lemmas(lang, str(real_data / "wordnet"))) == expected


def test_hebrew_lemmas_have_no_vowel_points(real_data):
    lemmas = omw_lemmas("he", str(real_data / "wordnet"))
    assert not [lemma for lemma in lemmas if any(map(combining, lemma))]
    assert "אדם" in lemmas  # in the file: אָדָם


ARABIC = [
    ("كِتَابٌ", "كتاب"),
    ("كـــتاب", "كتاب"),
    ("هٰذا", "هذا"),
    ("مدرّسة_لغة", "مدرسة لغة"),
    ("آسيا", "آسيا"),
    ("ا\u0653سيا", "ا\u0653سيا"),
    ("سؤال", "سؤال"),
    ("سو\u0654ال", "سو\u0654ال"),
]


@pytest.mark.parametrize(("lang", "code"), [("ar", "arb"), ("fa", "fas"), ("fa", "pes")])
@pytest.mark.parametrize(("written", "lemma"), ARABIC)
def test_lemmas_in_arabic_letters_have_no_vowel_signs(tmp_path, lang, code, written, lemma):
    write(tmp_path / f"wn-data-{code}.tab", f"00001740-n\t{code}:lemma\t{written}\n")
    assert omw_lemmas(lang, str(tmp_path)) == [lemma]


def test_a_lemma_of_nothing_but_signs_is_a_bad_line(tmp_path):
    path = write(tmp_path / "wn-data-arb.tab", "1\n00001740-n\tlemma\tـ\n00001740-n\tlemma\tكلب\n")
    bad = Counter()
    assert omw_lemmas("ar", str(tmp_path), bad) == ["كلب"]
    assert bad == {str(path): 2}


def test_chinese_lemmas_have_no_particle_marks(real_data):
    lemmas = omw_lemmas("zh", str(real_data / "wordnet"))
    assert not [w for w in lemmas if "+" in w]
    assert "H形状的" in lemmas


def test_languages_at_hand_are_told_by_their_files(real_data):
    assert wordnet_languages(str(real_data / "wordnet")) == {"bg", "da", "he", "is", "sk", "zh"}


def test_every_wordnet_is_read_for_its_language_and_no_other(tmp_path):
    codes = [(lang, code) for lang in metadata_languages() for code in omw_codes(lang)]
    assert len(codes) == 33
    for lang, code in codes:
        write(tmp_path / f"{code}/wn-data-{code}.tab", f"00001740-n\t{code}:lemma\t{lang}_{code}\n")
    write(tmp_path / "eng/wn-data-eng.tab", "00001740-n\teng:lemma\tentity\n")
    write(tmp_path / "gsw/wn-data-gsw.tab", "00001740-n\tgsw:lemma\tHund\n")
    for lang in metadata_languages():
        expected = [f"{lang} {code}" for code in omw_codes(lang)]
        assert omw_lemmas(lang, str(tmp_path)) == (sorted(expected) or None)
    assert len(wordnet_languages(str(tmp_path))) == 31


def test_a_language_without_wordnet_gives_none(tmp_path, no_network):
    assert omw_lemmas("sw", None) is None
    assert omw_lemmas("sw", str(tmp_path)) is None
    assert omw_lemmas("bg", str(tmp_path)) is None


@pytest.mark.parametrize(
    "name",
    [
        "dan/wn-data-dan.tab",
        "nordic/wn-data-dan.tab.gz",
        "wn-data-dan.tab",
        "wn-data-dan.tab.gz",
        "corpora/omw-1.4/dan/wn-data-dan.tab",
    ],
)
def test_tab_files_are_found_in_each_layout(tmp_path, name):
    write(tmp_path / name)
    assert omw_lemmas("da", str(tmp_path)) == ["hund"]


def test_files_behind_links_are_found_and_read_once(tmp_path):
    path = write(tmp_path / "elsewhere/dan/wn-data-dan.tab", f"{DANISH}no tab line\n")
    (tmp_path / "wn/deep").mkdir(parents=True)
    (tmp_path / "wn/deep/omw").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "wn/again").symlink_to(path.parent)
    (path.parent / "back").symlink_to(tmp_path / "wn")
    (tmp_path / "whole").symlink_to(tmp_path / "wn")
    for folder in ("wn", "whole"):
        bad = Counter()
        assert omw_lemmas("da", str(tmp_path / folder), bad) == ["hund"]
        assert bad.total() == 1
    (tmp_path / "files").mkdir()
    (tmp_path / "files/wn-data-dan.tab").symlink_to(path)
    assert wordnet_languages(str(tmp_path / "files")) == {"da"}


def test_several_files_of_a_language_are_read_together(tmp_path):
    write(tmp_path / "ita/wn-data-ita.tab", "02084071-n\tita:lemma\tcane\n")
    write(tmp_path / "iwn/wn-data-ita.tab", "02084071-n\tlemma\tcagna\n02084071-n\tlemma\tcane\n")
    assert omw_lemmas("it", str(tmp_path)) == ["cagna", "cane"]


def test_a_file_and_its_packed_copy_are_read_once(tmp_path):
    write(tmp_path / "wn-data-dan.tab")
    write(tmp_path / "wn-data-dan.tab.gz", DANISH + "no tab line\n")
    bad = Counter()
    assert omw_lemmas("da", str(tmp_path), bad) == ["hund"]
    assert not bad


@pytest.mark.parametrize(
    "name",
    ["wn-data-dan.tab.bak", "wn-data-dan.tab.gz.part", "wn-data-dan.table", "wn-wikt-dan.tab"],
)
def test_files_of_other_names_are_left_alone(tmp_path, name):
    write(tmp_path / name)
    assert omw_lemmas("da", str(tmp_path)) is None


@pytest.mark.parametrize(
    ("line", "lemmas", "num_bad"),
    [
        ("00001740-n\tdan:lemma\tvarm_hund", ["varm hund"], 0),
        ("00001740-n\tlemma\ten varm_hund ", ["en varm hund"], 0),
        ("00001740-n\tlemma\then\t0.5", ["hen"], 0),
        ("00001740-a\tlemma\tC++", ["C++"], 0),
        ("00001740-n\tlemma\thund\r", ["hund"], 0),
        ("00001740-n\tdan:def\t0\tet dyr", [], 0),
        ("00001740-n\tarb:lemma:root\tكلب", [], 0),
        ("# 00001740-n\tlemma\then", [], 0),
        ("   ", [], 0),
        ("no tab line at all", [], 1),
        ("00001740-n lemma hen", [], 1),
        ("1740-n\tlemma\then", [], 1),
        ("00001740-n\tlemma", [], 1),
        ("00001740-n\tlemma\t", [], 1),
        ("00001740-n\tlemma\t _ ", [], 1),
    ],
)
def test_lines_are_lemmas_other_facts_or_counted_as_bad(tmp_path, line, lemmas, num_bad):
    path = write(tmp_path / "wn-data-dan.tab", f"\ufeff{DANISH}{line}\n{DANISH}")
    bad = Counter()
    assert omw_lemmas("da", str(tmp_path), bad) == sorted({"hund", *lemmas})
    assert bad == ({str(path): num_bad} if num_bad else {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment\n",
        "<html><body>404 Not Found</body></html>\n",
        "entity,n,hund\nentity,n,hen\n",
        "00001740-n\tdan:def\t0\tet dyr\n",
    ],
)
def test_a_file_without_lemmas_is_an_error_that_names_it(tmp_path, text):
    write(tmp_path / "wn-data-dan.tab", text)
    with pytest.raises(InputError, match=r"wn-data-dan\.tab: no lemma in it.*Expected lines"):
        omw_lemmas("da", str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("wn-data-dan.tab.gz", gzip.compress(DANISH.encode() * 99, mtime=0)[:-12]),
        ("wn-data-dan.tab.gz", DANISH.encode()),
        ("wn-data-dan.tab", DANISH.encode() + b"00001740-n\tlemma\t\xe6ble\n"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: not readable as a WordNet tab file"):
        omw_lemmas("da", str(tmp_path))


# nltk's data.


@pytest.mark.parametrize("name", ["omw-1.4", "omw-2.0"])
def test_nltks_corpus_is_read_from_its_data_path(no_network, name):
    write(no_network / f"corpora/{name}/dan/wn-data-dan.tab")
    assert omw_lemmas("da", None) == ["hund"]
    assert omw_lemmas("fa", None) is None
    assert wordnet_languages(None) == {"da"}


def test_of_both_of_nltks_corpora_the_older_is_read(no_network):
    write(no_network / "corpora/omw-1.4/dan/wn-data-dan.tab")
    write(no_network / "corpora/omw-2.0/dan/wn-data-dan.tab", "02084071-n\tlemma\tkat\n")
    assert omw_lemmas("da", None) == ["hund"]


@pytest.mark.parametrize("name", ["omw-1.4", "omw-2.0"])
def test_nltks_archive_is_unpacked(no_network, name):
    write(no_network / "corpora/README", "")
    with zipfile.ZipFile(no_network / f"corpora/{name}.zip", "w") as archive:
        archive.writestr(f"{name}/dan/wn-data-dan.tab", DANISH)
    assert omw_lemmas("da", None) == ["hund"]


def test_a_broken_archive_is_an_error_that_names_it(no_network):
    write(no_network / "corpora/omw-1.4.zip", "no archive")
    with pytest.raises(InputError, match=r"omw-1\.4\.zip: broken archive"):
        omw_lemmas("da", None)


@pytest.mark.parametrize("there", ["omw-1.4", "omw-2.0"])
def test_what_is_missing_is_downloaded(no_network, monkeypatch, there):
    def download(name, quiet, raise_on_error, print_error_to):
        assert quiet and raise_on_error
        if name != there:
            raise ValueError("there is no such package")
        write(no_network / f"corpora/{name}/dan/wn-data-dan.tab")
        return True

    monkeypatch.setattr(nltk, "download", download)
    assert omw_lemmas("da", None) == ["hund"]
