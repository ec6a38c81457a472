"""Second opinions of users' own models, and what stands beside a text, through the whole stage."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import ArtifactError, InputError, UsageError
from curate.pipelines.inputs.records import Records
from curate.pipelines.lid.addresses import languages_of_addresses
from curate.pipelines.lid.options import LidOptions
from curate.pipelines.lid.priors import priors_of
from curate.pipelines.match import MatchOptions, match_inputs
from tests.curation.lid.models import write_classifier
from tests.pipelines.helpers import WORDS, contents, write_metadata

# Words that lid.176 takes for other languages or knows nothing of.
MAORI = ["kurī whero", "he ngeru nui", "kurī nui", "ngeru pango kei te moe"]


@pytest.fixture(scope="module")
def own_model(tmp_path_factory):
    """A fastText model as users bring them: labels with scripts, one of them for no language."""
    labels = ["__label__mri_Latn", "__label__eng_Latn", "__label__zxx_Zxxx"]
    words = {"</s>": None} | {word: 0 for text in MAORI for word in text.split()}
    words |= dict.fromkeys(["red", "dog", "park"], 1) | dict.fromkeys(["qx", "zz"], 2)
    rows = np.zeros((len(words), len(labels)))
    for row, label in zip(rows, words.values(), strict=True):
        row[label if label is not None else slice(0)] = 8
    path = tmp_path_factory.mktemp("model") / "own.bin"
    write_classifier(path, list(words), labels, rows, np.eye(len(labels)))
    return str(path)


@pytest.fixture
def metadata(tmp_path):
    entries = {"en": WORDS, "mi": ["kurī", "ngeru"], "da": ["Hund"], "de": ["Hund"]}
    return write_metadata(tmp_path / "metadata", entries)


def write(path, **columns):
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return str(path)


def run(source, metadata, output, **lid):
    return match_inputs(
        [source], metadata=str(metadata), output=str(output),
        options=MatchOptions(lid=LidOptions(**lid)), quiet=True,
    )  # fmt: skip


def matched(summary):
    return {lang: one["matched"] for lang, one in summary["languages"].items() if one["matched"]}


def test_a_model_of_the_user_decides_where_the_first_is_unsure(tmp_path, metadata, own_model):
    source = write(tmp_path / "in.parquet", text=[*MAORI, "a red dog in the park with a man"])
    alone = run(source, metadata, tmp_path / "alone", second="none")
    assert matched(alone) == {"en": 1}
    both = run(source, metadata, tmp_path / "both", second=own_model)
    assert matched(both) == {"en": 1, "mi": 4}
    assert both["language_decided_by"]["second"] == 4


def test_its_label_for_no_language_is_no_vote(tmp_path, metadata, own_model):
    source = write(tmp_path / "in.parquet", text=["犬", "qx zz jj vv"])
    found = run(source, metadata, tmp_path / "m", second=own_model)
    assert "second" not in found["language_decided_by"]


def test_another_second_opinion_is_another_run(tmp_path, metadata, own_model):
    source = write(tmp_path / "in.parquet", text=MAORI)
    run(source, metadata, tmp_path / "m", second=own_model)
    with pytest.raises(ArtifactError, match="same fastText model with --second-opinion"):
        run(source, metadata, tmp_path / "m", second="none")
    run(source, metadata, tmp_path / "n", second="none")
    with pytest.raises(ArtifactError, match="add --second-opinion none; or --overwrite"):
        run(source, metadata, tmp_path / "n", second=own_model)
    run(source, metadata, tmp_path / "p", kind="published")
    with pytest.raises(ArtifactError, match="Add --lid published"):
        run(source, metadata, tmp_path / "p", second="none")


@pytest.mark.parametrize("content", [b"", b"no model at all", None], ids=["empty", "text", "none"])
def test_a_file_that_is_no_model_is_refused_by_name(tmp_path, metadata, content):
    model = tmp_path / "own.bin"
    if content is not None:
        model.write_bytes(content)
    source = write(tmp_path / "in.parquet", text=MAORI)
    with pytest.raises((InputError, UsageError), match=r"own\.bin"):
        run(source, metadata, tmp_path / "m", second=str(model))


@pytest.mark.parametrize("second", ["cld2", "own"])
def test_any_number_of_workers_finds_the_same_languages(tmp_path, metadata, own_model, second):
    if second == "cld2":
        pytest.importorskip("pycld2", reason="pip install 'curate-clip[lid]'")
    rows = [*MAORI, "Hund", "犬", "chien", "un perro", "a red dog", "two cats", "IMG_1.jpg"] * 3
    source = write(tmp_path / "in.parquet", text=rows)
    lid = LidOptions(second=own_model if second == "own" else second)
    for workers in (1, 2):
        match_inputs(
            [source],
            metadata=str(metadata),
            output=str(tmp_path / str(workers)),
            quiet=True,
            options=MatchOptions(lid=lid, rows_per_part=6),
            workers=workers,
        )
    assert contents(tmp_path / "1/pairs") == contents(tmp_path / "2/pairs")
    assert contents(tmp_path / "1/counts") == contents(tmp_path / "2/counts")


def test_the_countrys_language_counts_where_it_is_asked_for(tmp_path, metadata):
    urls = ["https://foto.dk/1.jpg", "https://bild.de/2.jpg", "https://x.tv/3.jpg", None]
    source = write(tmp_path / "in.parquet", text=["Hund"] * 4, url=urls)
    without = run(source, metadata, tmp_path / "without", second="none")
    assert matched(without) == {}
    asked = run(source, metadata, tmp_path / "asked", second="none", address_prior=True)
    assert matched(asked) == {"da": 1, "de": 1}
    assert asked["language_decided_by"] == {"no_evidence": 2, "prior": 2}


def test_a_prior_does_not_move_a_sure_answer(tmp_path, metadata):
    text = "der rote Hund läuft durch den Park und bellt"
    source = write(tmp_path / "in.parquet", text=[text], url=["https://foto.dk/1.jpg"],
                   page_lang=["da"])  # fmt: skip
    found = run(source, metadata, tmp_path / "m", second="none", address_prior=True)
    assert matched(found) == {"de": 1}


def test_another_column_serves_as_prior_and_a_missing_one_is_an_error(tmp_path, metadata):
    source = write(tmp_path / "in.parquet", text=["Hund", "Hund"], site=["da_DK", None])
    found = run(source, metadata, tmp_path / "m", second="none", prior_column="site")
    assert matched(found) == {"da": 1}
    with pytest.raises(InputError, match=r"in.parquet: .*no column 'locale'.*site.*--prior-column"):
        run(source, metadata, tmp_path / "n", second="none", prior_column="locale")
    assert not (tmp_path / "n/plan.json").exists()


def test_a_table_of_a_pool_without_the_column_goes_without_it_and_that_is_said(
    tmp_path, metadata, capsys
):
    write(tmp_path / "a.parquet", text=["Hund"], site=["da"])
    write(tmp_path / "b.parquet", text=["Hund"])
    lid = LidOptions(second="none", prior_column="site")
    found = match_inputs(
        [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")], metadata=str(metadata),
        output=str(tmp_path / "m"), options=MatchOptions(lid=lid),
    )  # fmt: skip
    assert found["language_decided_by"] == {"no_evidence": 1, "prior": 1}
    assert "b.parquet: there is no column 'site'" in capsys.readouterr().err


PAGES = {
    "list": pa.array([["da"]] * 2), "struct": pa.array([{"lang": "da"}] * 2),
    "number": pa.array([1, 2]), "bytes": pa.array([b"da\xff", b"da"]),
    "dictionary": pa.array(["da", None]).dictionary_encode(),
    "view": pa.array(["da", None], pa.string_view()), "null": pa.nulls(2),
}  # fmt: skip


@pytest.mark.parametrize("kind", PAGES)
def test_a_column_that_nobody_named_stops_nothing(tmp_path, metadata, kind, capsys):
    source = write(tmp_path / "in.parquet", text=["Hund", "Hund"], page_lang=PAGES[kind])
    found = match_inputs([source], metadata=str(metadata), output=str(tmp_path / "m"),
                         options=MatchOptions(lid=LidOptions(second="none")))  # fmt: skip
    is_read = kind in ("bytes", "dictionary", "view")
    assert matched(found) == ({"da": 1} if is_read else {})
    assert ("column 'page_lang' is" in capsys.readouterr().err) == (not is_read)


def test_a_language_is_named_in_any_case(tmp_path, metadata):
    for name in ("EN", "eng", "en-US"):
        assert LidOptions(no_language=name).no_language == name
    found = run(write(tmp_path / "no.parquet", text=["IMG_1234"]), metadata, tmp_path / "m",
                second="none", no_language="EN")  # fmt: skip
    assert found["languages"]["en"]["read"] == 1
    with pytest.raises(UsageError, match="expected drop, other or a language's code"):
        LidOptions(no_language="english")


def test_labels_that_are_no_codes_and_numbers_say_nothing():
    batch = pa.record_batch({"page_lang": ["Deutsch", "", "x-default", None, "pt-BR", "other"]})
    records = Records(
        batch=batch, rows=np.arange(6), texts=pa.array(["Hund"] * 6), urls=None, uids=None,
        langs=None, columns=frozenset(), image=None,
    )  # fmt: skip
    (prior,) = priors_of(LidOptions(second="none"), records)
    assert prior.langs.to_pylist() == [None, None, None, None, "pt", None]
    assert priors_of(LidOptions(second="none", prior_column=""), records) == []


def test_countries_are_found_in_addresses_of_every_form():
    urls = [
        "https://user:x@A.DE:8080/p?q=.fr", "http://b.fr?x", "ftp://c.jp#f", "//d.it/x", "e.it",
        "https://f.co.uk/", "https://10.0.0.1/x.de", "", "https://example.com/a.dk/", "https://g.tv",
    ]  # fmt: skip
    found = languages_of_addresses(pa.array([*urls, None])).to_pylist()
    assert found == ["de", "fr", "ja", *[None] * 8]
