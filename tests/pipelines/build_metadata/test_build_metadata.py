import bz2
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import ArtifactError, InputError, UsageError
from curate.metadata.languages import _rows as rows_of
from curate.metadata.languages import metadata_language, metadata_languages, unreached_languages
from curate.pipelines.build_metadata.stage import build_languages
from tests.pipelines.helpers import contents

PAGE = """<page><title>{title}</title><ns>{ns}</ns>{redirect}<revision><text>{text}</text>
</revision></page>"""


def write_dump(folder, wiki, pages):
    folder.mkdir(parents=True, exist_ok=True)
    body = "".join(PAGE.format(title=title, ns=0, redirect="", text=text) for title, text in pages)
    xml = f"<mediawiki><siteinfo/>{body}</mediawiki>"
    (folder / f"{wiki}wiki-20260101-pages-articles.xml.bz2").write_bytes(bz2.compress(xml.encode()))


@pytest.fixture
def sources(tmp_path):
    write_dump(
        tmp_path / "dumps",
        "de",
        [("Roter Hund", "Ein roter Hund. " * 9), ("Berlin", "Berlin ist gross. " * 9)],
    )
    write_dump(tmp_path / "dumps", "ltg", [("Rūma", "Rūma ir pylsāta. " * 9)])
    (tmp_path / "views").mkdir()
    lines = "de Roter_Hund 50 0\nde.m Berlin 20 0\nltg R%C5%ABma 3 0\nde.b Berlin 9999 0\n"
    (tmp_path / "views/pageviews-20260101-000000.gz").write_bytes(gzip.compress(lines.encode()))
    return tmp_path


def build(folder, lang="de", output="metadata", **options):
    values = {
        "kinds": "unigram,bigram,title",
        "dumps": str(folder / "dumps"),
        "pageviews": str(folder / "views"),
        "wordnet_dir": None,
        "overrides": {"unigram_top_share": 1.0, "bigram_max_share": 1.0, "title_top_share": 1.0},
        "quiet": True,
        **options,
    }
    return build_languages(lang, output=str(folder / output), **values)


def test_a_language_has_numbers_words_pairs_and_titles_in_order(sources):
    manifest = build(sources)
    table = pq.read_table(sources / "metadata/de.parquet")
    assert [str(table.schema.field(n).type) for n in ("entry", "score")] == ["string", "double"]
    rows = table.to_pylist()
    assert [r["entry"] for r in rows[:100]] == sorted(str(n) for n in range(100))
    rest = [(r["entry"], r["source"]) for r in rows[100:]]
    assert ("Hund", "unigram") in rest and ("roter Hund", "bigram") in rest
    assert [e for e, source in rest if source == "title"] == ["Roter Hund"]
    order = [("number", "wordnet", "unigram", "bigram", "title").index(r["source"]) for r in rows]
    assert order == sorted(order)
    entry = manifest["languages"]["de"]
    assert entry["sources"]["number"] == 100 and entry["entries"] == len(rows)
    made = entry["made_from"]
    assert made["thresholds"]["title_max"] == 61_235
    assert len(made["dumps"][0]["sha256"]) == 64 and made["dumps"][0]["size_bytes"] > 0


def test_all_takes_every_language_at_hand_and_writes_other(sources):
    manifest = build(sources, "all")
    assert set(manifest["languages"]) == {"de", "ltg", "other"}
    other = pq.read_table(sources / "metadata/other.parquet").column("entry").to_pylist()
    assert "Rūma" in other and "Hund" not in other
    assert "ltg" in unreached_languages()


def test_workers_and_reruns_give_the_same_bytes(sources):
    build(sources, "all", "one")
    build(sources, "all", "two", workers=2)
    assert contents(sources / "one") == contents(sources / "two")
    before = (sources / "one/de.parquet").stat().st_mtime_ns
    build(sources, "all", "one")
    assert (sources / "one/de.parquet").stat().st_mtime_ns == before
    (sources / "one/de.parquet").unlink()
    build(sources, "de", "one")
    assert contents(sources / "one") == contents(sources / "two")


