import pytest

from metadata.errors import UsageError
from pipelines.balance import BalanceOptions, balance_pairs
from pipelines.explain import explain_text
from tests.pipelines.helpers import WORDS, match, texts, write_metadata, write_pairs


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace")
    metadata = write_metadata(folder / "metadata", {"en": WORDS})
    match([write_pairs(folder / "a.parquet", texts(200))], metadata, folder / "matched")
    return folder


def explain(folder, text, **options):
    return explain_text(
        text,
        metadata=str(folder / "metadata"),
        matched=str(folder / "matched"),
        balanced=str(folder / "balanced"),
        **options,
    )


def test_both_normalizations_are_shown_with_spans_counts_and_probability(workspace):
    found = explain(workspace, "St. John, (red dog)", lang="en", t=10)
    standard = found["normalizations"]["standard"]
    assert {m["entry"] for m in standard["matches"]} == {"St. John", "red", "dog", "red dog"}
    for m in standard["matches"]:
        start, stop = m["spans"][0]
        assert standard["normalized"][start:stop] in (m["entry"], "St . John")
        assert 0 < m["probability"] <= 1 and m["count"] > 0
    assert 0 < standard["probability"] <= 1 and "kept with probability" in standard["decision"]
    metaclip = found["normalizations"]["metaclip"]
    assert metaclip["matches"] == [] and metaclip["decision"] == "dropped: no entry matches"


def test_the_t_of_the_balanced_set_is_used(workspace):
    balance_pairs(
        matched=str(workspace / "matched"),
        output=str(workspace / "balanced"),
        options=BalanceOptions(t=7),
        quiet=True,
    )
    assert explain(workspace, "a red dog", lang="en")["t"] == 7


def test_a_language_without_metadata_is_said_so(workspace):
    found = explain(workspace, "le chien court dans le parc avec les autres chiens")
    assert found["decision"] == "dropped: there is no metadata for fr"
    with pytest.raises(UsageError, match="no metadata for language 'fr'"):
        explain(workspace, "x", lang="fr")


def test_t_below_one_is_refused(workspace):
    with pytest.raises(UsageError, match="--t is 0"):
        explain(workspace, "x", lang="en", t=0)
