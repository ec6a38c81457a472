"""The columns of `languages.tsv` against what real articles and sentences are written in."""

import gzip
import tarfile
from collections import Counter, defaultdict

import pytest
import regex

from curate.metadata.languages import (
    OTHER,
    WIKIPEDIA_CODES,
    is_spaceless,
    metadata_language,
    scripts_of,
)
from curate.metadata.wikipedia.dump import MAIN_NAMESPACE, read_pages
from curate.metadata.wikipedia.wikitext import strip_wikitext

# ISO 15924 codes that stand for several scripts of Unicode, or are not known to it.
UNICODE_SCRIPTS = {
    "Hans": ("Hani",),
    "Hant": ("Hani",),
    "Jpan": ("Hani", "Hira", "Kana"),
    "Kore": ("Hang", "Hani"),
}
SCRIPTS = sorted(
    {
        part
        for code in WIKIPEDIA_CODES
        for s in scripts_of(code)
        for part in UNICODE_SCRIPTS.get(s, [s])
    }
)
LETTERS = {s: regex.compile(rf"[\p{{Letter}}&&\p{{Script={s}}}]", regex.V1) for s in SCRIPTS}
MIN_LETTERS = 200


def count_letters(text: str) -> Counter[str]:
    """Return the letters by script."""
    return Counter({s: len(found) for s, p in LETTERS.items() if (found := p.findall(text))})


def own_scripts(lang: str) -> tuple[str, ...]:
    return tuple(part for s in scripts_of(lang) for part in UNICODE_SCRIPTS.get(s, (s,)))


def characters_of(lang: str) -> str:
    """Return a regular expression of the letters and marks of a language."""
    return "[" + "".join(rf"\p{{Script={s}}}" for s in own_scripts(lang)) + r"\p{Mark}]"


def long_run_share(text: str, lang: str) -> float:
    """Return the share of the characters that stand in runs longer than words are."""
    runs = [len(run) for run in regex.findall(characters_of(lang) + "+", text)]
    return sum(n for n in runs if n > 20) / sum(runs)


def characters_per_space(text: str, lang: str) -> float:
    """Return how many characters there are per space between two of them."""
    one = characters_of(lang)
    gaps = regex.findall(rf"(?<={one})[ \u00a0]+(?={one})", text)
    return len(regex.findall(one, text)) / max(1, len(gaps))


@pytest.fixture(scope="module")
def articles(real_data, tmp_path_factory) -> dict[str, str]:
    """The text of the mini-dumps by Wikipedia, those with enough of it."""
    folder = tmp_path_factory.mktemp("dumps")
    with tarfile.open(real_data / "wiki/dbpedia_minidumps_berlin.tar") as tar:
        tar.extractall(folder, filter="data")
    texts = {}
    for path in sorted(folder.rglob("*wiki.xml.bz2")):
        wiki = path.name.removesuffix("wiki.xml.bz2")
        pages = read_pages(str(path)) if wiki in WIKIPEDIA_CODES else ()
        text = "\n".join(strip_wikitext(p.text) for p in pages if p.namespace == MAIN_NAMESPACE)
        if count_letters(text).total() >= MIN_LETTERS:
            texts[wiki] = text
    return texts


@pytest.fixture(scope="module")
def sentences(real_data) -> dict[str, str]:
    """Forty sentences each by ISO 639-3 code."""
    texts = defaultdict(str)
    with gzip.open(real_data / "lid/tatoeba_112langs_x40.tsv.gz", "rt", encoding="utf-8") as file:
        for line in file:
            code, sentence = line.split("\t", 1)
            texts[code] += sentence
    return dict(texts)


def test_enough_wikipedias_have_text_to_be_judged_by(articles):
    assert len(articles) >= 100
    assert {"ja", "th", "my", "zh"} <= {lang for lang in articles if is_spaceless(lang)}


def test_articles_are_in_the_scripts_of_the_table_the_first_the_most_used(articles):
    for wiki, text in articles.items():
        letters = count_letters(text)
        own = own_scripts(wiki)
        share = sum(letters[s] for s in own) / letters.total()
        assert share > 0.8, (wiki, own, letters)
        first = UNICODE_SCRIPTS.get(scripts_of(wiki)[0], scripts_of(wiki)[:1])
        assert letters.most_common(1)[0][0] in first, (wiki, letters)


def test_articles_have_spaces_exactly_where_the_table_says(articles):
    # The highest of those with spaces is Malayalam (0.06), the lowest without Chinese (0.13).
    for wiki, text in articles.items():
        assert (long_run_share(text, wiki) > 0.1) == is_spaceless(wiki), wiki


def test_sentences_are_in_the_scripts_of_the_language_that_their_code_leads_to(sentences):
    disagree = {}
    for code, text in sentences.items():
        lang = metadata_language(code)
        letters = count_letters(text)
        share = sum(letters[s] for s in own_scripts(lang)) / letters.total() if lang != OTHER else 1
        if share < 0.9:
            disagree[code] = lang
    # Half of these sentences of Lingua Franca Nova are in Cyrillic letters; its Wikipedia is not.
    assert disagree == {"lfn": "lfn"}


def test_sentences_have_spaces_exactly_where_the_table_says(sentences):
    # The highest of those with spaces is Xhosa (13), the lowest without Khmer (19), which has
    # spaces between phrases, as Burmese has.
    for code, text in sentences.items():
        lang = metadata_language(code)
        if lang != OTHER:
            assert (characters_per_space(text, lang) > 15) == is_spaceless(lang), code


def test_codes_of_sentences_without_a_wikipedia_go_to_other(sentences):
    # Berber languages as a whole, Old East Slavic, Talossan.
    assert {c for c in sentences if metadata_language(c) == OTHER} == {"ber", "orv", "tzl"}