def test_a_workspace_may_be_moved(sources):
    """Where files lie is no part of what a language is made from, and stands nowhere."""
    (sources / "wordnet").mkdir()
    (sources / "wordnet/wn-data-slk.tab").write_text("00000001-n\tlemma\tpes\nno line\n")
    table = pa.table({"title": ["Pes"], "text": ["pes " * 9]})
    pq.write_table(table, sources / "dumps/skwiki-20231101.parquet")
    kinds = "wordnet,unigram,title"
    build(sources, "de,sk", kinds=kinds, wordnet_dir=str(sources / "wordnet"))
    before = contents(sources)
    moved = sources.rename(sources.with_name("moved"))
    manifest = build(moved, "de,sk", kinds=kinds, wordnet_dir=str(moved / "wordnet"))
    assert contents(moved) == before and str(sources) not in json.dumps(manifest["languages"])
    made = manifest["languages"]["sk"]["made_from"]
    assert [file["file"] for file in made["wordnet"]] == ["wn-data-slk.tab"]


@pytest.mark.parametrize(
    ("changed", "more"),
    [("dumps/*", b"\n"), ("views/*", gzip.compress(b"", mtime=0)), ("wordnet/*", b"\n")],
)
def test_a_source_that_changed_is_noticed(sources, changed, more):
    (sources / "wordnet").mkdir()
    (sources / "wordnet/wn-data-slk.tab").write_text("00000001-n\tlemma\tpes\n")
    write_dump(sources / "dumps", "sk", [("Pes", "pes " * 9)])
    options = {"kinds": "wordnet,unigram,title", "wordnet_dir": str(sources / "wordnet")}
    build(sources, "sk", **options)
    for path in sources.glob(changed):
        path.write_bytes(path.read_bytes() + more)
    with pytest.raises(ArtifactError, match="was made with something else"):
        build(sources, "sk", **options)


def test_other_thresholds_are_refused_until_overwrite(sources):
    build(sources)
    with pytest.raises(ArtifactError, match=r"thresholds\.title_max.*61235.*this run has 5"):
        build(sources, overrides={"title_max": 5})
    build(sources, overrides={"title_max": 5}, overwrite=True)
    stamp = json.loads((sources / "metadata/manifest.json").read_text())
    assert stamp["languages"]["de"]["made_from"]["thresholds"]["title_max"] == 5


def test_a_dry_run_writes_nothing(sources):
    assert list(build(sources, dry_run=True)) == ["de", "page views", "thresholds"]
    assert not (sources / "metadata").exists()


@pytest.mark.parametrize(
    ("lang", "options", "error", "message"),
    [
        ("tlh", {}, UsageError, "unknown language 'tlh'"),
        ("zh_yue", {}, UsageError, "unknown language 'zh_yue'"),
        ("", {}, UsageError, "unknown language"),
        ("fr", {}, InputError, "there is no dump of fr.*frwiki-20260101"),
        ("de", {"kinds": "unigram,verbs"}, UsageError, "--sources has verbs"),
        ("de", {"pageviews": "nowhere"}, InputError, "titles need page views"),
        ("de", {"overrides": {"title_max": -1}}, UsageError, "--title-max is -1"),
        ("all", {"dumps": "nowhere"}, InputError, "--lang all found no source"),
    ],
)
def test_what_cannot_be_meant_is_refused(sources, lang, options, error, message):
    with pytest.raises(error, match=message):
        build(sources, lang, **options)
    assert not (sources / "metadata").exists()


def test_a_truncated_dump_says_where_it_ends(sources):
    path = next((sources / "dumps").glob("de*"))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"dewiki.*corrupt or cut off after"):
        build(sources)


def test_every_label_of_lid176_has_a_metadata_language():
    labels = [label for label, _ in rows_of("lid176_labels.tsv")]
    assert len(labels) == 176 == len(set(labels))
    known = {*metadata_languages(), "other"}
    assert all(metadata_language(label) in known for label in labels)
