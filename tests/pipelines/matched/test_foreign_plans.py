"""A workspace of somebody else: it runs no code, has no server asked and no file outside read."""

import shutil
import socket
import sys
import threading
from importlib.metadata import EntryPoint

import pytest

from curate.errors import ArtifactError, InputError, UsageError
from curate.files import seal as seals
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.card.stage import make_card
from curate.pipelines.extract.plan import ExtractPlan
from curate.pipelines.inputs import filters as filter_module
from curate.pipelines.inputs.filters import load_filters
from curate.pipelines.matched.filters_again import filters_again
from curate.pipelines.matched.notes import note_metadata, noted_balanced, noted_metadata
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.retract.stage import retract_pairs
from curate.pipelines.status.stage import StatusReader
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import MetadataStore
from tests.pipelines.crawl_helpers import extract, response, write_crawl
from tests.pipelines.helpers import contents, match, texts, write_metadata, write_pairs
from tests.pipelines.inputs.test_image_inputs import write_csv, write_wds

MODULE = "def keep(rows):\n    return [True] * rows.num_rows\n"
TRAP = "import pathlib\npathlib.Path({path!r}).touch()\n" + MODULE


def as_somebody_else(monkeypatch, folder):
    """Have the key of another user from here on."""
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "somebody"))
    seals._key.cache_clear()


@pytest.fixture(autouse=True)
def keys():
    yield
    seals._key.cache_clear()


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A workspace whose balanced set was made with a function of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_filter.py").write_text(MODULE)
    monkeypatch.delitem(sys.modules, "own_filter", raising=False)
    metadata = write_metadata(tmp_path / "metadata", {"en": ["red", "dog", "cat", "house"]})
    values = [f"{text} {i}" for i, text in enumerate(texts(300))]
    path = write_pairs(tmp_path / "in" / "a.parquet", values)
    match([path], metadata, tmp_path / "matched")
    balance(tmp_path, filters=("own_filter:keep", "text-length=3:"))
    yield tmp_path
    sys.modules.pop("own_filter", None)


def balance(folder, **options):
    return balance_pairs(
        matched=str(folder / "matched"), output=str(folder / "balanced"), quiet=True,
        overwrite=True, options=BalanceOptions(t=20, **options),
    )  # fmt: skip


def card(folder, **options):
    places = {"matched": str(folder / "matched"), "balanced": str(folder / "balanced")}
    return make_card(**places, quiet=True, **options)


def retract(folder, ids, **options):
    (folder / "list.txt").write_text("\n".join(ids))
    return retract_pairs(
        str(folder / "list.txt"), matched=str(folder / "matched"), quiet=True,
        metadata=str(folder / "metadata"), balanced=[str(folder / "balanced")], **options,
    )  # fmt: skip


def some_id(folder):
    import pyarrow.parquet as pq

    return pq.read_table(folder / "matched/pairs").column("pair_id")[0].as_py()


def set_filters(folder, recorded):
    path = str(folder / "balanced/plan.json")
    plan = artifacts.read_json(path)
    plan["parameters"]["filters"] = recorded
    artifacts.write_json(path, plan)


def test_a_plan_s_function_is_never_imported(workspace):
    trap = workspace / "sprung"
    (workspace / "trap_filter.py").write_text(TRAP.format(path=str(trap)))
    for name in ("trap_filter:keep", "trap_filter:keep=x", "os:getcwd"):
        set_filters(workspace, [{"filter": name, "code": "0" * 64}])
        before = contents(workspace)
        for attempt in (
            lambda: card(workspace), lambda: card(workspace, dry_run=True),
            lambda: retract(workspace, [some_id(workspace)]),
            lambda: retract(workspace, [some_id(workspace)], dry_run=True),
        ):  # fmt: skip
            with pytest.raises(ArtifactError, match="this set was made with --filter") as error:
                attempt()
            assert "give the same again" in str(error.value)
        (workspace / "list.txt").unlink()
        assert contents(workspace) == before
    assert not trap.exists() and "trap_filter" not in sys.modules


