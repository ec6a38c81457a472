"""`other` is for a set of labels, says for which, and is made anew without building anything."""

import pyarrow.parquet as pq
import pytest

from curate.curation.lid.identify import default_lid_model
from curate.errors import UsageError
from curate.metadata.languages import labels_of
from curate.pipelines.match import label_hint
from curate.pipelines.match.label_hint import hint_at_labels
from curate.pipelines.match.stage import MatchOptions, match_inputs
from curate.pipelines.store.metadata_store import MetadataStore
from tests.pipelines.build_metadata.test_build_metadata import build, write_dump
from tests.pipelines.helpers import write_pairs

# haw: a label of GlotLID and of no other set; ace: of NLLB-200 too; de: of all.
WIKIS = {"de": "Hund", "haw": "aloha", "ace": "meunan"}


@pytest.fixture
def sources(tmp_path):
    for wiki, word in WIKIS.items():
        write_dump(tmp_path / "dumps", wiki, [("T", f"{word} " * 9)])
    return tmp_path


def build_all(sources, **options):
    return build(sources, "all", kinds="unigram", **options)


def words(sources):
    rows = pq.read_table(sources / "metadata/other.parquet").to_pylist()
    return {row["entry"] for row in rows if row["source"] == "unigram"}


def test_other_is_of_what_no_label_of_the_set_leads_to(sources):
    manifest = build_all(sources)
    assert words(sources) == {"aloha", "meunan"}
    assert manifest["languages"]["other"]["made_from"]["lid_labels"] == "lid176"
    built = (sources / "metadata/haw.parquet").stat().st_mtime_ns
    manifest = build_all(sources, lid_labels="nllb")
    assert words(sources) == {"aloha"}
    assert manifest["languages"]["other"]["made_from"]["lid_labels"] == "nllb"
    assert (sources / "metadata/haw.parquet").stat().st_mtime_ns == built
    # Where nobody names another set, it stays.
    assert build_all(sources)["languages"]["other"] == manifest["languages"]["other"]


def test_where_every_language_has_a_label_there_is_no_other(sources, capsys):
    build_all(sources)
    manifest = build_all(sources, lid_labels="glotlid", quiet=False)
    assert "other" not in manifest["languages"]
    assert not list((sources / "metadata").glob("other*"))
    assert "made anew for the labels of glotlid; it was for lid176" in capsys.readouterr().err


def test_other_follows_a_language_that_is_built_again_by_name(sources):
    build_all(sources)
    write_dump(sources / "dumps", "haw", [("T", "mahalo " * 9)])
    build(sources, "haw", kinds="unigram", overwrite=True)
    assert words(sources) == {"mahalo", "meunan"}


def test_a_set_of_labels_that_is_none(sources):
    with pytest.raises(UsageError, match="--lid-labels is 'cld3'; expected one of lid176, nllb"):
        build_all(sources, lid_labels="cld3")


def hint(sources, capsys, labels, monkeypatch):
    monkeypatch.setattr(label_hint, "_labels", lambda _: tuple(labels))
    capsys.readouterr()
    hint_at_labels(MetadataStore.open(str(sources / "metadata")), "model.bin", quiet=False)
    return capsys.readouterr().err


def test_a_model_of_other_labels_is_hinted_at(sources, capsys, monkeypatch):
    build_all(sources)
    found = hint(sources, capsys, labels_of("nllb"), monkeypatch)
    assert "built for the labels of lid176" in found and "--lid-labels nllb" in found
    assert "it holds 1 that have labels of their own (ace)" in found
    build_all(sources, lid_labels="nllb")
    assert hint(sources, capsys, labels_of("nllb"), monkeypatch) == ""
    found = hint(sources, capsys, labels_of("lid176"), monkeypatch)
    assert "it lacks 1 that no label leads to (ace)" in found
    # A model of one's own with some of the labels, or others that lead to the same.
    assert hint(sources, capsys, ["deu_Latn", "ace_Latn"], monkeypatch) == ""
    assert hint(sources, capsys, ["de", "ace_Latn"], monkeypatch) == ""
    found = hint(sources, capsys, ["de", "tlh"], monkeypatch)
    assert "(ace)" in found and "--lid-labels" not in found


def test_the_labels_are_those_in_the_model(sources, capsys):
    assert set(label_hint._labels(default_lid_model())) == set(labels_of("lid176"))
    build_all(sources, lid_labels="nllb")
    capsys.readouterr()
    for lid_model in (None, default_lid_model()):
        hint_at_labels(MetadataStore.open(str(sources / "metadata")), lid_model, quiet=False)
    assert capsys.readouterr().err.count("hint: `other` was built for the labels of nllb") == 2


def test_matching_says_so_before_it_begins(sources, capsys):
    build_all(sources, lid_labels="nllb")
    pairs = write_pairs(sources / "in.parquet", ["ein Hund im Park ist gut"])
    folders = {"metadata": str(sources / "metadata"), "output": str(sources / "matched")}
    match_inputs([str(pairs)], options=MatchOptions(), **folders)
    assert "hint: `other` was built for the labels of nllb" in capsys.readouterr().err
    match_inputs([str(pairs)], options=MatchOptions(lang="de"), overwrite=True, **folders)
    assert "hint" not in capsys.readouterr().err
