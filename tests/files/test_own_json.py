import json
import pickle

import pytest

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.own_json import of_ours
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store.metadata_store import MetadataStore


def test_json_that_is_not_ours_names_the_file(tmp_path):
    path = tmp_path / "a.json"
    for content in (b"[1]", b"null", b'"x"', b"{", b"[" * 100_000, b"\xff"):
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match=r"a\.json: .*Remove it"):
            storage.read_json(str(path))
    path.write_bytes(b'{"a": {"b": 1}}')
    found = pickle.loads(pickle.dumps(storage.read_json(str(path))))
    assert found == {"a": {"b": 1}} and found.get("c") is None
    with pytest.raises(ArtifactError, match=r"a\.json.*no 'c'"):
        found["c"]
    with pytest.raises(ArtifactError, match=r"a\.json.*no 'd'"):
        found["a"]["d"]
    with pytest.raises(ArtifactError, match="TypeError"), of_ours(str(path)):
        found["a"]["b"]["x"]


VALUES = [None, 5, "x", [], [1], [{}], {}, {"en": 5}]


@pytest.mark.parametrize("name", ["parts", "inputs", "parameters", "schema_version"])
@pytest.mark.parametrize("value", VALUES)
def test_a_plan_with_anything_in_it_is_read_or_refused(name, value, tmp_path):
    good = {"schema_version": "1", "parameters": {"columns": {}, "metadata": {}},
            "inputs": [], "parts": []}  # fmt: skip
    (tmp_path / "plan.json").write_text(json.dumps({**good, name: value}))
    (tmp_path / "manifest.json").write_text(json.dumps({"languages": value}))
    try:
        MatchedPlan.read(str(tmp_path))
    except ArtifactError as error:
        assert "plan.json" in str(error)
    try:
        MetadataStore.open(str(tmp_path))
    except ArtifactError as error:
        assert "manifest.json" in str(error)
