"""A teacher's vectors of several cuts of each image: those that its student sees."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import curate
from curate.errors import ArtifactError, InputError, UsageError
from curate.files.remedies import on_command_line
from curate.pipelines.embed.options import EmbedOptions
from curate.pipelines.embedded.lookup import StoredVectors
from curate.pipelines.embedded.plan import EmbeddedPlan, known_crops, vectors_of
from curate.pipelines.train.stage import TrainExtras
from curate.training.data.images import crop_into, crops_into
from curate.training.data.loader import Loader, LoaderConfig, list_shards
from curate.training.data.pixels import normalize_images
from curate.training.export.load import load_model
from curate.training.loop.config import DistillConfig
from tests.pipelines.embedded_helpers import encoded, picture
from tests.pipelines.helpers import contents
from tests.pipelines.tar_helpers import write_tar
from tests.pipelines.train.test_train import assert_same, interrupt_at
from tests.pipelines.train_helpers import SHAPE, log_lines, train, weights, write_train_workspace

SIZES = [(60, 44), (31, 90), (260, 180), (700, 500)]  # the last ones are decoded smaller
CROPS = 3


@pytest.fixture(autouse=True)
def told_as_to_a_shell():
    with on_command_line():
        yield


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Shards of pictures, some in PNG, one broken; a teacher; and its vectors of their cuts."""
    folder = write_train_workspace(tmp_path_factory.mktemp("crops"))
    train(folder, "runs/teacher", steps=10)
    shards = folder / "balanced/shards"
    for path in shards.iterdir():
        path.unlink()
    for shard in range(2):
        members = {}
        for number in range(24):
            key, which = f"{shard}{number:03d}", number // 2  # two pairs of an image
            image = picture(100 * shard + which, *SIZES[which % len(SIZES)])
            is_png = which % 5 == 3
            members[f"{key}.png" if is_png else f"{key}.jpg"] = (
                encoded(image, kind="PNG") if is_png else encoded(image)
            )
            members[f"{key}.json"] = {
                "pair_id": f"pair {key}", "url": f"http://a.test/{shard}/{which}", "lang": "en",
                "texts": [f"something {number}", "another text"],
            }  # fmt: skip
        if shard:
            members["1023.jpg"] = b"\xff\xd8\xff no image"
            members["1023.json"]["url"] = "http://a.test/broken"
        write_tar(shards / f"{shard:05d}.tar", members)
    embed(folder, "vectors")
    return folder


def embed(folder, name, *, crops=CROPS, workers=1, **options):
    return curate.embed(
        str(folder / "runs/teacher"), shards=str(folder / "balanced/shards"), crops=crops,
        output=str(folder / name), device="cpu", workers=workers, quiet=True, **options,
    )  # fmt: skip


def loader(folder, *, rank=0, num_ranks=1, crops=None, threads=2):
    plan = EmbeddedPlan.read(str(folder / "vectors"))
    _, words = load_model(str(folder / "runs/teacher"), "cpu")
    config = LoaderConfig(
        image_size=SHAPE["image_size"], batch_size=8, seed=4, shuffle_pairs=16, rank=rank,
        num_ranks=num_ranks, threads=threads, crops=crops or known_crops(plan.parameters),
    )  # fmt: skip
    shards = list_shards(str(folder / "balanced/shards"))
    return Loader(shards, words, config, takes_first=True)


def some(batches, num):
    found = []
    for _ in range(num):
        batch = next(batches)
        found.append(replace(batch, images=batch.images.copy()))
    batches.close()
    return found


def test_stored_vectors_are_those_of_the_teachers_own_pass(workspace, tmp_path):
    stored = StoredVectors(str(workspace / "vectors"), str(tmp_path))
    model, _ = load_model(str(workspace / "runs/teacher"), "cpu")
    drawn = set()
    for batch in some(loader(workspace).batches(), 12):
        image, text = stored.find(batch.pair_ids, batch.crops)
        drawn |= set(batch.crops)
        with torch.no_grad():
            pixels = normalize_images(torch.as_tensor(batch.images))
            own_image, own_text, _ = model(pixels, torch.as_tensor(batch.tokens))
        np.testing.assert_allclose(image, own_image, atol=1e-3)
        np.testing.assert_allclose(text, own_text, atol=1e-3)
        other = stored.find(batch.pair_ids, [(crop + 1) % CROPS for crop in batch.crops])[0]
        assert np.abs(other - own_image.numpy()).max() > 3e-3, "other cuts have other vectors"
    assert drawn == set(range(CROPS))


