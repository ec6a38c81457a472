import gzip
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import CurateError, InputError, UsageError
from curate.pipelines.caption_tables import join
from curate.pipelines.caption_tables.check import require_joined
from curate.pipelines.caption_tables.join import CaptionOptions, caption_identity, joined_captions
from curate.pipelines.caption_tables.names import find_tables, parse_weights
from curate.pipelines.caption_tables.read import read_captions
from curate.training.captions.write import TEXTS
from curate.training.data.shards import open_local
from tests.training.shard_files import sample, write_tar


def table(path, **columns):
    pq.write_table(pa.table(columns), path)
    return str(path)


def joined(tmp_path, *words, **options):
    chosen = CaptionOptions(tables=words, syn_ratio=0.5, cache=str(tmp_path / "cache"), **options)
    digest = caption_identity(chosen)["tables"]
    return joined_captions(chosen, digest, quiet=True)


def found(index, pair_id):
    return [(index.sources[p.source], index.read(p)) for p in index.places(pair_id)]


def test_tables_of_any_kind_are_joined_by_pair_id(tmp_path):
    a = table(tmp_path / "a.parquet", pair_id=["p", "q"], text=["one", "two"],
              source=pa.array(["x", None]).dictionary_encode())  # fmt: skip
    b = tmp_path / "dense.jsonl.gz"
    b.write_bytes(gzip.compress(b'{"image_key": "p", "text": "three"}\n'))
    c = tmp_path / "c.tsv"
    c.write_text("uid\tcaption\nq\tfour\n")
    index = joined(tmp_path, a, str(b), f"human={c}")
    assert found(index, "p") == [("x", "one"), ("dense", "three")]
    assert found(index, "q") == [("a", "two"), ("human", "four")]
    assert index.note["by_source"] == {"a": 1, "dense": 1, "human": 1, "x": 1}


def test_what_cannot_be_used_is_counted_by_reason(tmp_path):
    texts = pa.array(
        [b"good", b" \n", b"x" * 10_000, b"\xff\xfe", None, b"no id", b"good", "ひつじ".encode()]
    )
    ids = ["p", "p", "p", "p", "p", "", "p", "p"]
    path = table(tmp_path / "a.parquet", pair_id=ids, text=texts)
    index = joined(tmp_path, path)
    assert found(index, "p") == [("a", "good"), ("a", "ひつじ")]
    note = index.note
    assert note["dropped"] == {
        "empty": 1, "invalid_utf8": 1, "no_id": 1, "null_text": 1, "too_long": 1,
    }  # fmt: skip
    assert note["rows"] == 8 == note["captions"] + note["repeated"] + sum(note["dropped"].values())
    assert note["pairs_with_several"] == 1


def test_damaged_tables_give_what_is_whole(tmp_path):
    lines = b'{"pair_id": "p", "text": "one"}\n{"pair_id": "q", "te\n{"pair_id": "r", "text": 5}\n'
    (tmp_path / "a.jsonl").write_bytes(lines)
    index = joined(tmp_path, str(tmp_path / "a.jsonl"))
    assert found(index, "p") == [("a", "one")]
    assert index.note["dropped"] == {"bad_json": 1, "wrong_type": 1}


def test_tables_without_a_usable_caption_or_column_are_refused(tmp_path):
    empty = table(tmp_path / "a.parquet", pair_id=["p"], text=[""])
    with pytest.raises(InputError, match=r"no caption can be used of 1 rows \(empty 1\)"):
        joined(tmp_path, empty)
    other = table(tmp_path / "b.parquet", name=["p"], text=["x"])
    with pytest.raises(InputError, match="no column of pair ids; expected one of pair_id, uid"):
        joined(tmp_path, other)
    bare = table(tmp_path / "c.parquet", pair_id=["p"], words=["x"])
    with pytest.raises(InputError, match="no text column"):
        joined(tmp_path, bare)
    alt = table(tmp_path / "d.parquet", pair_id=["p"], text=["x"], source=["alt"])
    with pytest.raises(InputError, match="has the source 'alt'"):
        joined(tmp_path, alt)
    with pytest.raises(InputError, match="no such file"):
        joined(tmp_path, str(tmp_path / "nothing.parquet"))
    (tmp_path / "README.md").write_text("x")
    with pytest.raises(InputError, match="there is no table of captions"):
        joined(tmp_path, str(tmp_path / "README.md"))
    with pytest.raises(UsageError, match="alt is what the pairs' own texts are called"):
        find_tables([f"alt={empty}"])


