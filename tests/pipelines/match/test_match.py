import json
import tarfile
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import ArtifactError, InputError, UsageError
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.inputs.readers import plan_parts, read_part
from curate.pipelines.lid.options import LidOptions
from curate.pipelines.match import MatchOptions, match_inputs, match_table
from curate.pipelines.matched.plan import MatchedPlan
from tests.pipelines.helpers import (
    WORDS,
    contents,
    match,
    png,
    read_pairs,
    texts,
    write_metadata,
    write_pairs,
)
from tests.reference import count_entries, match_text


@pytest.fixture
def english(tmp_path):
    return write_metadata(tmp_path / "metadata", {"en": WORDS})


def entries_of(metadata, lang="en"):
    return pq.read_table(metadata / f"{lang}.parquet").column("entry").to_pylist()


def test_matches_and_counts_are_those_of_the_naive_reference(tmp_path, english):
    values = texts(300)
    summary = match([write_pairs(tmp_path / "a.parquet", values)], english, tmp_path / "out")
    entries = entries_of(english)
    expected = [match_text(entries, text, "standard") for text in values]
    pairs = read_pairs(tmp_path / "out")
    assert pairs.column("entry_ids").to_pylist() == [ids for ids in expected if ids]
    counts = pq.read_table(tmp_path / "out/counts/en.parquet")
    assert counts.column("count").to_pylist() == count_entries(expected, len(entries))
    assert counts.column("entry").to_pylist() == entries
    assert summary["read"] == 300 == summary["matched"] + sum(summary["dropped"].values())


def test_artifacts_have_the_columns_and_stamps_of_the_contract(tmp_path, english):
    match([write_pairs(tmp_path / "a.parquet", texts(9), extra=range(9))], english, tmp_path / "o")
    file = pq.ParquetFile(tmp_path / "o/pairs/00000.parquet")
    assert file.schema_arrow.names == [
        "url", "text", "extra", "pair_id", "image_id", "lang", "lang_score", "entry_ids"
    ]  # fmt: skip
    assert file.schema_arrow.field("entry_ids").type == pa.list_(pa.uint32())
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    found = file.metadata.metadata
    file.close()
    assert found[b"schema_version"] == b"2" and len(found[b"metadata_hash"]) == 64
    counts = pq.read_schema(tmp_path / "o/counts/en.parquet")
    stamp = pq.read_metadata(tmp_path / "o/counts/en.parquet").metadata
    assert [str(counts.field(n).type) for n in ("entry_id", "entry", "count")] == [
        "uint32", "string", "uint64"
    ]  # fmt: skip
    assert (
        stamp[b"metadata_hash"].decode()
        == (json.loads((english / "manifest.json").read_text())["languages"]["en"]["sha256"])
    )


def test_the_pair_id_is_the_uid_or_the_hash_that_the_contract_fixes(tmp_path, english):
    write_pairs(tmp_path / "a.parquet", ["a dog"])
    match([tmp_path / "a.parquet"], english, tmp_path / "plain")
    row = read_pairs(tmp_path / "plain").to_pylist()[0]
    # sha224("https://example.org/0.jpg\ta dog"), sha224("https://example.org/0.jpg")
    assert (row["pair_id"], row["image_id"]) == (
        "c32bbadbe22d074c3b2b383b",
        "f85816b61b90402147684ad9",
    )
    write_pairs(tmp_path / "b.parquet", ["a dog"], uid=["mine"])
    match([tmp_path / "b.parquet"], english, tmp_path / "uid")
    assert read_pairs(tmp_path / "uid").column("pair_id").to_pylist() == ["mine"]


def test_every_kind_of_input_gives_the_same_matches(tmp_path, english):
    values = ["a red dog", "St. John's house", "nothing here", "blue, blue cat"]
    write_pairs(tmp_path / "in.parquet", values)
    urls = [f"https://example.org/{i}.jpg" for i in range(4)]
    rows = [{"url": u, "text": t} for u, t in zip(urls, values, strict=True)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "in.tsv").write_text(
        "url\ttext\n" + "".join(f"{r['url']}\t{r['text']}\n" for r in rows)
    )
    (tmp_path / "in.csv").write_text(
        "url,text\n" + "".join(f'{r["url"]},"{r["text"]}"\n' for r in rows)
    )
    with tarfile.open(tmp_path / "in.tar", "w") as tar:
        for i, row in enumerate(rows):
            for suffix, data in (
                ("png", png((9, 9, 9))),
                ("txt", row["text"].encode()),
                ("json", json.dumps({"url": row["url"]}).encode()),
            ):
                info = tarfile.TarInfo(f"{i:05d}.{suffix}")
                info.size = len(data)
                tar.addfile(info, BytesIO(data))
    found = {}
    for kind in ("parquet", "jsonl", "tsv", "csv", "tar"):
        match([tmp_path / f"in.{kind}"], english, tmp_path / kind)
        pairs = read_pairs(tmp_path / kind)
        found[kind] = pairs.select(["url", "image_id", "entry_ids"]).to_pylist()
        if kind != "tar":  # whose keys are ids of their own
            found[kind] = list(zip(found[kind], pairs.column("pair_id").to_pylist(), strict=True))
    assert len(found["parquet"]) == 3
    assert found["parquet"] == found["jsonl"] == found["tsv"] == found["csv"]
    assert found["tar"] == [row for row, _ in found["parquet"]]


