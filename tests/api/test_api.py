"""The Python API: commands' options as keywords, quiet, light to import, tables in memory."""

import inspect
import logging
import signal
import subprocess
import sys
from dataclasses import fields
from importlib import import_module

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import curate
from curate.api.calls.command import parameters_of
from curate.api.calls.options import CLUSTER_DEFAULTS, ClusterOptions
from curate.cli.main import COMMANDS
from curate.files.remedies import on_command_line
from curate.pipelines.executor.cluster import Cluster
from curate.pipelines.store import artifacts
from curate.pipelines.train.told.run_log import RunLog
from tests.pipelines.helpers import WORDS, texts, write_metadata, write_pairs

FUNCTIONS = [
    getattr(import_module(f"curate.api.{module}"), name) for module, name, _ in COMMANDS.values()
]
NUM_PAIRS = 60


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace")
    write_metadata(folder / "metadata", {"en": WORDS})
    write_pairs(folder / "in.parquet", texts(NUM_PAIRS))
    return folder


@pytest.fixture(scope="module")
def matched(workspace):
    return curate.match(workspace / "in.parquet", lang="en", workspace=workspace)


@pytest.fixture(scope="module")
def balanced(workspace, matched):
    return curate.balance(t=5, workspace=workspace)


def test_importing_costs_nothing_until_a_name_is_used():
    code = (
        "import sys, curate; dir(curate)\n"
        "heavy = ('numpy', 'pyarrow', 'numba', 'torch', 'fsspec', 'click', 'rich', 'tqdm')\n"
        "print([name for name in heavy if name in sys.modules])\n"
        "curate.balance; curate.training; print(curate.CurateError.__name__)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\nCurateError\n"


def test_all_names_are_there_and_shown():
    assert set(curate.__all__) <= set(dir(curate))
    assert all(getattr(curate, name) is not None for name in curate.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = curate.nothing


def test_every_command_is_a_function_and_every_option_is_described():
    for function in FUNCTIONS:
        assert getattr(curate, function.__name__) is function
        for parameter in parameters_of(function):
            assert parameter.text.rstrip().endswith((".", "}")), (function, parameter.name)
            assert f"    {parameter.name}: " in function.__doc__
            kind = inspect.signature(function).parameters[parameter.name].kind
            assert kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def test_the_options_of_executors_are_those_of_a_cluster():
    known = {f.name: f.default for f in fields(Cluster) if f.name not in ("kind", "closing")}
    ours = {"executor": "local", "metrics_port": None, "metrics_host": "127.0.0.1"}
    assert known | ours == CLUSTER_DEFAULTS
    assert set(ClusterOptions.__annotations__) == set(CLUSTER_DEFAULTS)


def test_an_unknown_option_is_a_type_error(workspace):
    with pytest.raises(TypeError, match="'worker'"):
        curate.match(workspace / "in.parquet", worker=3, workspace=workspace)


def test_results_are_the_summary_and_a_table(workspace, matched, balanced):
    assert matched.read == NUM_PAIRS == matched["read"]
    assert matched.read == matched.matched + sum(matched.dropped.values())
    assert "matched" in dir(matched) and "read 60 = matched" in str(matched)
    with pytest.raises(AttributeError, match="MatchResult has no 'reed'; it has"):
        _ = matched.reed
    assert matched.folder == f"{workspace}/matched"
    assert matched.to_arrow(["pair_id"]).num_rows == matched.matched
    kept = balanced.to_arrow()
    assert kept.num_rows == balanced.total["kept"] and "probability" in kept.column_names
    assert balanced._repr_html_().startswith('<iframe srcdoc="')
    assert curate.card(workspace=workspace).total == balanced.total
    grid = curate.yield_grid(grid=[5, 50], workspace=workspace).to_arrow()
    assert grid.column("t").to_pylist() == [5, 50]
    assert grid.column("kept").to_pylist()[0] == balanced.total["kept"]
    shown = curate.explain("a red dog", lang="en", workspace=workspace)
    assert shown.lang == "en" and "dog" in shown.to_arrow().column("entry").to_pylist()
    assert "<pre>" in shown._repr_html_()
    assert curate.status(workspace=workspace).stages["balanced"]["state"] == "complete"
    assert curate.diff(matched, balanced).kind == "pairs"


def test_numbers_may_be_written_as_on_the_command_line(workspace, matched):
    plan = curate.balance(t="1.5k", workspace=workspace, dry_run=True)
    assert plan.t == curate.balance(t=1500, workspace=workspace, dry_run=True).t == 1500
    for t in (0, "1e-3", -1, True):
        with pytest.raises(curate.UsageError, match="^t is"):
            curate.balance(t=t, workspace=workspace)


def test_the_library_is_silent_and_leaves_the_process_as_it_was(workspace):
    code = (
        "import logging, signal, sys, curate\n"
        "before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]\n"
        f"curate.match({str(workspace / 'in.parquet')!r}, lang='en', overwrite=True,"
        f" workspace={str(workspace / 'other')!r}, metadata={str(workspace / 'metadata')!r})\n"
        f"curate.balance(t=5, workspace={str(workspace / 'other')!r})\n"
        "assert before == [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]\n"
        "assert not logging.getLogger().handlers\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_messages_go_to_the_logger_curate(workspace, matched, caplog):
    with caplog.at_level(logging.INFO, logger="curate"):
        logging.getLogger("curate").propagate = True
        curate.balance(target_pairs=1, workspace=workspace, dry_run=True)
    assert "t = 1, the smallest, keeps" in caplog.text
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


FRAME = pd.DataFrame({
    "url": [f"http://a.example/{n}.jpg" for n in range(30)],
    "text": ["a red dog"] * 20 + ["a cat"] * 9 + ["nothing known"],
    "score": range(30),
})  # fmt: skip
ENTRIES = {"en": ["dog", "red dog", "cat"]}


@pytest.mark.parametrize("frame", [FRAME, pa.Table.from_pandas(FRAME)], ids=["pandas", "arrow"])
def test_a_frame_in_memory_comes_back_matched_and_balanced(frame):
    matched = curate.match(frame, metadata=ENTRIES, lang="en")
    found = matched.to_arrow().to_pandas()
    assert len(found) == 29 and list(found["score"]) == list(range(29))
    assert {tuple(ids) for ids in found["entry_ids"]} == {
        (101, 102),
        (100,),
    }  # behind the numbers 0 to 99
    kept = curate.balance(matched, t=1)
    assert kept.total["matched"] == 29 and kept.to_arrow().num_rows == kept.total["kept"] < 29
    again = curate.balance(matched, t=9)  # what 1 keeps, 9 keeps
    few, more = (set(r.to_arrow()["pair_id"].to_pylist()) for r in (kept, again))
    assert few < more
    assert "<iframe" in again._repr_html_()


def test_what_is_in_memory_is_matched_as_files_are(tmp_path):
    path = tmp_path / "in.parquet"
    pq.write_table(pa.Table.from_pandas(FRAME), path)
    write_metadata(tmp_path / "metadata", ENTRIES)
    ours = curate.match(FRAME, metadata=tmp_path / "metadata", lang="en")
    theirs = curate.match(path, lang="en", workspace=tmp_path)
    assert ours.to_arrow().equals(theirs.to_arrow())


def test_a_dataset_of_hugging_face_streams():
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_pandas(FRAME).select(range(25))
    assert curate.match(data, metadata=ENTRIES, lang="en").read == 25


def test_the_temporary_folder_goes_with_the_result():
    matched = curate.match(FRAME, metadata=ENTRIES, lang="en")
    folder = matched.folder
    kept = curate.balance(matched, t=5)
    del matched
    assert kept.to_arrow().num_rows == kept.total["kept"]  # it holds on to what it was made from
    del kept
    import gc
    import os

    gc.collect()
    assert not os.path.exists(folder)


def test_a_column_that_parquet_cannot_hold_is_named():
    table = pa.table({"text": ["a"], "x": pa.nulls(1, pa.month_day_nano_interval())})
    with pytest.raises(curate.InputError, match="the table in memory cannot be matched"):
        curate.match(table, metadata=ENTRIES, lang="en")


def test_suggested_calls_carry_what_was_in_force(workspace, tmp_path):
    path = write_pairs(tmp_path / "in.parquet", ["Der rote Hund läuft durch den Wald"] * 3)
    place, metadata = tmp_path / "my data", workspace / "metadata"
    found = curate.match(path, workspace=place, metadata=metadata)
    where = f"workspace='{place}', output='{metadata}'"
    assert f"build it with: curate.build_metadata(lang='de', {where})\n" in str(found)
    with pytest.raises(curate.ArtifactError, match=r"curate\.balance\(workspace='.*'\)` first"):
        curate.card(workspace=place)
    with pytest.raises(curate.UsageError) as refused:
        curate.match(path, lang="de", workspace=place, metadata=metadata)
    assert f"curate.build_metadata(lang='de', {where})" in str(refused.value)
    (place / "matched/plan.json").write_text("{")
    with pytest.raises(curate.ArtifactError) as refused:
        curate.balance(t=5, workspace=place)
    assert f"`curate.match(…, workspace='{place}')` again with the" in str(refused.value)


def test_the_same_commands_are_suggested_on_the_command_line(workspace, tmp_path):
    path = write_pairs(tmp_path / "in.parquet", ["Der rote Hund läuft durch den Wald"] * 3)
    place, metadata = tmp_path / "my data", workspace / "metadata"
    with on_command_line():
        found = curate.match(path, workspace=place, metadata=metadata)
        assert f"curate build-metadata --lang de -w '{place}' --output {metadata}\n" in str(found)
        with pytest.raises(curate.ArtifactError, match=f"curate balance -w '{place}'` first"):
            curate.card(workspace=place)
        with pytest.raises(curate.InputError, match="Name the right one with --text-column"):
            curate.match(path, text_column="words", workspace=tmp_path / "w", metadata=metadata)
    with pytest.raises(curate.InputError, match="Name the right one with text_column="):
        curate.match(path, text_column="words", workspace=tmp_path / "w", metadata=metadata)


def test_more_languages_are_suggested_with_the_sources_of_those_that_are_there(tmp_path):
    metadata = write_metadata(tmp_path / "w/metadata", {"en": WORDS})
    path = metadata / "manifest.json"
    manifest = artifacts.read_json(str(path))
    manifest["languages"]["en"]["made_from"] = {"kinds": ["wordnet", "unigram"]}
    artifacts.write_json(str(path), {k: v for k, v in manifest.items() if k != "checksum"})
    pairs = write_pairs(tmp_path / "in.parquet", ["Der rote Hund läuft durch den Wald"] * 3)
    found = curate.match(pairs, workspace=tmp_path / "w")
    call = "curate.build_metadata(lang='de', sources='wordnet,unigram', workspace="
    assert call in str(found)
    explained = curate.explain("Der rote Hund läuft durch den Wald", workspace=tmp_path / "w")
    assert call in explained.decision


GERMAN = "Der rote Hund läuft durch den Wald"


def test_a_dictionary_of_entries_is_never_written_out_as_a_command():
    entries = {"en": [f"word{n}" for n in range(5000)]}
    matched = curate.match(pd.DataFrame({"text": [GERMAN, "a word7"]}), metadata=entries)
    assert "to match them, add 'de' to metadata=" in str(matched)
    assert "word7" not in str(matched) and len(str(matched)) < 2000
    with pytest.raises(curate.UsageError) as refused:
        curate.match(pd.DataFrame({"text": [GERMAN]}), metadata={"de": ["Hund"]}, lang="en")
    assert "Add 'en' to metadata=" in str(refused.value)
    assert "Add 'de' to metadata=" in curate.explain(GERMAN, matched=matched).decision


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"en": "dog"}, r"metadata\['en'\] is 'dog'; expected a list of entries"),
        ({"en": ["dog", 3]}, r"has the entry 3, int; expected a text"),
        ({"en": ["a\nb"]}, "of several lines; expected a text of one line"),
        ({}, "has no language"),
        (["dog"], r"metadata is a list of str; expected entries by language"),
    ],
)
def test_entries_that_are_none_are_refused(entries, words):
    with pytest.raises(curate.UsageError, match=words):
        curate.match(FRAME, metadata=entries, lang="en")