def test_too_many_sources_are_no_captioners(tmp_path, monkeypatch):
    monkeypatch.setattr(join, "_MAX_SOURCES", 3)
    path = table(
        tmp_path / "a.parquet", pair_id=list("pqrs"), text=list("abcd"), source=list("wxyz")
    )
    with pytest.raises(CurateError, match="more than 3 sources, such as 'z'"):
        joined(tmp_path, path)


def test_captions_are_sorted_once_and_again_when_they_are_damaged_or_others(tmp_path, monkeypatch):
    path = table(tmp_path / "a.parquet", pair_id=["p"], text=["one"])
    built = []
    real = join.write_index
    monkeypatch.setattr(join, "write_index", lambda *a, **k: built.append(1) or real(*a, **k))
    joined(tmp_path, path)
    joined(tmp_path, path)
    assert len(built) == 1
    (folder,) = [one for one in (tmp_path / "cache").iterdir() if one.is_dir()]
    (folder / TEXTS).write_bytes(b"two")
    assert found(joined(tmp_path, path), "p") == [("a", "one")] and len(built) == 2
    table(tmp_path / "a.parquet", pair_id=["p"], text=["two"])
    assert found(joined(tmp_path, path), "p") == [("a", "two")] and len(built) == 3


def test_a_table_that_is_written_to_meanwhile_is_not_taken_for_what_it_was(tmp_path, monkeypatch):
    path = table(tmp_path / "a.parquet", pair_id=["p"], text=["one"])
    chosen = CaptionOptions(tables=[path], syn_ratio=0.5, cache=str(tmp_path / "cache"))
    digest = caption_identity(chosen)["tables"]
    table(tmp_path / "a.parquet", pair_id=["p"], text=["two"])
    with pytest.raises(InputError, match="is not the one that this run began with"):
        joined_captions(chosen, digest, quiet=True)
    table(tmp_path / "a.parquet", pair_id=["p"], text=["one"])
    assert found(joined_captions(chosen, digest, quiet=True), "p") == [("a", "one")]


def test_identity_is_of_contents_and_names_and_shares(tmp_path):
    (tmp_path / "b").mkdir()
    a = table(tmp_path / "a.parquet", pair_id=["p"], text=["one"])
    b = table(tmp_path / "b" / "a.parquet", pair_id=["p"], text=["one"])
    same, moved = (CaptionOptions(tables=[p], syn_ratio=0.5) for p in (a, b))
    assert caption_identity(same) == caption_identity(moved)
    renamed = CaptionOptions(tables=[f"x={a}"], syn_ratio=0.5)
    assert caption_identity(renamed)["tables"] != caption_identity(same)["tables"]
    assert caption_identity(CaptionOptions()) is None


def test_captions_of_other_pairs_are_refused_with_an_id_of_each_side(tmp_path):
    tar = write_tar(tmp_path / "0.tar", [sample("000"), sample("001", pair_id="real")])
    path = table(tmp_path / "a.parquet", pair_id=["p1"], text=["one"])
    index = joined(tmp_path, path)
    with pytest.raises(InputError, match=r"none of 2 pairs .* such as '000', .* such as 'p1'"):
        require_joined(index, [path], [tar], open_local)
    good = table(tmp_path / "b.parquet", pair_id=["real"], text=["one"])
    require_joined(joined(tmp_path, good), [good], [tar], open_local)


def test_weights_are_read_and_refused_where_they_are_none():
    assert parse_weights(None) == {} and parse_weights("a=1,b=.5") == {"a": 1.0, "b": 0.5}
    for wrong in ("a", "a=x", "=1", "a=1,a=2"):
        with pytest.raises(UsageError, match="expected each source once with a number"):
            parse_weights(wrong)


def test_shares_of_no_captions_are_refused():
    with pytest.raises(UsageError, match="name some with --captions"):
        CaptionOptions(syn_ratio=0.1)
    with pytest.raises(UsageError, match="has 'alt'"):
        CaptionOptions(json_keys=["alt"], syn_ratio=0.1)


def test_re_captions_of_real_photos_are_read(real_data):
    folder = real_data / "xm3600_600"
    words = [f"human={folder / 'captions.tsv.gz'}", str(folder / "dense_captions.jsonl.gz")]
    dropped = Counter()
    rows = list(read_captions(find_tables(words), dropped))
    num = Counter(s for one in rows for s in one.sources.to_pylist())
    assert num["dense_captions"] == 600 and num["human"] > 30_000 and not +dropped
    assert json.dumps(rows[0].langs[0].as_py()) == '"ar"'
