"""Which inputs `match` takes, what it says of them, and that a failed run spoils no later one."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import ArtifactError, BadShareError, CurateError, InputError
from curate.files.patterns import expand
from curate.pipelines.executor.cluster import Cluster, use_cluster
from curate.pipelines.inputs.own_outputs import input_files
from curate.pipelines.inputs.records import ColumnNames, find_column
from curate.pipelines.match.stage import MatchOptions, match_inputs
from curate.pipelines.match.view import match_table
from tests.pipelines.helpers import (
    WORDS,
    contents,
    match,
    texts,
    write_metadata,
    write_pairs,
)


@pytest.fixture
def english(tmp_path):
    return write_metadata(tmp_path / "metadata", {"en": WORDS})


def write_other_columns(path, kind="parquet"):
    """Write a file whose texts stand in a column of no usual name."""
    rows = {"src": ["https://example.org/x.jpg"], "alternative": ["a red dog"]}
    if kind == "parquet":
        pq.write_table(pa.table(rows), path)
    elif kind == "jsonl":
        path.write_text(json.dumps({name: v[0] for name, v in rows.items()}) + "\n")
    else:
        path.write_text("src,alternative\nhttps://example.org/x.jpg,a red dog\n")
    return path


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
@pytest.mark.parametrize("is_first", [True, False])
def test_an_input_without_a_text_column_spoils_nothing(tmp_path, english, kind, is_first):
    bad = write_other_columns(tmp_path / f"bad.{kind}", kind)
    good = write_pairs(tmp_path / "good.parquet", texts(20))
    more = write_pairs(tmp_path / "more.parquet", texts(20, 1), first=20)
    out = tmp_path / "out"
    if not is_first:
        match([good], english, out)
    before = contents(out) if out.exists() else {}
    with pytest.raises(InputError, match=r"no text column; .* Name it with --text-column"):
        match([more, bad], english, out)
    assert (contents(out) if out.exists() else {}) == before
    match([good, more], english, out)
    match([good, more], english, tmp_path / "plain")
    assert contents(out) == contents(tmp_path / "plain")


def test_the_advice_to_name_the_text_column_can_be_taken(tmp_path, english):
    bad = write_other_columns(tmp_path / "mine.parquet")
    with pytest.raises(InputError, match="--text-column"):
        match([bad], english, tmp_path / "out")
    columns = ColumnNames(text="alternative")
    assert match([bad], english, tmp_path / "out", columns=columns)["matched"] == 1


@pytest.mark.parametrize("is_first", [True, False])
def test_an_unreadable_input_is_left_out_of_the_next_run(tmp_path, english, is_first, capfd):
    good = write_pairs(tmp_path / "good.parquet", texts(20))
    more = write_pairs(tmp_path / "more.parquet", texts(20, 1), first=20)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing more")
    out = tmp_path / "out"
    if not is_first:
        match([good], english, out)
    with pytest.raises(BadShareError, match="cannot be read whole"):
        match([tmp_path / "bad.parquet"], english, out)
    assert (out / "rejected" if is_first else out / ".adding/rejected").exists()
    planned = match([more], english, out, dry_run=True)
    assert (planned["new"], planned["parts_to_do"]) == ([str(more)], 1)
    summary = match_inputs(
        [str(more)], metadata=str(english), output=str(out), options=MatchOptions(lang="en")
    )
    why = "of which an earlier run got no pair" if is_first else "which an earlier run was to add"
    assert f"bad.parquet, {why}" in capfd.readouterr().err
    plain = tmp_path / "plain"
    for file in [more] if is_first else [good, more]:
        expected = match([file], english, plain)
    assert summary == expected and contents(out) == contents(plain)


def test_a_plan_of_which_nothing_is_matched_takes_other_parameters(tmp_path, english):
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(BadShareError):
        match([tmp_path / "bad.parquet"], english, tmp_path / "out")
    good = write_pairs(tmp_path / "good.parquet", texts(20))
    match([good], english, tmp_path / "out", normalization="metaclip")
    match([good], english, tmp_path / "plain", normalization="metaclip")
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")


def test_a_file_of_an_earlier_run_that_has_pairs_stays_and_is_named(tmp_path, english):
    """As after a kill: what was matched is not thrown away because other inputs are named."""
    a = write_pairs(tmp_path / "a.parquet", [*texts(20), None])
    b = write_pairs(tmp_path / "b.parquet", texts(20, 1), first=20)
    out = tmp_path / "out"
    with pytest.raises(BadShareError) as first:
        match([a], english, out)
    assert "earlier run" not in str(first.value)
    with pytest.raises(BadShareError, match=r"earlier run, whose .*: .*a\.parquet.*--overwrite"):
        match([b], english, out)
    with pytest.raises(ArtifactError, match="normalization"):
        match([b], english, out, normalization="metaclip")
    assert match([a, b], english, out, max_bad=0.1)["matched"] == 40
    assert match([b], english, out, overwrite=True)["inputs"] == 1


def test_what_a_run_adds_is_told(tmp_path, english):
    a = write_pairs(tmp_path / "a.parquet", texts(20))
    b = write_pairs(tmp_path / "b.parquet", texts(20, 1), first=20)
    assert "already matched" not in match_table(match([a], english, tmp_path / "out"), "out")
    plan = match([a, b], english, tmp_path / "out", dry_run=True)
    assert match_table(plan, "out").splitlines()[-2:] == [f"matched before: {a}", f"new: {b}"]
    both = match([b], english, tmp_path / "out")
    assert "added 1 file to 1 already matched" in match_table(both, "out")
    none = match([a], english, tmp_path / "out")
    assert "added no file to 2 already matched" in match_table(none, "out")


def test_inputs_of_the_same_content_are_named(tmp_path, english, capfd):
    a = write_pairs(tmp_path / "a.parquet", texts(20))
    (tmp_path / "copy.parquet").write_bytes(a.read_bytes())
    b = write_pairs(tmp_path / "b.parquet", texts(20, 1), first=20)
    for inputs in ([a], [a, b, tmp_path / "copy.parquet"], [a]):
        summary = match_inputs(
            [str(path) for path in inputs], metadata=str(english), output=str(tmp_path / "out"),
            options=MatchOptions(lang="en"),
        )  # fmt: skip
    assert summary["read"] == 40
    said = capfd.readouterr().err.splitlines()
    assert said[:2] == ["columns: texts from 'text', URLs from 'url'"] * 2
    assert said[2:] == [
        f"the same file as {tmp_path}/a.parquet, whose pairs are taken once: "
        f"{tmp_path}/copy.parquet"
    ]


def test_a_workspace_is_no_input_of_itself_unless_its_folder_is_named(tmp_path, english, capfd):
    workspace = tmp_path / "data"
    metadata = write_metadata(workspace / "metadata", {"en": WORDS})
    a = write_pairs(tmp_path / "pictures" / "a.parquet", texts(20))
    assert match([tmp_path / "pictures"], metadata, workspace / "matched")["read"] == 20
    found = workspace / "pairs" / "found.parquet"
    write_pairs(found, texts(20, 1), first=20)

    def inputs(*patterns):
        own = (f"{workspace}/matched", f"{workspace}/metadata")
        return input_files([f"{tmp_path}/{p}" for p in patterns], *own, quiet=False)

    english.rename(tmp_path / "_metadata")
    assert inputs("") == [f"{tmp_path}/{path.relative_to(tmp_path)}" for path in (found, a)]
    assert "left out, for they are of the workspace itself: " in capfd.readouterr().err
    assert inputs("*/*/*.parquet") == [str(found)]
    own = f"{workspace}/matched/pairs/00000.parquet"
    assert inputs("data/matched/pairs") == inputs("data/matched/*/00000.parquet")[:1] == [own]
    assert inputs("data/matched/pairs/00000.parquet", "data/matched/pairs") == [own]
    found.unlink()
    with pytest.raises(InputError, match="nothing but files of the workspace itself"):
        inputs("data")


def test_the_table_says_which_languages_have_no_metadata_and_where_rejects_are(tmp_path):
    metadata = write_metadata(tmp_path / "metadata", {"en": ["dog"], "ka": ["x"]})
    values = [None, "un chien", "un chat", "ein Hund", "x", "a dog"]
    labels = ["Englisch", "fr", "fr", "de", "lrc", "en"]
    a = write_pairs(tmp_path / "a.parquet", values, lang=labels)
    summary = match([a], metadata, tmp_path / "out", lang=None, max_bad=1.0)
    shown = match_table(summary, "data/matched").splitlines()
    assert shown == [
        "lang    read  matched  dropped",
        "(none)     1        0        1",
        "en         1        1        0",
        "4 texts are in 3 languages without metadata: fr 2, de 1, other 1",
        "to match them, build them with: curate build-metadata --lang fr,de",
        "see with --dry-run what is fetched; then match with --overwrite",
        "read 6 = matched 1 + dropped 5 (no_metadata 4, null_text 1)",
        "which records are bad: data/matched/rejected",
        "→ data/matched",
    ]


def test_the_table_names_unknown_labels(tmp_path):
    metadata = write_metadata(tmp_path / "metadata", {"en": ["dog"]})
    values = ["the dog is running in the park with the other dogs"] * 25
    labels = ["en", "Engl\x1bisch", *(f"label{i:02d}" for i in range(23))]
    a = write_pairs(tmp_path / "a.parquet", values, lang=labels)
    summary = match([a], metadata, tmp_path / "out", lang=None)
    (line,) = [at for at in match_table(summary, "o").splitlines() if at.startswith("language c")]
    assert line.startswith(
        "language column: 24 records have unknown labels, so that their language was identified: "
        "Engl\\x1bisch (1), label00 (1), "
    ) and line.endswith(", label18 (1), …")


def test_an_output_without_a_parent_can_be_used_again(english, tmp_path):
    """Its lease stands inside it, and is no file of somebody else's."""
    a = write_pairs(tmp_path / "a.parquet", texts(20))
    for _ in range(2):
        summary = match_inputs(
            [str(a)], metadata=str(english), output="memory://matched_of_test_inputs",
            options=MatchOptions(lang="en"), quiet=True,
        )  # fmt: skip
    assert (summary["matched"], summary["inputs_added"]) == (20, 0)
    with pytest.raises(CurateError, match="not an output of this command"):
        match([a], english, tmp_path)