def test_the_same_filter_named_again_makes_the_card_and_the_set_again(workspace):
    first = artifacts.read_json(str(workspace / "balanced/datacard.json"))
    assert card(workspace, filters=["own_filter:keep"])["total"] == first["total"]
    result = retract(workspace, [some_id(workspace)], filters=["own_filter:keep"])
    assert result["retracted"] >= 1 and result["kept"] > 0
    plan = artifacts.read_json(str(workspace / "balanced/plan.json"))
    assert [one["filter"] for one in plan["parameters"]["filters"]] == [
        "own_filter:keep", "text-length=3:",
    ]  # fmt: skip


def test_another_function_of_that_name_is_refused_and_so_is_one_too_many(workspace):
    with pytest.raises(UsageError, match="url-length=9: the set was made without it"):
        card(workspace, filters=["own_filter:keep", "url-length=9"])
    set_filters(workspace, [{"filter": "own_filter:keep", "code": "0" * 64}])
    with pytest.raises(ArtifactError, match="Give the filter as it was"):
        card(workspace, filters=["own_filter:keep"])


def test_installed_filters_are_taken_by_name_but_get_no_argument_of_a_plan(monkeypatch):
    point = EntryPoint("cats", "tests.pipelines.inputs.test_filters:no_cats", filter_module.GROUP)
    monkeypatch.setattr(filter_module, "entry_points", lambda **_: [point])
    recorded = load_filters(["cats"]).made_from
    assert filters_again({"filters": recorded}, (), "there") == ("cats",)
    with pytest.raises(ArtifactError, match="--filter cats=/etc/passwd"):
        filters_again({"filters": [{"filter": "cats=/etc/passwd", "code": ""}]}, (), "there")


def test_a_plan_s_blocklist_is_not_read(tmp_path):
    (tmp_path / "list").write_text("example.org\n")
    spec = f"blocklist={tmp_path}/list"
    recorded = {"filters": load_filters([spec]).made_from}
    with pytest.raises(ArtifactError, match="blocklist="):
        filters_again(recorded, (), "there")
    assert filters_again(recorded, [spec], "there") == (spec,)


@pytest.mark.parametrize("recorded", [7, "os:system", ["os:system"], [{"filter": 7}], [{}]])
def test_what_is_no_list_of_filters_is_an_error_that_says_so(recorded):
    with pytest.raises(ArtifactError, match="does not say which filters"):
        filters_again({"filters": recorded}, (), "there")


