import doctest
from importlib.metadata import EntryPoint

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import examples.filters
from curate.errors import ArtifactError, CurateError, InputError, UsageError
from curate.files import storage
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.inputs import filters
from curate.pipelines.inputs.filters import load_filters
from curate.pipelines.yields.stage import measure_yields
from tests.pipelines.crawl_helpers import extract, response, rows, write_crawl
from tests.pipelines.helpers import match, texts, write_metadata, write_pairs

EXAMPLE = "examples.filters:no_contact_data"


def batch(*pairs):
    urls, found = zip(*pairs, strict=True)
    return pa.record_batch(
        {"text": pa.array(found, pa.string()), "url": pa.array(urls, pa.string())}
    )


def no_cats(rows):
    return np.array(["cat" not in text for text in rows.column("text").to_pylist()])


def not_a_mask(rows):
    return [1] * rows.num_rows


def one_word(batch):
    return [True] * batch.num_rows, "too_short"


def one_truth(batch):
    return batch.num_rows > 0


def a_tuple_of_one(batch):
    return ([True] * batch.num_rows,)


def too_short(rows):
    return [True]


def failing(rows):
    raise ValueError("no model here")


def needs(word):
    return lambda rows: pa.array([word in t for t in rows.column("text").to_pylist()])


NOT_CALLABLE = 3
HERE = "tests.pipelines.inputs.test_filters"


def test_built_in_filters_count_under_their_names(tmp_path):
    (tmp_path / "list.txt").write_text(
        "# taken down\nexample.org\n*.Bücher.example\nhttps://a.example/one.jpg\n\n", "utf-8"
    )
    chosen = load_filters(["text-length=3:8", "url-length=40", f"blocklist={tmp_path}/list.txt"])
    keep, dropped = chosen.keep(
        batch(
            ("https://a.example/1.jpg", "ab"),
            ("https://a.example/2.jpg", "123456789"),
            ("https://a.example/3.jpg", "äöü"),
            ("https://a.example/" + "x" * 40, "a dog"),
            ("https://IMG.example.org:8080/4.jpg", "a dog"),
            ("https://notexample.org/5.jpg", "a dog"),
            ("https://u@xn--bcher-kva.example/6.jpg", "a dog"),
            ("https://a.example/one.jpg", "a dog"),
            (None, "a dog"),
        )
    )
    assert np.flatnonzero(keep).tolist() == [2, 5, 8]
    assert dropped == {"text-length": 2, "url-length": 1, "blocklist": 3}
    assert len(chosen.made_from[2]["sha256"]) == 64


def test_a_function_keeps_rows_and_gives_reasons():
    chosen = load_filters([EXAMPLE, f"{HERE}:no_cats", f"{HERE}:needs=dog"])
    keep, dropped = chosen.keep(
        batch(("a", "mail me@example.org"), ("b", "a cat"), ("c", "a dog"), ("d", "a cow"))
    )
    assert keep.tolist() == [False, False, True, False]
    assert dropped == {"no_contact_data:mail": 1, "no_cats": 1, "needs": 1}


def test_the_example_does_what_it_says():
    assert doctest.testmod(examples.filters).failed == 0
    assert doctest.testmod(examples.filters).attempted == 4


def test_an_installed_entry_point_is_found_by_its_name(monkeypatch):
    point = EntryPoint("cats", f"{HERE}:no_cats", filters.GROUP)
    monkeypatch.setattr(filters, "entry_points", lambda **_: [point])
    keep, dropped = load_filters(["cats"]).keep(batch(("a", "a cat"), ("b", "a dog")))
    assert keep.tolist() == [False, True] and dropped == {"cats": 1}
    with pytest.raises(UsageError, match="text-length, url-length, blocklist, cats"):
        load_filters(["dogs"])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("text-length=5", "expected MIN:MAX"),
        ("text-length=a:", "is no number"),
        ("url-length=", "is no number"),
        ("blocklist", "expected blocklist=FILE"),
        ("nothing", "there is no such filter"),
        ("no_such_module:f", "No module named"),
        (f"{HERE}:nothing", "no attribute"),
        (f"{HERE}:NOT_CALLABLE", "nothing that can be called"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(spec, message):
    with pytest.raises(UsageError, match=message):
        load_filters([spec])


def test_a_missing_blocklist_and_two_of_a_name_are_refused(tmp_path):
    with pytest.raises(InputError):
        load_filters([f"blocklist={tmp_path}/none.txt"])
    with pytest.raises(UsageError, match="two filters count their drops as 'text-length'"):
        load_filters(["text-length=3:", "text-length=:9"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("failing", "ValueError: no model here"),
        ("not_a_mask", "expected bool"),
        ("too_short", "answered for 1 rows; expected 2"),
        ("one_word", "it answered with 'too_short', expected an array of string, one for a row"),
        ("one_truth", "it answered with True, expected an array of bool"),
        ("a_tuple_of_one", "it answered with 1 arrays, expected one or two"),
    ],
)
def test_a_filter_that_fails_says_which_and_why(name, message):
    with pytest.raises(CurateError, match=f"filter {name}.*{message}"):
        load_filters([f"{HERE}:{name}"]).keep(batch(("a", "x"), ("b", "y")))


def test_extract_counts_filters_and_keeps_them_in_its_stamp(tmp_path):
    html = "<img src=a.png alt='a dog'><img src=b.png alt='a cat'><img src=c.png alt='x@y.example'>"
    path = write_crawl(tmp_path / "a.warc.gz", [response(html)])
    chosen = (EXAMPLE, f"{HERE}:no_cats")
    result = extract([path], tmp_path / "pairs", filters=chosen)
    assert [text for _, text, _ in rows(tmp_path / "pairs")] == ["a dog"]
    assert result["dropped"] == {"no_cats": 1, "no_contact_data:mail": 1}
    with pytest.raises(ArtifactError, match="filters"):
        extract([path], tmp_path / "pairs", filters=chosen[:1])


def test_an_edited_filter_is_another_filter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "edited_filter.py").write_text("def f(rows): return [True] * rows.num_rows\n")
    before = load_filters(["edited_filter:f"]).made_from
    (tmp_path / "edited_filter.py").write_text("def f(rows): return [False] * rows.num_rows\n")
    assert load_filters(["edited_filter:f"]).made_from != before


