from itertools import islice

import numpy as np
import pytest
import simplejpeg
import torch

from curate.errors import CurateError, InputError, UsageError
from curate.training.data import gpu_decode
from curate.training.data.gpu_decode import GpuCropper, nvimgcodec_decode
from curate.training.data.images import crop_into, resolve_decoder
from curate.training.data.loader import Loader, LoaderConfig, Position
from curate.training.text.tokenizer import learn_tokenizer
from tests.training.data.test_images import encoded, noise
from tests.training.shard_files import sample, write_tar

CPU = torch.device("cpu")


def host_decode(contents):
    """Decode as the GPU would: None for what is damaged."""
    found = []
    for content in contents:
        try:
            found.append(torch.from_numpy(simplejpeg.decode_jpeg(content).copy()))
        except ValueError:
            found.append(None)
    return found


def test_crops_are_those_of_the_host_but_for_rounding():
    images = [encoded(noise(90 + i, 70), quality=95) for i in range(4)]
    images.append(encoded(noise(80, 60).convert("L")))
    keys = [3, 1 << 63, 5, 7, 9]
    out = torch.zeros((5, 3, 48, 48), dtype=torch.uint8)
    assert GpuCropper(CPU, host_decode).crop(images, keys, out) == [True] * 5
    host = np.empty((3, 48, 48), np.uint8)
    for image, key, found in zip(images, keys, out.numpy(), strict=True):
        crop_into(host, image, key, "simplejpeg")
        # At the edges the host looks at pixels next to the rectangle.
        inner = np.abs(found.astype(int) - host)[:, 2:-2, 2:-2]
        assert inner.mean() < 1


def test_what_the_gpu_cannot_decode_is_left_to_the_host():
    exif = type(noise(8, 8).getexif())()
    exif[0x0112] = 6
    images = [
        encoded(noise(40, 40), "PNG"), encoded(noise(40, 40).convert("CMYK")),
        encoded(noise(40, 40), exif=exif), encoded(noise(40, 40))[:300], b"",
        encoded(noise(40, 40)),
    ]  # fmt: skip
    out = torch.zeros((6, 3, 8, 8), dtype=torch.uint8)
    asked = []

    def decode(contents):
        asked.extend(contents)
        return host_decode(contents)

    assert GpuCropper(CPU, decode).crop(images, list(range(6)), out) == [False] * 5 + [True]
    assert asked == [images[3], images[5]] and (out[:5] == 0).all()


@pytest.fixture
def loader(tmp_path, monkeypatch):
    """A loader that decodes on a device which is the host."""
    monkeypatch.setattr("curate.training.data.loader.resolve_decoder", lambda name: name)
    monkeypatch.setattr("curate.training.data.loader.host_decoder", lambda _: "simplejpeg")
    monkeypatch.setattr(gpu_decode, "nvimgcodec_decode", lambda _: host_decode)
    tokenizer = learn_tokenizer(["a red dog"] * 4, 300, 8)

    def make(samples, decoder):
        path = write_tar(tmp_path / "0.tar", samples)
        config = LoaderConfig(image_size=8, batch_size=8, decoder=decoder, threads=2)
        return Loader([path], tokenizer, config).batches(Position())

    return make


def jpeg_sample(number):
    key, members = sample(f"a{number}")
    del members["png"]
    return key, {"jpg": encoded(noise(20, 30, seed=number)), **members}


def test_a_loader_decodes_on_the_device_what_it_can(loader):
    samples = [jpeg_sample(i) for i in range(12)] + [sample(f"p{i}") for i in range(2)]
    samples += [
        ("bad", {"jpg": b"\xff\xd8\xff no", "txt": b"x"}),
        ("no", {"jpg": b"x", "json": b"1"}),
    ]
    device, host = loader(samples, "nvimgcodec"), loader(samples, "simplejpeg")
    skipped: set[str] = set()
    for found, expected in islice(zip(device, host, strict=True), 4):
        skipped |= found.skipped.keys()
        assert found.pair_ids == expected.pair_ids and found.end == expected.end
        assert found.skipped == expected.skipped and isinstance(found.images, torch.Tensor)
        assert np.array_equal(found.tokens, expected.tokens)
        for row, pair_id in enumerate(found.pair_ids):
            difference = np.abs(found.images[row].numpy().astype(int) - expected.images[row])
            assert difference.max() == 0 if pair_id.startswith("p") else difference.mean() < 12
    assert skipped == {"corrupt_image", "no_caption"}
    device.close()
    host.close()


def test_without_a_usable_image_the_device_gives_the_same_error(loader):
    stream = loader([(f"{i}", {"jpg": b"x", "txt": b"x"}) for i in range(9)], "nvimgcodec")
    with pytest.raises(InputError, match="none of 9 samples can be used"):
        next(stream)


def test_decoding_on_a_gpu_needs_one_and_the_library():
    with pytest.raises(UsageError, match="this run is on cpu"):
        nvimgcodec_decode(CPU)
    try:
        import nvidia.nvimgcodec  # noqa: F401
    except ImportError:
        with pytest.raises(CurateError, match="pip install 'nvidia-nvimgcodec"):
            resolve_decoder("nvimgcodec")
    else:
        assert resolve_decoder("nvimgcodec") == "nvimgcodec"
