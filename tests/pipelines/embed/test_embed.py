"""`curate embed`: a row a pair, the model's vectors, the same bytes whatever happens."""

import json
import random
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from curate.errors import ArtifactError, InputError, UsageError
from curate.pipelines.embed import rows as rows_module
from curate.pipelines.embed.options import EmbedOptions
from curate.pipelines.embed.stage import embed_pairs
from curate.pipelines.embed.view import embed_table
from curate.pipelines.embedded.lookup import StoredVectors
from curate.pipelines.embedded.plan import EmbeddedPlan, vectors_of
from curate.pipelines.store import artifacts
from curate.training.export.load import load_run
from tests.in_process import run_here
from tests.pipelines.helpers import KILLS, contents, match, png, write_metadata, write_pairs
from tests.pipelines.tar_helpers import write_tar
from tests.pipelines.train_helpers import COLOURS, train, write_train_workspace
from tests.training.embedding.test_encoders import jpeg, static_model

CURATE = (sys.executable, "-c", "from curate.cli.main import main; main()")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = write_train_workspace(tmp_path_factory.mktemp("embed") / "data")
    train(folder, "runs/clip", steps=2)
    train(folder, "runs/other", steps=2, seed=1)
    return folder


def embed(workspace, output, *, run="runs/clip", shards=None, workers=1, **options):
    run_options = {k: options.pop(k) for k in ("overwrite", "dry_run") if k in options}
    quiet = options.pop("quiet", True)
    return embed_pairs(
        output=str(output),
        options=EmbedOptions(run=None if run is None else str(workspace / run), **options),
        matched=None if shards else str(workspace / "matched"),
        shards=None if shards is None else str(shards),
        workers=workers,
        quiet=quiet,
        **run_options,
    )


def rows(folder):
    return pa.concat_tables(
        [pq.read_table(path) for path in sorted((folder / "pairs").glob("*.parquet"))]
    )


def vectors(folder, column):
    whole = rows(folder).column(column).combine_chunks()
    return vectors_of(whole, str(folder))[0].astype(np.float64)


def test_rows_are_those_of_the_matches_with_the_vectors_of_the_model(workspace, tmp_path):
    found = embed(workspace, tmp_path / "e")
    table = rows(tmp_path / "e")
    pairs = pq.read_table(workspace / "matched/pairs/00000.parquet")
    for name in ("pair_id", "image_id"):
        assert table.column(name).equals(pairs.column(name))
    assert table.column("lang").to_pylist() == pairs.column("lang").to_pylist()
    model, preprocess, tokenize = load_run(str(workspace / "runs/clip"), "cpu")
    from curate.training.data.images import decode

    images = torch.stack([preprocess(decode(one)) for one in pairs.column("image").to_pylist()])
    with torch.no_grad():
        expected = torch.nn.functional.normalize(model.encode_image(images), dim=-1)
        texts = model.encode_text(tokenize(pairs.column("text").to_pylist()))
    np.testing.assert_allclose(vectors(tmp_path / "e", "image"), expected, atol=0.02)
    expected = torch.nn.functional.normalize(texts, dim=-1)
    np.testing.assert_allclose(vectors(tmp_path / "e", "text"), expected, atol=2e-3)
    assert found["pairs"] == found["image_vectors"] == found["text_vectors"] == 120
    assert table.column("width").to_pylist() == [16] * 120


def test_bytes_are_the_same_for_any_number_of_workers_and_of_shards_too(workspace, tmp_path):
    for workers in (1, 3):
        embed(workspace, tmp_path / f"m{workers}", workers=workers, batch_size=7)
        embed(workspace, tmp_path / f"s{workers}", workers=workers,
              shards=workspace / "balanced/shards")  # fmt: skip
    assert contents(tmp_path / "m1") == contents(tmp_path / "m3")
    assert contents(tmp_path / "s1") == contents(tmp_path / "s3")


def test_shards_have_the_ids_of_their_pairs(workspace, tmp_path):
    embed(workspace, tmp_path / "m")
    embed(workspace, tmp_path / "s", shards=workspace / "balanced/shards")
    of_pairs, of_shards = rows(tmp_path / "m").to_pylist(), rows(tmp_path / "s").to_pylist()
    by_id = {row["pair_id"]: row for row in of_pairs}
    assert len(of_shards) == 120
    for row in of_shards:
        other = by_id[row["pair_id"]]
        assert (row["image_id"], row["lang"]) == (other["image_id"], other["lang"])