@pytest.fixture
def pool(tmp_path):
    metadata = write_metadata(tmp_path / "metadata", {"en": ["red", "dog", "cat", "house"]})
    values = [f"{text} {i}" for i, text in enumerate(texts(600))]
    return metadata, write_pairs(tmp_path / "in" / "a.parquet", values)


def test_match_leaves_out_what_a_filter_drops_and_the_sums_hold(tmp_path, pool):
    metadata, path = pool
    plain = match([path], metadata, tmp_path / "plain")
    result = match([path], metadata, tmp_path / "matched", filters=(f"{HERE}:no_cats",))
    num_cats = sum("cat" in t for t in pq.read_table(path).column("text").to_pylist())
    assert result["dropped"]["no_cats"] == num_cats > 0
    assert result["read"] == plain["read"] == result["matched"] + sum(result["dropped"].values())
    found = pq.read_table(tmp_path / "matched" / "pairs").column("text").to_pylist()
    assert found and not any("cat" in text for text in found)
    with pytest.raises(ArtifactError, match="filters"):
        match([path], metadata, tmp_path / "matched")


def test_match_finds_text_and_url_under_the_input_s_names(tmp_path):
    metadata = write_metadata(tmp_path / "metadata", {"en": ["dog"]})
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"TEXT": ["a dog", "a cat dog"], "URL": ["u1", "u2"]}), path)
    result = match([path], metadata, tmp_path / "m", filters=(f"{HERE}:no_cats", "url-length=9"))
    assert result["matched"] == 1 and result["dropped"] == {"no_cats": 1}


@pytest.mark.parametrize("workers", [1, 2])
def test_balance_drops_drawn_pairs_that_a_filter_drops(tmp_path, pool, workers):
    metadata, path = pool
    match([path], metadata, tmp_path / "matched")

    def run(name, *chosen):
        options = BalanceOptions(t=30, filters=chosen)
        return balance_pairs(
            matched=str(tmp_path / "matched"), output=str(tmp_path / name), options=options,
            workers=workers, quiet=True,
        )["total"]  # fmt: skip

    plain, filtered = run("plain"), run("filtered", f"{HERE}:no_cats")
    assert filtered["kept"] == plain["kept"] - filtered["filtered"]["no_cats"] > 0
    assert filtered["not_sampled"] == plain["not_sampled"]
    kept = pq.read_table(tmp_path / "filtered" / "pairs").column("text").to_pylist()
    before = pq.read_table(tmp_path / "plain" / "pairs").column("text").to_pylist()
    assert kept == [text for text in before if "cat" not in text]
    command = storage.read_json(str(tmp_path / "filtered" / "datacard.json"))["command"]
    assert f"--filter {HERE}:no_cats" in command
    with pytest.raises(ArtifactError, match="filters"):
        run("filtered")


def test_yield_asks_the_filters_that_balance_asks(tmp_path, pool):
    metadata, path = pool
    match([path], metadata, tmp_path / "matched")
    kept = balance_pairs(
        matched=str(tmp_path / "matched"), output=str(tmp_path / "balanced"), quiet=True,
        options=BalanceOptions(t=30, filters=(f"{HERE}:no_cats",)),
    )["total"]["kept"]  # fmt: skip

    def run(*chosen, **options):
        return measure_yields(
            matched=str(tmp_path / "matched"), filters=chosen, quiet=True, **options
        )

    plain, filtered = run(grid="30"), run(f"{HERE}:no_cats", grid="30")
    assert filtered["yields"][0]["kept"] == kept < plain["yields"][0]["kept"]
    assert filtered["yields"][0]["expected"] == plain["yields"][0]["expected"]
    assert plain["notes"] and not filtered["notes"]
    with pytest.raises(UsageError, match="before filters"):
        run(f"{HERE}:no_cats", pairs=5)