@pytest.mark.slow
def test_workers_of_ray_look_at_inputs_as_local_ones_do(tmp_path, english):
    """Errors cross processes as they are, and what is written has the same bytes."""
    bad = write_other_columns(tmp_path / "bad.jsonl", "jsonl")
    labels = ["en", "Englisch", None, "eng"] * 10
    files = [
        write_pairs(tmp_path / f"{i}.parquet", texts(40, i), first=40 * i, lang=labels)
        for i in range(3)
    ]
    with use_cluster(Cluster(kind="ray")):
        with pytest.raises(InputError, match=r"bad\.jsonl: no text column"):
            match([*files, bad], english, tmp_path / "ray", lang=None, workers=2)
        assert not (tmp_path / "ray").exists()
        found = match(files, english, tmp_path / "ray", lang=None, workers=2)
    assert found["unknown_labels"] == {"rows": 30, "first": {"Englisch": 30}}
    assert found == match(files, english, tmp_path / "local", lang=None, workers=2)
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")


def test_columns_of_texts_and_urls_are_found_in_any_case(tmp_path):
    names = ColumnNames()
    schema = pa.schema({"Caption": pa.string(), "Url": pa.string(), "ID": pa.string()})
    found = [find_column(schema, role, names, "") for role in ("text", "url", "uid")]
    assert found == ["Caption", "Url", None]
    both = pa.schema({"Text": pa.string(), "caption": pa.string()})
    assert find_column(both, "text", names, "") == "caption"


def test_a_folder_of_nothing_but_hidden_names_says_so(tmp_path):
    (tmp_path / "_a.parquet").write_bytes(b"x")
    for pattern in (tmp_path, tmp_path / "*"):
        with pytest.raises(InputError, match="nothing but names that begin with a point or an "):
            expand([str(pattern)])