def test_workers_and_order_of_files_change_no_pair(tmp_path, english):
    files = [write_pairs(tmp_path / f"{i}.parquet", texts(60, i), first=60 * i) for i in range(3)]
    match(files, english, tmp_path / "one")
    match(files, english, tmp_path / "two", workers=2)
    match(files[::-1], english, tmp_path / "back")
    assert contents(tmp_path / "one" / "pairs") == contents(tmp_path / "two" / "pairs")
    assert contents(tmp_path / "one" / "counts") == contents(tmp_path / "two" / "counts")
    by_id = [read_pairs(tmp_path / d).sort_by("pair_id").to_pylist() for d in ("one", "back")]
    assert by_id[0] == by_id[1]


@pytest.mark.parametrize("num_files", [1, 3])
def test_output_is_byte_identical_for_1_2_and_8_threads(tmp_path, num_files):
    metadata = write_metadata(tmp_path / "metadata", {"en": WORDS, "de": ["rot", "Hund"]})
    values = [t for i in range(700) for t in (*texts(3, i), "der Hund ist rot und alt")]
    per_file = len(values) // num_files
    files = [
        write_pairs(tmp_path / f"{i}.parquet", values[i * per_file : (i + 1) * per_file], first=i)
        for i in range(num_files)
    ]
    for workers in (1, 2, 8):
        output = tmp_path / f"by_{workers}"
        match(files, metadata, output, lang=None, workers=workers)
        balance_pairs(
            matched=str(output), output=str(output / "balanced"), quiet=True, workers=workers,
            options=BalanceOptions(t=5),
        )  # fmt: skip
    one = contents(tmp_path / "by_1")
    assert one and one == contents(tmp_path / "by_2") == contents(tmp_path / "by_8")


def test_new_files_are_added_and_old_ones_not_matched_again(tmp_path, english):
    a = write_pairs(tmp_path / "a.parquet", texts(20))
    b = write_pairs(tmp_path / "b.parquet", texts(20, 1), first=20)
    match([a], english, tmp_path / "out")
    before = (tmp_path / "out/pairs/00000.parquet").stat().st_mtime_ns
    both = match([a, b], english, tmp_path / "out")
    assert (tmp_path / "out/pairs/00000.parquet").stat().st_mtime_ns == before
    assert both["read"] == 40
    at_once = match([a, b], english, tmp_path / "at_once")
    assert contents(tmp_path / "out/counts").keys() == contents(tmp_path / "at_once/counts").keys()
    assert both["languages"] == at_once["languages"]


def test_a_run_without_new_work_changes_nothing(tmp_path, english):
    a = write_pairs(tmp_path / "a.parquet", texts(20))
    first = match([a], english, tmp_path / "out")
    files = contents(tmp_path / "out")
    again = match([a], english, tmp_path / "out")
    assert (first.pop("inputs_added"), again.pop("inputs_added")) == (1, 0)
    written = json.loads((tmp_path / "out/summary.json").read_text())
    assert written.pop("checksum") and again == first == written
    assert contents(tmp_path / "out") == files


def test_other_parameters_are_refused_with_what_differs_until_overwrite(tmp_path, english):
    a = write_pairs(tmp_path / "a.parquet", texts(20))
    match([a], english, tmp_path / "out")
    with pytest.raises(ArtifactError, match=r'normalization.*"standard".*"metaclip"'):
        match([a], english, tmp_path / "out", normalization="metaclip")
    match([a], english, tmp_path / "out", normalization="metaclip", overwrite=True)
    plan = MatchedPlan.read(str(tmp_path / "out"))
    assert plan.parameters["normalization"] == "metaclip"