@pytest.fixture
def server():
    """A server that counts who connects to it, and answers nothing."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                asked.append(connection.recv(1000))
                connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_a_plan_s_inputs_and_notes_have_no_server_asked(workspace, server, monkeypatch):
    as_somebody_else(monkeypatch, workspace)
    address, asked = server
    plan = artifacts.read_json(str(workspace / "matched/plan.json"))
    far = {**plan["inputs"][0], "path": f"{address}/far.jsonl"}
    part = {**plan["parts"][0], "path": f"{address}/far.jsonl", "kind": "jsonl", "row_groups": None}
    plan["inputs"].append(far)
    plan["parts"].append(part)
    artifacts.write_json(str(workspace / "matched/plan.json"), plan)
    summary = {**artifacts.read_json(str(workspace / "matched/summary.json")), "inputs": 2}
    artifacts.write_json(str(workspace / "matched/summary.json"), {**summary, "parts": 2})
    notes = workspace / ".curate/matched"
    artifacts.write_json(str(notes / "metadata.json"), {"folder": f"{address}/metadata"})
    artifacts.write_json(str(notes / "balanced/x.json"), {"folder": address, "parameters": ""})
    StatusReader(str(workspace)).read()
    assert noted_metadata(str(workspace / "matched")) is None
    assert len(noted_balanced(str(workspace / "matched"))) == 1
    more = write_pairs(workspace / "in/b.parquet", ["a red dog"], first=9000)
    with pytest.raises(ArtifactError, match=r"far.jsonl.*Name them too"):
        match([more], workspace / "metadata", workspace / "matched")
    assert not asked


def test_notes_lead_out_of_a_workspace_only_if_this_user_wrote_them(tmp_path, monkeypatch):
    write_metadata(tmp_path / "elsewhere/metadata", {"en": ["dog"]})
    (tmp_path / "data/matched").mkdir(parents=True)
    where, there = str(tmp_path / "data/matched"), str(tmp_path / "elsewhere/metadata")
    note_metadata(where, there)
    assert noted_metadata(where) == there
    as_somebody_else(monkeypatch, tmp_path)
    assert noted_metadata(where) is None
    shutil.copytree(there, tmp_path / "data/metadata")
    note_metadata(where, str(tmp_path / "data/metadata"))
    note = str(tmp_path / "data/.curate/matched/metadata.json")
    artifacts.write_json(note, {"folder": "../metadata"})
    assert noted_metadata(where) == str(tmp_path / "data/metadata")
    (tmp_path / "data/metadata").rename(tmp_path / "data/away")
    (tmp_path / "data/metadata").symlink_to(there)
    assert noted_metadata(where) is None


@pytest.mark.parametrize("write", [write_csv, write_wds])
def test_images_of_somebody_else_s_matches_are_read_where_the_user_says(
    tmp_path, monkeypatch, write
):
    metadata = write_metadata(tmp_path / "metadata", {"en": ["dog"]})
    path = write(tmp_path / "in")
    match([path], metadata, tmp_path / "matched")
    mine = balance(tmp_path)
    as_somebody_else(monkeypatch, tmp_path)
    with pytest.raises(InputError, match=f"--image-root {tmp_path}/in"):
        balance(tmp_path)
    with pytest.raises(InputError, match="--image-root"):
        balance(tmp_path, image_roots=(str(tmp_path / "elsewhere"),))
    assert balance(tmp_path, image_roots=(str(tmp_path / "in"),))["total"] == mine["total"]


def test_crawl_files_that_only_a_foreign_plan_names_are_not_read(tmp_path, monkeypatch):
    html = "<img src=a.png alt='a dog'>"
    one = write_crawl(tmp_path / "a.warc.gz", [response(html)])
    extract([one], tmp_path / "pairs")
    plan = artifacts.read_json(str(tmp_path / "pairs/_extract/plan.json"))
    plan["inputs"].append({**plan["inputs"][0], "path": str(tmp_path / "secret.warc.gz")})
    artifacts.write_json(str(tmp_path / "pairs/_extract/plan.json"), plan)
    with pytest.raises(ArtifactError, match=r"secret.warc.gz.*Name them too"):
        extract([one], tmp_path / "pairs")


def test_a_plan_that_this_user_sealed_goes_on_without_naming_its_inputs(tmp_path):
    metadata = write_metadata(tmp_path / "metadata", {"en": ["dog"]})
    one = write_pairs(tmp_path / "a.parquet", ["a dog"])
    match([one], metadata, tmp_path / "matched")
    assert MatchedPlan.read(str(tmp_path / "matched")).is_sealed()
    (tmp_path / "matched/pairs/00000.parquet").unlink()
    two = write_pairs(tmp_path / "b.parquet", ["a dog"], first=5)
    assert match([two], metadata, tmp_path / "matched")["matched"] == 2
    assert not ExtractPlan(str(tmp_path), {}, []).is_own


@pytest.mark.parametrize("code", ["../../x", "a/b", "", "e n", "a" * 41])
def test_a_language_that_leads_out_of_a_folder_is_refused(workspace, code):
    for path, place in (("matched/plan.json", ("parameters", "metadata")),
                        ("metadata/manifest.json", ("languages",))):  # fmt: skip
        values = artifacts.read_json(str(workspace / path))
        inside = values
        for name in place:
            inside = inside[name]
        inside[code] = inside["en"]
        artifacts.write_json(str(workspace / path), values)
    with pytest.raises(ArtifactError, match="expected a code"):
        MatchedPlan.read(str(workspace / "matched"))
    with pytest.raises(ArtifactError, match="expected a code"):
        MetadataStore.open(str(workspace / "metadata"))
