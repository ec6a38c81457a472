import io
import random
import warnings

import numpy as np
import pytest
from PIL import Image

from curate.errors import MissingExtraError, UsageError
from curate.training.data import images
from curate.training.data.images import (
    UnusableImageError,
    crop_into,
    decode,
    describe_decoder,
    fit,
    resolve_decoder,
)
from curate.training.data.jpeg import is_progressive, orientation
from curate.training.data.resize_kernels import random_box, resize_box


def noise(width, height, seed=0):
    """Colours without an edge that JPEG would blur into something else than noise."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3))
    return Image.fromarray(small.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image, kind="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def crop(data, *, key=5, size=32, decoder="simplejpeg"):
    out = np.full((3, size, size), 77, np.uint8)
    crop_into(out, data, key, decoder)
    return out


def pillow_passes(image, left, top, right, bottom, size):
    """Rows, then columns, each by Pillow."""
    cubic = Image.Resampling.BICUBIC
    rows = image.resize((image.width, size), cubic, box=(0, top, image.width, bottom))
    return np.asarray(rows.resize((size, size), cubic, box=(left, 0, right, size))).transpose(
        2, 0, 1
    )


@pytest.mark.parametrize("size", [1, 5, 16, 100])
@pytest.mark.parametrize("width, height", [(1, 1), (9, 2), (3, 7), (40, 300), (700, 400)])
def test_the_resize_is_that_of_pillow_bit_for_bit(size, width, height):
    pixels = np.random.default_rng(size).integers(0, 256, (height, width, 3), dtype=np.uint8)
    box = (0.25 * (width > 1), 0.0, width - 0.125, float(height))
    out = np.empty((3, size, size), np.uint8)
    resize_box(pixels, *box, out)
    assert np.array_equal(out, pillow_passes(Image.fromarray(pixels), *box, size))


def test_the_resize_is_near_to_pillows_own_order_of_passes():
    image = noise(341, 256)
    out = np.empty((3, 224, 224), np.uint8)
    resize_box(np.asarray(image), 3.0, 2.0, 330.0, 250.0, out)
    one_go = image.resize((224, 224), Image.Resampling.BICUBIC, box=(3, 2, 330, 250))
    difference = np.abs(out.astype(int) - np.asarray(one_go).transpose(2, 0, 1))
    # Each pass rounds once and cuts off at 0 and 255; the other order does so elsewhere.
    assert difference.max() <= 6 and difference.mean() < 0.3


def test_boxes_lie_inside_and_cover_nine_tenths():
    for key in range(300):
        width, height = 280 + key % 130, 333
        left, top, w, h = random_box(width, height, np.uint64(key))
        assert left >= 0 and top >= 0 and left + w <= width and top + h <= height
        assert 0.89 < w * h / (width * height) <= 1.0
    # 10:1 has no such rectangle, so it is 4:3 in the middle; 1:10 likewise.
    assert random_box(300, 30, np.uint64(1)) == (130, 0, 40, 30)
    assert random_box(30, 300, np.uint64(1)) == (0, 130, 30, 40)
    assert random_box(1, 1, np.uint64(1)) == (0, 0, 1, 1)
    assert len({random_box(99, 99, np.uint64(key)) for key in range(20)}) > 10


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("width, height", [(67, 50), (161, 123), (301, 640), (7, 5)])
@pytest.mark.parametrize("progressive", [False, True])
def test_both_decoders_give_the_same_pixels_at_every_scale(subsampling, width, height, progressive):
    data = encoded(noise(width, height), subsampling=subsampling, progressive=progressive)
    assert is_progressive(data) == progressive
    for size in (16, 32, 64):
        assert np.array_equal(crop(data, size=size), crop(data, size=size, decoder="pillow"))


def test_a_large_image_is_decoded_small_and_looks_the_same():
    data = encoded(noise(100, 80).resize((800, 640), Image.Resampling.BICUBIC), quality=95)
    box = random_box(800, 640, np.uint64(5))
    whole = pillow_passes(decode(data), *box[:2], box[0] + box[2], box[1] + box[3], 64)
    assert np.abs(crop(data, size=64).astype(int) - whole).mean() < 2


@pytest.mark.parametrize("decoder", ["simplejpeg", "pillow"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_turns_the_image(turn, decoder):
    exif = Image.Exif()
    exif[0x0112] = turn
    data = encoded(noise(90, 60), exif=exif, quality=95)
    assert orientation(data) == turn
    upright = decode(data)
    assert upright.size == ((60, 90) if turn > 4 else (90, 60))
    left, top, w, h = random_box(*upright.size, np.uint64(5))
    expected = pillow_passes(upright, left, top, left + w, top + h, 50)
    assert np.array_equal(crop(data, size=50, decoder=decoder), expected)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "CMYK", "1", "I;16", "16-bit RGB"])
@pytest.mark.parametrize("decoder", ["simplejpeg", "pillow"])
def test_white_is_white_in_every_mode(mode, decoder):
    if mode == "I;16":
        image = Image.fromarray(np.full((5, 9), 65535, np.uint16))
    else:
        image = Image.new("L", (9, 5), 255).convert("RGB" if mode == "16-bit RGB" else mode)
    data = encoded(image, "TIFF" if mode == "CMYK" else "PNG")
    assert (crop(data, decoder=decoder) >= 254).all() and (fit(decode(data), 4) >= 254).all()
    if mode in ("RGB", "L", "CMYK"):
        assert (crop(encoded(image, "JPEG"), decoder=decoder) >= 250).all()


def test_cmyk_webp_and_gif_are_decoded_by_pillow_whatever_the_decoder():
    image = noise(60, 50)
    for data in (
        encoded(image.convert("CMYK")), encoded(image, "WEBP"), encoded(image.convert("P"), "GIF"),
    ):  # fmt: skip
        found = crop(data)
        assert np.array_equal(found, crop(data, decoder="pillow"))
        assert np.abs(found.astype(int) - crop(encoded(image, "PNG"))).mean() < 40


def test_transparency_is_white():
    data = encoded(Image.new("RGBA", (4, 4), (0, 0, 0, 0)), "PNG")
    assert (crop(data) == 255).all() and (fit(decode(data), 4) == 255).all()


def test_an_image_of_one_pixel_and_one_of_thirty_thousand():
    assert (crop(encoded(Image.new("RGB", (1, 1), (9, 9, 9)), "PNG")) == 9).all()
    assert crop(encoded(Image.new("RGB", (1, 1)))).shape == (3, 32, 32)
    long = encoded(Image.new("RGB", (30_000, 400), (200, 0, 0)))
    found = crop(long)
    assert (found[0] > 190).all() and (found[1:] < 10).all()
    assert np.array_equal(found, crop(long, decoder="pillow"))


def with_size(data, width, height):
    """A JPEG whose header claims another size."""
    at = next(i for i in range(len(data)) if data[i : i + 2] in (b"\xff\xc0", b"\xff\xc2"))
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return data[: at + 5] + size + data[at + 9 :]


def test_what_would_fill_the_memory_is_refused_by_its_header():
    huge = with_size(encoded(noise(64, 64)), 60_000, 60_000)
    for data in (
        with_size(encoded(noise(64, 64), progressive=True), 30_000, 30_000),
        with_size(encoded(noise(64, 64).convert("L"), progressive=True), 30_000, 30_000),
    ):
        with pytest.raises(UnusableImageError, match="30000 x 30000 pixels") as caught:
            crop(data)
        assert caught.value.reason == "image_too_large"
    with pytest.raises(UnusableImageError) as caught:
        crop(huge, size=8000)
    assert caught.value.reason == "image_too_large"
    # At an eighth it would fit, but the pixels are not there.
    with pytest.raises(UnusableImageError) as caught:
        crop(with_size(encoded(noise(64, 64)), 9_000, 9_000)[:-40])
    assert caught.value.reason == "corrupt_image"


def test_a_png_larger_than_pillow_allows_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for side in (10_000, 14_000):
            with pytest.raises(UnusableImageError) as caught:
                crop(encoded(Image.new("1", (side, side)), "PNG"))
            assert caught.value.reason == "image_too_large"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_damage_gives_pixels_or_a_reason_and_nothing_else(kind):
    whole = encoded(noise(60, 45), kind)
    rng = random.Random(kind)
    reasons = set()
    for _ in range(250):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 3, 10))):
            data[rng.randrange(len(data) if rng.random() < 0.5 else 60)] = rng.randrange(256)
        try:
            crop(bytes(data[: rng.randrange(len(data))] if rng.random() < 0.3 else data))
        except UnusableImageError as error:
            reasons.add(error.reason)
    assert "corrupt_image" in reasons
    for data in (b"", b"no image", whole[: len(whole) // 2]):
        for decoder in ("simplejpeg", "pillow"):
            with pytest.raises(UnusableImageError) as caught:
                crop(data, decoder=decoder)
            assert caught.value.reason == "corrupt_image"


def test_both_decoders_agree_on_what_is_damaged():
    whole = encoded(noise(80, 60))
    rng = random.Random(0)
    for _ in range(100):
        data = bytearray(whole)
        data[rng.randrange(300, len(data))] = rng.randrange(256)
        found = []
        for decoder in ("simplejpeg", "pillow"):
            try:
                found.append(crop(bytes(data), decoder=decoder).tobytes())
            except UnusableImageError as error:
                found.append(error.reason)
        assert found[0] == found[1]


def test_the_decoder_is_chosen_once_and_recorded(monkeypatch):
    assert resolve_decoder("auto") == "simplejpeg"
    assert describe_decoder("simplejpeg").keys() == {"jpeg", "pillow", "resize", "simplejpeg"}
    monkeypatch.setattr(images, "find_spec", lambda _: None)
    assert resolve_decoder("auto") == "pillow"
    assert "simplejpeg" not in describe_decoder("pillow")
    with pytest.raises(MissingExtraError, match="pip install"):
        resolve_decoder("simplejpeg")
    with pytest.raises(UsageError, match="expected one of auto, simplejpeg, pillow, nvimgcodec"):
        resolve_decoder("opencv")


def test_an_image_is_of_a_named_format_whatever_its_name_says():
    # Pillow knows PostScript too, which it hands on to another program.
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"
    with Image.open(io.BytesIO(eps)) as opened:
        assert opened.format == "EPS"
    with pytest.raises(OSError, match="cannot identify"):
        decode(eps)
    with pytest.raises(UnusableImageError):
        crop_into(np.zeros((3, 8, 8), np.uint8), eps, 0, "pillow")
