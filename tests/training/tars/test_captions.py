"""A sample's caption is the same one in match, train and eval."""

import json

import pytest

from curate.pipelines.inputs.rows import Part
from curate.pipelines.inputs.tar import read_tar
from curate.training.data.loader import captions
from curate.training.eval.data import tar_samples
from curate.training.tars.captions import caption_of
from tests.training.shard_files import IMAGE, write_tar

JSON = json.dumps

CASES = [
    ({"txt": b"a dog"}, "a dog"),
    ({"txt": b"a dog", "json": JSON({"text": "a cat"}).encode()}, "a dog"),
    ({"txt": b"", "json": JSON({"caption": "a cat"}).encode()}, "a cat"),
    ({"txt": b" \n", "json": JSON({"TEXT": "a cat"}).encode()}, "a cat"),
    ({"text": b"a dog"}, "a dog"),
    ({"caption": b"a dog", "json": b"{"}, "a dog"),
    ({"txt": b"", "caption": b"a dog"}, "a dog"),
    ({"json": JSON({"TEXT": "a cat", "alt": "a cow"}).encode()}, "a cat"),
    ({"json": JSON({"text": "", "alt_text": "a cow"}).encode()}, "a cow"),
    ({"json": JSON({"text": 5, "alt": "\ud800", "alt_text": "a cow"}).encode()}, "a cow"),
]


@pytest.mark.parametrize(("members", "wanted"), CASES)
def test_match_train_and_eval_take_the_same_caption(tmp_path, members, wanted):
    path = write_tar(tmp_path / "a.tar", [("0", {"jpg": IMAGE, **members})])
    (rows,) = read_tar(Part(path=path, sha256="", kind="tar"))
    assert rows.batch.column("text").to_pylist() == [wanted.encode()]
    assert list(captions([path])) == [wanted]
    (sample,) = tar_samples([path], "retrieval", None, 0, 1)
    assert sample.texts == (wanted,)


@pytest.mark.parametrize("members", [{"txt": b" "}, {"json": b"[]"}, {"json": JSON({}).encode()}])
def test_a_sample_without_a_caption_has_none_anywhere(tmp_path, members):
    path = write_tar(tmp_path / "a.tar", [("0", {"jpg": IMAGE, **members})])
    (rows,) = read_tar(Part(path=path, sha256="", kind="tar"))
    assert rows.batch.column("text").to_pylist() == [members.get("txt")]
    assert list(captions([path])) == []


def test_a_blank_text_says_nothing_where_the_json_says_something():
    assert caption_of({"txt": b"\t", "text": b"", "caption": b"x"}, {"text": "y"}) == b"x"
    assert caption_of({"png": b"x"}, {}) is None
