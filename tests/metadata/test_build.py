import bz2
import json
import subprocess
import sys
from collections import Counter

import pytest

import metadata
from metadata.build import LanguageSources, build_language
from metadata.entries import SCHEMA, Thresholds, metadata_hash
from tests.metadata.test_dump import dump, xml_page

ALL = frozenset({"unigram", "bigram", "title"})


def sources(*dumps, kinds=ALL, wordnet_dir=None, pageviews=()):
    return LanguageSources(
        dumps=tuple(map(str, dumps)), wordnet_dir=wordnet_dir, kinds=kinds, pageviews=pageviews
    )


def entries_of(built, source):
    return [r["entry"] for r in built.table.to_pylist() if r["source"] == source]


@pytest.fixture
def toy(tmp_path):
    path = tmp_path / "dewiki.xml.bz2"
    pages = [
        xml_page("Hund", text="roter Hund, [[roter]] Hund. roter Hund"),
        xml_page("Star: Trek", text="blaue Katze"),
        xml_page("Köter", text="#REDIRECT [[Hund]]", redirect="Hund"),
        xml_page("Diskussion:Hund", 1, text="Unfug " * 50),
    ]
    path.write_bytes(bz2.compress(dump(*pages).encode()))
    return path


LOOSE = Thresholds(
    unigram_top_share=1, bigram_min_count=1, bigram_max_share=1, title_top_share=1
)  # fmt: skip


def test_a_toy_wikipedia_gives_the_entries_one_expects(toy):
    views = Counter({"Hund": 3, "Köter": 4, "Star: Trek": 5, "Diskussion:Hund": 99, "Nichts": 9})
    built = build_language("de", sources(toy), LOOSE, views)
    assert entries_of(built, "unigram") == ["Hund", "roter", "Katze", "blaue"]
    assert entries_of(built, "bigram") == ["blaue Katze", "roter Hund"]
    assert entries_of(built, "title") == ["Star: Trek"]  # Hund, with 7 views, is a unigram
    assert built.report["pages"] == {"article": 2, "other_namespace": 1, "redirect": 1}
    assert built.report["words"] == 8
    assert built.report["left_out"] == {"duplicate": 1}
    assert built.report["sources"]["title"] == {
        "raw": 2, "within_thresholds": 2, "kept": 1, "lowest_score": 5.0,
    }  # fmt: skip


def test_pairs_cross_neither_punctuation_nor_articles(toy):
    built = build_language("de", sources(toy), LOOSE, Counter())
    assert "Hund roter" not in entries_of(built, "bigram")
    assert "Hund blaue" not in entries_of(built, "bigram")


def test_an_article_outranks_a_redirect_of_a_merged_wiki(toy, tmp_path):
    second = tmp_path / "second.xml"
    second.write_text(dump(xml_page("Hund", redirect="Star: Trek")), "utf-8")
    kinds = frozenset({"title"})
    built = build_language("de", sources(toy, second, kinds=kinds), LOOSE, Counter(Hund=2))
    assert entries_of(built, "title") == ["Hund"]


def test_without_counted_views_the_files_are_read(toy, tmp_path):
    file = tmp_path / "pageviews-20260101-000000"
    file.write_bytes(b"de Star:_Trek 3 0\nbad\n")
    built = build_language("de", sources(toy, pageviews=(str(file),)), LOOSE)
    assert entries_of(built, "title") == ["Star: Trek"]
    assert built.report["bad_lines"] == {str(file): 1}


def test_bigrams_are_capped_by_the_share_of_kept_words(toy):
    half = Thresholds(unigram_top_share=0.5, bigram_min_count=1, bigram_max_share=0.5)
    built = build_language("de", sources(toy), half, Counter())
    assert len(entries_of(built, "unigram")) == 2
    assert entries_of(built, "bigram") == ["blaue Katze"]


def test_v1s_floor_of_30_bits_leaves_a_small_wikipedia_without_bigrams(toy):
    floor = Thresholds(bigram_min_count=1, unigram_top_share=1, bigram_min_pmi=30)
    built = build_language("de", sources(toy), floor, Counter())
    assert entries_of(built, "bigram") == []
    assert built.report["sources"]["bigram"]["lowest_score"] is None


def test_the_latgalian_wikipedia_gives_metadata_and_the_same_twice(real_data):
    path = real_data / "wiki" / "ltgwiki-pages-articles.xml.bz2"
    kinds = frozenset({"unigram", "bigram"})
    first, second = (
        build_language("ltg", sources(path, kinds=kinds), Thresholds.for_language("ltg"))
        for _ in range(2)
    )
    assert first.table.equals(second.table)
    assert first.table.schema == SCHEMA
    assert json.loads(json.dumps(first.report)) == first.report == second.report
    found = entries_of(first, "unigram")
    assert found[:3] == ["i", "nu", "irā"]
    kept = first.report["sources"]
    assert kept["unigram"]["within_thresholds"] == int(0.10 * kept["unigram"]["raw"])
    assert kept["bigram"]["within_thresholds"] <= 0.40 * kept["unigram"]["within_thresholds"]
    assert len(metadata_hash(first.table.column("entry").to_pylist())) == 64


def test_chinese_and_danish_take_their_wordnet(real_data):
    folder = str(real_data / "wordnet")
    only = frozenset({"wordnet"})
    for lang, num in (("da", 4468), ("zh", 61100)):
        built = build_language(
            lang, sources(kinds=only, wordnet_dir=folder), Thresholds.for_language(lang)
        )
        left_out = sum(built.report["left_out"].values())
        assert built.table.num_rows == 100 + num - left_out
        assert built.report["segmenter"] == ("icu4py" if lang == "zh" else "regex")


def test_english_numbers_and_wordnet_are_86654_entries(wordnet_dir):
    only = sources(kinds=frozenset({"wordnet"}), wordnet_dir=str(wordnet_dir))
    built = build_language("en", only, Thresholds.for_language("en"))
    assert built.table.num_rows == 86_654
    assert built.report["left_out"] == {}


def test_every_public_name_can_be_loaded():
    assert all(getattr(metadata, name) is not None for name in metadata.__all__)
    with pytest.raises(AttributeError):
        _ = metadata.nothing


def test_importing_metadata_is_light():
    code = (
        "import sys, metadata, metadata.languages, metadata.errors;"
        "print([m for m in ('nltk', 'icu4py', 'pyarrow', 'numpy', 'fsspec') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