def test_pairs_of_one_id_are_counted_and_named_where_they_are_others(workspace, tmp_path, caplog):
    red, blue = png(COLOURS["red"]), png(COLOURS["blue"])
    samples = [{"0.png": red, "0.txt": "red", "1.png": blue, "1.txt": "blue", "2.png": red},
               {"0.png": red, "0.txt": "red", "1.png": red, "1.txt": "blue", "3.png": red},
               {"1.png": blue, "1.txt": "red", "3.png": red}]  # fmt: skip
    for number, members in enumerate(samples):
        write_tar(tmp_path / f"shards/{number:05d}.tar", members)
    with caplog.at_level("INFO", "curate"):
        found = embed(workspace, tmp_path / "e", shards=tmp_path / "shards", quiet=False)
    # Copies: "0" and "3"; "1" has another image once, another text once.
    assert found["repeated_ids"] == {"copies": 2, "others": 2}
    told = [line for line in caplog.messages if "have an id that a pair before them has" in line]
    assert len(told) == 1 and "2 pairs" in told[0]
    assert "('1' in 00001.tar, '1' in 00002.tar)" in told[0]
    assert "copies 2, other pairs 2" in embed_table(found, "e")
    assert embed(workspace, tmp_path / "e", shards=tmp_path / "shards") == found
    shown = StoredVectors(str(tmp_path / "e"), str(tmp_path), quiet=False)
    assert len(shown.find(["0", "1"])[0]) == 2
    assert "of 3 pairs the id has stood before" in caplog.text


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bytes(workspace, tmp_path):
    embed(workspace, tmp_path / "whole", shards=workspace / "balanced/shards")
    command = [*CURATE, "embed", str(workspace / "runs/clip"), "--shards",
               str(workspace / "balanced/shards"), "-o", str(tmp_path / "killed"), "--workers",
               "2", "--quiet", "--device", "cpu"]  # fmt: skip
    rng = random.Random(0)
    for _ in range(max(2, KILLS // 7)):
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        # It takes seconds to import what it needs, and a moment to do its work.
        deadline = time.monotonic() + 60
        while not (tmp_path / "killed/plan.json").exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.communicate()
    run_here(command[len(CURATE) :])
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_the_vectors_of_two_models_are_not_mixed(workspace, tmp_path):
    embed(workspace, tmp_path / "e")
    before = contents(tmp_path / "e")
    with pytest.raises(ArtifactError, match="was made with something else:\n.*sha256"):
        embed(workspace, tmp_path / "e", run="runs/other")
    assert contents(tmp_path / "e") == before
    embed(workspace, tmp_path / "other", run="runs/other")
    (tmp_path / "e/pairs/00000.parquet").write_bytes(
        (tmp_path / "other/pairs/00000.parquet").read_bytes()
    )
    plan = EmbeddedPlan.read(str(tmp_path / "e"))
    with pytest.raises(ArtifactError, match="00000.parquet was made with something else"):
        list(plan.batches(0, ["pair_id"]))
    embed(workspace, tmp_path / "e", run="runs/other", overwrite=True)
    assert contents(tmp_path / "e") == contents(tmp_path / "other")


def test_an_image_of_several_pairs_is_looked_at_once_and_bad_ones_are_counted(workspace, tmp_path):
    images = [png(c) for c in COLOURS.values()] + [b"no image", None]
    texts = [f"red {i}" for i in range(6)]
    one = write_pairs(tmp_path / "one.parquet", texts, image=images)
    again = write_pairs(tmp_path / "again.parquet", [f"blue {t}" for t in texts], image=images)
    table = pa.concat_tables([pq.read_table(one), pq.read_table(again)])
    pq.write_table(table, tmp_path / "in.parquet")
    metadata = write_metadata(tmp_path / "metadata", {"en": ["red"]})
    match([tmp_path / "in.parquet"], metadata, tmp_path / "matched")
    found = embed_pairs(
        output=str(tmp_path / "e"), options=EmbedOptions(run=str(workspace / "runs/clip")),
        matched=str(tmp_path / "matched"), quiet=True,
    )  # fmt: skip
    assert (found["pairs"], found["images"], found["image_vectors"]) == (12, 8, 8)
    assert found["without_image"] == {"corrupt_image": 2, "no_image": 2}
    table = rows(tmp_path / "e").to_pylist()
    assert [row["image"] for row in table[:6]] == [row["image"] for row in table[6:]]
    assert [row["image"] is None for row in table[:6]] == [False] * 4 + [True] * 2
    assert table[4]["image_xxh3"] is not None and table[5]["image_xxh3"] is None


def test_an_image_that_is_lost_in_one_row_is_taken_from_another(workspace, tmp_path, monkeypatch):
    whole = png(COLOURS["red"])
    table = {"url": ["https://a.org/1.png"] * 4, "text": [f"red {i}" for i in range(4)],
             "image": [None, b"no image", whole, None]}  # fmt: skip
    pq.write_table(pa.table(table), tmp_path / "in.parquet")
    metadata = write_metadata(tmp_path / "metadata", {"en": ["red"]})
    match([tmp_path / "in.parquet"], metadata, tmp_path / "matched")
    for most, there in ((1024, [True] * 4), (1, [False, False, True, True])):
        monkeypatch.setattr(rows_module, "CHUNK_ROWS", most)
        name = f"chunks of {most}"
        found = embed_pairs(
            output=str(tmp_path / name), options=EmbedOptions(run=str(workspace / "runs/clip")),
            matched=str(tmp_path / "matched"), quiet=True,
        )  # fmt: skip
        assert found["image_vectors"] == sum(there)
        assert [r["image"] is not None for r in rows(tmp_path / name).to_pylist()] == there


def test_pairs_that_are_added_are_made_in_addition(workspace, tmp_path):
    metadata = write_metadata(tmp_path / "metadata", {"en": ["red"]})
    first = write_pairs(tmp_path / "a.parquet", ["red"] * 5, image=[jpeg(90 + i) for i in range(5)])
    second = write_pairs(tmp_path / "b.parquet", ["red"] * 4, first=9, image=[jpeg()] * 4)
    match([first], metadata, tmp_path / "matched")
    embed(tmp_path, tmp_path / "e", run=None)
    time_of_first = (tmp_path / "e/pairs/00000.parquet").stat().st_mtime_ns
    match([first, second], metadata, tmp_path / "matched")
    assert embed(tmp_path, tmp_path / "e", run=None, dry_run=True)["parts_to_do"] == 1
    assert embed(tmp_path, tmp_path / "e", run=None)["pairs"] == 9
    assert (tmp_path / "e/pairs/00000.parquet").stat().st_mtime_ns == time_of_first
    embed(tmp_path, tmp_path / "anew", run=None)
    assert contents(tmp_path / "e") == contents(tmp_path / "anew")
    assert rows(tmp_path / "e").column("image_hash").null_count == 0


def test_texts_alone_and_a_sentence_encoder_for_them(workspace, tmp_path):
    static_model(tmp_path / "static")
    found = embed(workspace, tmp_path / "t", run=None, text_encoder=str(tmp_path / "static"),
                  kinds=("text",))  # fmt: skip
    assert rows(tmp_path / "t").schema.names == ["pair_id", "image_id", "lang", "text"]
    # The vocabulary knows one of the colours, and leaves out what it does not know.
    assert (found["text_vectors"], found["without_text"]) == (30, {"no_vector": 90})
    assert found["columns"]["text"]["library"] == "model2vec"
    both = embed(workspace, tmp_path / "b", text_encoder=str(tmp_path / "static"))
    assert [both["columns"][kind]["width"] for kind in ("image", "text")] == [16, 6]


def test_the_command_prints_json_and_a_dry_run_writes_nothing(workspace, tmp_path):
    words = ["embed", "clip", "-w", str(workspace), "-o", str(tmp_path / "e"), "--json"]
    assert json.loads(run_here([*words, "--dry-run"]))["parts_to_do"] == 1
    assert not (tmp_path / "e").exists()
    assert json.loads(run_here(words))["image_vectors"] == 120


def test_what_cannot_be_meant_is_refused(workspace, tmp_path):
    with pytest.raises(UsageError, match="--kinds is 'sound'"):
        EmbedOptions(kinds=("sound",))
    with pytest.raises(UsageError, match="name a run, or a --text-encoder"):
        EmbedOptions(kinds=("text",))
    with pytest.raises(UsageError, match="--batch-size is 0"):
        EmbedOptions(batch_size=0)
    with pytest.raises(InputError, match="there are no shards"):
        embed(workspace, tmp_path / "e", shards=tmp_path)
    with pytest.raises(ArtifactError, match="nothing is matched here"):
        embed(tmp_path, tmp_path / "e", run=None)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="not an output of this command"):
        embed(workspace, tmp_path / "mine")


def test_a_shard_without_samples_has_vectors_of_nothing(workspace, tmp_path):
    write_tar(tmp_path / "shards/00000.tar", {})
    found = embed(workspace, tmp_path / "e", shards=tmp_path / "shards")
    assert (found["pairs"], found["image_vectors"], found["text_vectors"]) == (0, 0, 0)
    assert "image vectors: 0 of width 16" in embed_table(found, "e")
    assert rows(tmp_path / "e").num_rows == 0


def test_a_part_that_was_damaged_is_noticed(workspace, tmp_path):
    embed(workspace, tmp_path / "e")
    path = tmp_path / "e/pairs/00000.parquet"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match="checksum"):
        list(EmbeddedPlan.read(str(tmp_path / "e")).batches(0, ["pair_id", "image"]))
    assert artifacts.read_json(str(tmp_path / "e/plan.json"))["sources"]