def test_other_metadata_is_refused(tmp_path, english):
    a = write_pairs(tmp_path / "a.parquet", texts(20))
    match([a], english, tmp_path / "out")
    write_metadata(english, {"en": [*WORDS, "new"]})
    with pytest.raises(ArtifactError, match="metadata of en has changed since: run `curate match"):
        match([a], english, tmp_path / "out")


def test_an_input_that_changed_is_refused(tmp_path, english):
    a = write_pairs(tmp_path / "a.parquet", texts(20))
    match([a], english, tmp_path / "out")
    write_pairs(tmp_path / "a.parquet", texts(30))
    with pytest.raises(ArtifactError, match=r"a\.parquet, which has changed"):
        match([a], english, tmp_path / "out")


def test_a_dry_run_writes_nothing(tmp_path, english):
    a = write_pairs(tmp_path / "a.parquet", texts(20))
    plan = match([a], english, tmp_path / "out", dry_run=True)
    assert plan == {"inputs": 1, "parts": 1, "parts_to_do": 1,
                    "matched_before": [], "new": [str(a)]}  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_languages_are_identified_and_those_without_metadata_counted(tmp_path):
    metadata = write_metadata(tmp_path / "metadata", {"en": ["dog"], "de": ["Hund"]})
    values = [
        "the dog is running in the park with the other dogs",
        "der Hund läuft mit den anderen Hunden durch den Park",
        "le chien court dans le parc avec les autres chiens",
    ]
    a = write_pairs(tmp_path / "a.parquet", values)
    summary = match([a], metadata, tmp_path / "out", lang=None)
    assert summary["languages"]["fr"] == {
        "read": 1, "matched": 0, "dropped": {"no_metadata": 1}
    }  # fmt: skip
    pairs = read_pairs(tmp_path / "out")
    assert pairs.column("lang").cast(pa.string()).to_pylist() == ["en", "de"]
    assert all(0.5 < s <= 1.01 for s in pairs.column("lang_score").to_pylist())


def test_a_language_column_is_believed(tmp_path):
    metadata = write_metadata(tmp_path / "metadata", {"en": ["x"], "zh": ["狗"]})
    labels = ["zh-TW", "en", "EN", "eng", "en_US", "lrc"]
    a = write_pairs(tmp_path / "a.parquet", ["狗 x"] * len(labels), lang=labels)
    summary = match([a], metadata, tmp_path / "out", lang=None)
    matched = {lang: v["matched"] for lang, v in summary["languages"].items()}
    assert matched == {"zh": 1, "en": 4, "other": 0} and "unknown_labels" not in summary
    assert read_pairs(tmp_path / "out").column("lang_score").null_count == 5


@pytest.mark.parametrize("lid_engine", ["compiled", "fasttext"])
def test_texts_of_unknown_labels_are_identified_as_without_a_column(tmp_path, lid_engine):
    metadata = write_metadata(tmp_path / "metadata", {"en": ["dog"], "de": ["Hund"]})
    values = [
        "the dog is running in the park with the other dogs",
        "der Hund läuft mit den anderen Hunden durch den Park",
    ]
    labels = ["Deutsch", "de", None, "Deutsch", "", "und"]
    a = write_pairs(tmp_path / "a.parquet", values * 3, lang=labels)
    summary = match([a], metadata, tmp_path / "out", lang=None, lid_engine=lid_engine)
    assert summary["unknown_labels"] == {"rows": 3, "first": {"Deutsch": 2, "und": 1}}
    assert summary["matched"] == 6 and {*summary["languages"]} == {"en", "de"}
    told = read_pairs(tmp_path / "out").sort_by("url").to_pylist()
    plain = write_pairs(tmp_path / "plain.parquet", values * 3)
    match([plain], metadata, tmp_path / "plain", lang=None, lid_engine=lid_engine)
    identified = read_pairs(tmp_path / "plain").sort_by("url").to_pylist()
    for at, (row, expected) in enumerate(zip(told, identified, strict=True)):
        score = None if at == 1 else expected["lang_score"]
        assert (row["lang"], row["lang_score"]) == (expected["lang"], score)


def test_a_label_with_a_script_says_which_language_is_meant(tmp_path):
    metadata = write_metadata(tmp_path / "metadata", {"als": ["x"], "sq": ["x"]})
    a = write_pairs(tmp_path / "a.parquet", ["x"] * 3, lang=["als_Latn", "als", "hin_Latn"])
    summary = match([a], metadata, tmp_path / "out", lang=None)
    matched = {lang: v["matched"] for lang, v in summary["languages"].items()}
    assert matched == {"sq": 1, "als": 1, "other": 0}