class LazyFrame:
    """Stands for that of Polars, which streams nothing before it is collected."""


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([{"text": "a dog"}], r"a list of dict; .*pyarrow\.Table\.from_pylist\(inputs\)"),
        ({"text": ["a dog"]}, r"a dict; .*pyarrow\.table\(inputs\)"),
        (FRAME["text"], r"a Series; .*series\.to_frame\('text'\)"),
        (pa.chunked_array([["a dog"]]), "a ChunkedArray; .*to_frame"),
        (LazyFrame(), r"a LazyFrame; .*inputs\.collect\(\)"),
        (3, "an int; expected paths, or a table"),
    ],
)
def test_what_is_no_table_is_refused_with_what_makes_it_one(inputs, words):
    with pytest.raises(curate.UsageError, match=words):
        curate.match(inputs, metadata=ENTRIES, lang="en")


def test_what_is_no_folder_is_refused():
    with pytest.raises(curate.UsageError, match="Entries by language are for `match`"):
        curate.explain("a dog", metadata=ENTRIES)
    with pytest.raises(curate.UsageError, match="got a DataFrame where a folder is expected"):
        curate.balance(FRAME, t=5)
    with pytest.raises(curate.UsageError, match="got a list of int where a path or a text"):
        curate.build_metadata(lang=[3])