def test_cuts_are_equal_on_any_number_of_ranks_and_after_a_stop(workspace):
    whole = some(loader(workspace).batches(), 14)
    assert len({batch.end.epoch for batch in whole}) == 3
    ranks = [some(loader(workspace, rank=r, num_ranks=2, threads=1).batches(), 14) for r in (0, 1)]
    gone_on = some(loader(workspace).batches(whole[4].end), 9)
    for number, batch in enumerate(whole):
        for rank in (0, 1):
            part = ranks[rank][number]
            assert part.crops == batch.crops[rank::2]
            np.testing.assert_array_equal(part.images, batch.images[rank::2])
    for before, after in zip(whole[5:], gone_on, strict=True):
        assert (before.pair_ids, before.crops) == (after.pair_ids, after.crops)
        np.testing.assert_array_equal(before.images, after.images)
    drawn = {}
    for batch in whole:
        for pair_id, crop in zip(batch.pair_ids, batch.crops, strict=True):
            drawn.setdefault(pair_id, set()).add(crop)
    assert any(len(crops) > 1 for crops in drawn.values()), "epochs draw other cuts"


def test_a_folder_has_cuts_beside_the_middle_whatever_the_workers(workspace, tmp_path):
    found = embed(workspace, tmp_path / "again", workers=3)
    assert contents(tmp_path / "again") == contents(workspace / "vectors")
    assert (found["pairs"], found["image_vectors"], found["images"]) == (48, 47, 25)
    plain = embed(workspace, tmp_path / "plain", crops=0)
    assert plain["images"] == found["images"]
    for part in ("00000.parquet", "00001.parquet"):
        table = pq.read_table(workspace / "vectors/pairs" / part)
        before = pq.read_table(tmp_path / "plain/pairs" / part)
        assert "crops" not in before.column_names
        for name in ("pair_id", "image_hash", "width"):
            assert table.column(name).equals(before.column(name))
        crops, is_there = vectors_of(table.column("crops").combine_chunks(), part)
        assert crops.shape == (24, CROPS * SHAPE["embed_dim"])
        assert is_there.tolist() == [name != "pair 1023" for name in table["pair_id"].to_pylist()]
    # Two pairs of one image have cuts of their own.
    assert not np.array_equal(crops[0], crops[1])


def test_other_cuts_are_another_folder_and_wrong_ones_are_refused(workspace, tmp_path):
    embed(workspace, tmp_path / "v", crops=1)
    with pytest.raises(ArtifactError, match="crops"):
        embed(workspace, tmp_path / "v", crops=2)
    with pytest.raises(ArtifactError, match="crops"):
        embed(workspace, tmp_path / "v", crops=1, crop_seed=1)
    with pytest.raises(UsageError, match="--crops is -1; expected at least 0"):
        EmbedOptions(run="x", crops=-1)
    for options in ({"run": None}, {"run": "x", "kinds": ("text",)}):
        with pytest.raises(UsageError, match="--crops are looked at by a model"):
            EmbedOptions(crops=2, **options)
    stored = StoredVectors(str(workspace / "vectors"), str(tmp_path / "cache"))
    with pytest.raises(InputError, match="pair pair 1023 has no vectors"):
        stored.find(["pair 1023"], [0])


def learn(folder, name, teacher="vectors", **config):
    extras = TrainExtras(
        teacher=str(folder / teacher), threads=1, shard_cache=str(folder / "cache")
    )
    distill = DistillConfig(teacher_scale=20.0, feature_weight=0.5)
    values = {"steps": 12, "batch_size": 8, "checkpoint_every": 4, "log_every": 1, **config}
    return train(folder, name, extras=extras, distill=distill, **values)


def test_a_student_of_stored_cuts_goes_on_bit_for_bit(workspace, monkeypatch):
    learn(workspace, "whole")
    interrupt_at(monkeypatch, 7, lambda: learn(workspace, "cut"))
    embed(workspace, "fewer", crops=2)
    with pytest.raises(ArtifactError, match="was made with something else"):
        learn(workspace, "cut", teacher="fewer")
    learn(workspace, "cut")
    assert_same(weights(workspace, "whole"), weights(workspace, "cut"))
    losses = [line["loss"] for line in log_lines(workspace, "whole")]
    assert losses == [line["loss"] for line in log_lines(workspace, "cut")]


def test_a_cut_of_several_is_the_cut_alone():
    for seed, (width, height) in enumerate(SIZES):
        for kind in ("JPEG", "PNG"):
            data = encoded(picture(seed, width, height), kind=kind)
            outs = np.zeros((5, 3, 24, 24), np.uint8)
            crops_into(outs, data, [7, 8, 9, 10, 11], "pillow")
            for out, key in zip(outs, (7, 8, 9, 10, 11), strict=True):
                alone = np.zeros((3, 24, 24), np.uint8)
                crop_into(alone, data, key, "pillow")
                np.testing.assert_array_equal(out, alone)