def test_an_unknown_language_is_refused(tmp_path, english):
    a = write_pairs(tmp_path / "a.parquet", ["x"])
    with pytest.raises(UsageError, match="no metadata for language 'xx'.*it has en"):
        match([a], english, tmp_path / "out", lang="xx")


def test_a_large_file_is_cut_at_row_groups_into_parts_of_known_rows(tmp_path):
    a = write_pairs(tmp_path / "a.parquet", texts(90))
    parts = plan_parts(str(a), "sha", rows_per_part=40)
    assert [(p.row_groups, p.first_row, p.num_rows) for p in parts] == [
        ((0, 2), 0, 60), ((2, 3), 60, 30)
    ]  # fmt: skip
    rows = [r for p in parts for r in read_part(p)]
    assert [r.first_row for r in rows] == [0, 60]  # small row groups come together
    assert sum(r.batch.num_rows for r in rows) == 90


@pytest.mark.parametrize(
    "kind",
    [pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int8(), pa.string())],
)
def test_texts_of_every_string_type_match(tmp_path, english, kind):
    texts = pa.array(["a dog", None, "x"]).cast(pa.string())
    texts = texts.dictionary_encode() if pa.types.is_dictionary(kind) else texts.cast(kind)
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
    summary = match([tmp_path / "a.parquet"], english, tmp_path / "o", max_bad=1)
    assert (summary["matched"], summary["dropped"]) == (1, {"no_match": 1, "null_text": 1})


LID_TEXTS = [
    "a red dog in the park with a man",
    "IMG_1234.JPG",
    "2020",
    "犬",
    "der rote Hund im Park",
]


def test_texts_in_no_language_are_dropped_counted_or_matched_as_told(tmp_path):
    metadata = write_metadata(tmp_path / "metadata", {"en": [*WORDS, "2020"], "de": ["Hund"]})
    write_pairs(tmp_path / "in.parquet", LID_TEXTS)
    for choice in ("drop", "en"):
        lid = LidOptions(second="none", no_language=choice)
        found = match_inputs(
            [str(tmp_path / "in.parquet")], metadata=str(metadata), output=str(tmp_path / choice),
            options=MatchOptions(lid=lid), quiet=True,
        )  # fmt: skip
        assert found["language_decided_by"] == {
            "file_name": 1, "first": 2, "no_evidence": 1, "no_letters": 1
        }  # fmt: skip
        assert found["dropped"].get("no_language", 0) == (3 if choice == "drop" else 0)
        assert found["matched"] == (2 if choice == "drop" else 3)
        assert "none: a file's name 1" in match_table(found, "matched")


def test_the_page_decides_over_what_the_model_does_not_know(tmp_path):
    metadata = write_metadata(tmp_path / "metadata", {"da": ["Hund"], "de": ["Hund"], "en": WORDS})
    pq.write_table(
        pa.table(
            {"text": ["Hund", "Hund", "der rote Hund im Park"], "page_lang": ["da-DK", "", "da"]}
        ),
        tmp_path / "in.parquet",
    )
    found = match_inputs(
        [str(tmp_path / "in.parquet")], metadata=str(metadata), output=str(tmp_path / "m"),
        options=MatchOptions(lid=LidOptions(second="none")), quiet=True,
    )  # fmt: skip
    assert found["language_decided_by"] == {"first": 1, "no_evidence": 1, "prior": 1}
    assert {lang: one["matched"] for lang, one in found["languages"].items() if lang} == {
        "da": 1, "de": 1
    }  # fmt: skip


def test_a_missing_second_model_is_an_error_and_other_ways_are_refused(tmp_path, english):
    write_pairs(tmp_path / "in.parquet", LID_TEXTS)

    def run(**lid):
        return match_inputs(
            [str(tmp_path / "in.parquet")], metadata=str(english), output=str(tmp_path / "m"),
            options=MatchOptions(lid=LidOptions(**lid)), quiet=True,
        )  # fmt: skip

    with pytest.raises(InputError, match=r"no such file; expected cld2, heli, none.*Apache-2.0"):
        run(second=str(tmp_path / "glotlid.bin"))
    assert "language_decided_by" not in run(kind="published")
    with pytest.raises(ArtifactError, match="lid"):
        run(second="none")
    with pytest.raises(UsageError, match="--no-language is 'Klingon'"):
        LidOptions(no_language="Klingon")