def test_errors_name_keywords():
    bad = pd.DataFrame({"text": ["a dog", None, "a cat", "a dog", "a cat"]})
    with pytest.raises(curate.BadShareError) as refused:
        curate.match(bad, metadata=ENTRIES, lang="en")
    assert "max_bad allows a share of 0.01" not in str(refused.value)
    assert "larger max_bad= to drop and count them" in str(refused.value)
    assert "--" not in str(refused.value)
    assert curate.match(bad, metadata=ENTRIES, lang="en", max_bad=0.2).read == 5
    with pytest.raises(curate.UsageError, match="^max_bad is 3; expected"):
        curate.match(FRAME, metadata=ENTRIES, max_bad=3)


def test_card_and_yields_take_the_result_of_the_step_before():
    matched = curate.match(FRAME, metadata=ENTRIES, lang="en")
    balanced = curate.balance(matched, t=5)
    assert curate.card(balanced).total == balanced.total
    assert curate.yield_grid(matched, grid=[5]).to_arrow().column("kept").to_pylist() == [
        balanced.total["kept"]
    ]
    explained = curate.explain(
        "a red dog", matched=matched, url="http://a.example/0.jpg", lang="en"
    )
    assert explained.decision == "matched; give --t, or balance, for the probability"
    assert "matched; give t=, or balance" in str(explained)


