import io
import tarfile
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from metadata.errors import InputError
from tests.pipelines.helpers import png
from training.data import Position, batches, list_shards, prefetch
from training.images import decode, fit
from training.tokenizer import learn_tokenizer

START = Position()


@pytest.fixture(scope="module")
def tokenizer():
    return learn_tokenizer(["a red dog"] * 4, 300, 8)


def write_shard(path, keys, *, image=None):
    with tarfile.open(path, "w") as tar:
        for key in keys:
            data = png((hash(key) % 200, 0, 0)) if image is None else image
            for suffix, content in (("png", data), ("txt", f"caption {key}".encode())):
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return str(path)


@pytest.fixture
def shards(tmp_path):
    return [write_shard(tmp_path / f"{s}.tar", [f"{s}-{i}" for i in range(10)]) for s in range(4)]


def stream(shards, tokenizer, *, start=START, batch_size=8, seed=0, buffer=15):
    return batches(
        shards, tokenizer, image_size=8, batch_size=batch_size, seed=seed,
        shuffle_pairs=buffer, start=start,
    )  # fmt: skip


def test_every_pair_comes_once_per_epoch_in_an_order_of_its_own(shards, tokenizer):
    epochs = list(islice(stream(shards, tokenizer), 10))
    ids = [[i for b in epochs if b.end.epoch == e for i in b.pair_ids] for e in (0, 1)]
    assert len(set(ids[0])) == len(ids[0]) == 40 and sorted(ids[0]) == sorted(ids[1])
    assert ids[0] != ids[1]
    assert epochs[0].images.shape == (8, 3, 8, 8) and epochs[0].images.dtype == np.uint8
    other_seed = next(stream(shards, tokenizer, seed=1))
    assert other_seed.pair_ids != epochs[0].pair_ids


def test_a_resumed_stream_goes_on_with_the_same_pixels(shards, tokenizer):
    straight = list(islice(stream(shards, tokenizer), 9))
    for cut in (1, 4, 5, 7):
        resumed = list(islice(stream(shards, tokenizer, start=straight[cut - 1].end), 9 - cut))
        for a, b in zip(straight[cut:], resumed, strict=True):
            assert a.pair_ids == b.pair_ids and a.end == b.end
            assert np.array_equal(a.images, b.images) and np.array_equal(a.tokens, b.tokens)


def test_bad_samples_are_counted_and_left_out(tmp_path, tokenizer):
    good = write_shard(tmp_path / "0.tar", [f"a{i}" for i in range(12)])
    bad = write_shard(tmp_path / "1.tar", ["b0", "b1"], image=b"no image")
    cut = tmp_path / "2.tar"
    write_shard(cut, [f"c{i}" for i in range(6)])
    cut.write_bytes(cut.read_bytes()[:700])
    with tarfile.open(tmp_path / "3.tar", "w") as tar:
        info = tarfile.TarInfo("d.png")
        info.size = len(png((1, 1, 1)))
        tar.addfile(info, io.BytesIO(png((1, 1, 1))))
    shards = [good, bad, str(cut), str(tmp_path / "3.tar")]
    skipped = Counter()
    for batch in islice(stream(shards, tokenizer, batch_size=4), 6):
        skipped.update(batch.skipped)
        assert all(i.startswith("a") for i in batch.pair_ids)
    assert skipped["corrupt_image"] >= 2 and skipped["no_caption"] >= 1
    assert skipped["corrupt_shard"] >= 1


def test_too_few_pairs_for_a_batch_is_an_error(shards, tokenizer):
    with pytest.raises(InputError, match="hold only 40 usable pairs.*fewer than a batch of 64"):
        next(stream(shards, tokenizer, batch_size=64))


def test_a_folder_without_shards_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no shards"):
        list_shards(str(tmp_path))


def test_prefetch_gives_the_same_items_and_hands_errors_over():
    assert list(prefetch(iter(range(20)), ahead=2)) == list(range(20))

    def broken():
        yield 1
        raise OSError("disk")

    items = prefetch(broken())
    assert next(items) == 1
    with pytest.raises(OSError, match="disk"):
        next(items)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "CMYK", "1", "I;16"])
def test_images_of_every_mode_become_rgb(mode):
    image = Image.new("L", (9, 5), 255)
    image = Image.fromarray(np.full((5, 9), 65535, np.uint16)) if mode == "I;16" else image
    image = image if mode == "I;16" else image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "TIFF" if mode == "CMYK" else "PNG")
    found = fit(decode(buffer.getvalue()), 4)
    assert found.shape == (3, 4, 4) and (found >= 254).all()


def test_transparency_is_white_and_exif_turns_the_image():
    buffer = io.BytesIO()
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(buffer, "PNG")
    assert (fit(decode(buffer.getvalue()), 4) == 255).all()
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(buffer, "JPEG", exif=exif)
    assert decode(buffer.getvalue()).size == (4, 8)
