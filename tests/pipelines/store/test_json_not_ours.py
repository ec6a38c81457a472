"""Valid JSON that is not ours, in every file that a command reads, is told with the file's name."""

import json
import shutil

import pytest

from curate.errors import ArtifactError
from curate.pipelines.card.stage import make_card
from curate.pipelines.status.log import LogReader
from curate.pipelines.store.shapes import require_shape
from tests.fuzz.own_json import try_stamps, try_values
from tests.fuzz.workspace import READERS, STAMPED, changed, write_workspace


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_workspace(tmp_path_factory.mktemp("whole") / "w")


@pytest.fixture
def workspace(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "w")
    return tmp_path / "w"


@pytest.mark.parametrize("name", READERS)
def test_values_that_are_not_ours_are_refused_or_without_effect(name, workspace):
    assert try_values(workspace, name, range(16)) > 0 or name.startswith(".curate")


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_many_values_that_are_not_ours_are_refused_or_without_effect(name, workspace):
    try_values(workspace, name, range(16, 60))


@pytest.mark.parametrize("name", STAMPED)
def test_stamps_that_are_not_ours_are_refused_or_without_effect(name, workspace):
    assert try_stamps(workspace, name, range(12)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", STAMPED)
def test_many_stamps_that_are_not_ours_are_refused_or_without_effect(name, workspace):
    try_stamps(workspace, name, range(12, 60))


def test_a_summary_that_contradicts_the_pairs_is_told_with_its_name(workspace):
    path = workspace / "matched/summary.json"
    summary = {k: v for k, v in json.loads(path.read_text()).items() if k != "checksum"}
    contradictions = (
        ({"matched": 59}, "summary.json is damaged: 60 read"),
        ({"matched": 59, "read": 59}, "it has 59 matched pairs, and 60 are"),
    )
    for wrong, told in contradictions:
        languages = {"en": {**summary["languages"]["en"], **wrong}}
        with (
            changed(workspace, "matched/summary.json",
                    {**summary, **wrong, "languages": languages}, sealed=True),
            pytest.raises(ArtifactError, match=told),
        ):  # fmt: skip
            make_card(
                matched=str(workspace / "matched"), balanced=str(workspace / "balanced"), quiet=True
            )


def test_a_value_of_another_type_is_told_with_its_place():
    shape = {"a": {"*": [{"b": (int, None)}]}, "t": range(1, 9), "share": float}
    require_shape({"a": {"en": [{"b": None}, {"c": "x"}]}, "t": 8, "share": 1}, shape, "a.json")
    for value, told in (
        ([], "it is a list, expected an object"),
        ({"a": {"en": {}}}, "a.en is an object, expected a list"),
        ({"a": {"en": [{"b": 1}, {"b": "x"}]}}, r"a.en\[1\].b is a str, expected int"),
        ({"t": True}, "t is a bool, expected a whole number"),
        ({"t": 9}, "t is 9, expected 1 to 8"),
        ({"share": True}, "share is a bool, expected float"),
    ):
        with pytest.raises(ArtifactError, match=f"a.json: not what it should be: {told}. Remove"):
            require_shape(value, shape, "a.json")


LINES = (
    "5", "[]", "null", "{}", '{"run": 5}', '{"run": "a", "event": "done"}', "{" * 2000,
    "[" * 200_000,
    '{"run":"a","event":"plan","stage":"s","time":1,"host":"h","pid":1,"parts":"x"}',
    '{"run":"a","event":"done","stage":"s","time":1,"host":"h","pid":1,"part":1,"seconds":null}',
    '{"run":"a","event":"done","stage":"s","time":1,"host":"h","pid":1,"part":1,"seconds":1,'
    '"dropped":{"a":"b"}}',
)  # fmt: skip


def test_lines_of_a_log_that_are_not_ours_are_passed_over(workspace):
    (log,) = (workspace / ".curate/matched/log").glob("*.jsonl")
    before = LogReader(str(workspace / "matched")).figures()
    with log.open("a") as file:
        file.write("\n".join(LINES) + "\n")
    after = LogReader(str(workspace / "matched")).figures()
    rates = {"parts_per_s", "records_per_s"}  # of the last minute
    assert {k: v for k, v in after.items() if k not in rates} == {
        k: v for k, v in before.items() if k not in rates
    }
    assert before["parts"] == before["done"] == 1