def test_categories_of_views_are_read_and_other_columns_named():
    words = pa.array(["a dog", "a cat"], pa.string_view())
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.uint32()), words)
    matched = curate.match(pa.table({"text": column}), metadata=ENTRIES, lang="en")
    assert (matched.read, matched.matched) == (3, 3)
    table = pa.table({"text": ["a"], "x": pa.nulls(1, pa.month_day_nano_interval())})
    with pytest.raises(curate.InputError, match="column 'x' is month_day_nano_interval"):
        curate.match(table, metadata=ENTRIES, lang="en")


def test_a_command_that_is_refused_creates_nothing(tmp_path):
    path = write_pairs(tmp_path / "in.parquet", ["a dog"] * 3)
    for command, arguments in (
        (curate.match, (path,)), (curate.balance, ()), (curate.card, ()), (curate.download, ()),
    ):  # fmt: skip
        with pytest.raises(curate.CurateError):
            command(*arguments, workspace=tmp_path / "mis/typed", **(
                {"t": 5} if command is curate.balance else {}))  # fmt: skip
        assert [one.name for one in tmp_path.iterdir()] == ["in.parquet"]


def test_status_knows_metadata_of_another_place_and_runs(workspace, tmp_path):
    path = write_pairs(tmp_path / "in.parquet", texts(30))
    curate.match(path, workspace=tmp_path / "w", metadata=workspace / "metadata", lang="en")
    run = tmp_path / "w/runs/small"
    run.mkdir(parents=True)
    artifacts.write_json(str(run / "config.json"), {"train": {"steps": 100}})
    log = RunLog(str(run / "log.jsonl"), 0)
    for step in (10, 20):
        log.add({"step": step})
    with (run / "log.jsonl").open("a") as file:
        file.write('{"st')  # a killed run leaves its last line cut off
    found = curate.status(workspace=tmp_path / "w")
    assert found.stages["metadata"]["state"] == "complete"
    assert f"metadata: in {workspace / 'metadata'}" in str(found)
    stage = found.stages["runs/small"]
    assert (stage["state"], stage["done"], stage["total"]) == ("incomplete", 20, 100)
    assert "20 of 100 steps" in str(found)
    (run / "modelcard.json").write_text("{}")
    assert curate.status(workspace=tmp_path / "w").stages["runs/small"]["state"] == "complete"
    (run / "config.json").write_text("{")
    assert curate.status(workspace=tmp_path / "w").stages["runs/small"]["state"] == "stale"
