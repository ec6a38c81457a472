"""What a model sees of an image, against the programs that published models are used with."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from curate.training.data import images
from curate.training.data.images import fit, to_rgb
from curate.training.data.pixels import normalize_images
from curate.training.export.load import input_functions
from curate.training.model.config import IMAGE_MEAN, IMAGE_STD
from tests.training.their_programs import import_open_clip, import_torchvision
from tests.training.tiny import tiny_tokenizer

# Odd and even, wide and high, smaller and larger than the model's, and with what is cut off at
# either side a half.
SIZES = [(1, 1), (2, 3), (31, 32), (33, 32), (32, 32), (63, 64), (500, 375), (375, 500), (641, 427),
         (427, 641), (225, 224), (227, 224), (224, 229), (1, 50), (50, 1), (99, 1000)]  # fmt: skip


def noise(width, height, mode="RGB"):
    values = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3))
    return Image.fromarray(values.astype(np.uint8)).convert(mode)


@pytest.fixture(scope="module")
def transforms():
    found = import_torchvision()
    if found is None:
        pytest.skip("torchvision is not in .venv/torchvision; make test puts it there")
    return found


@pytest.mark.parametrize("side", [32, 224, 225, 378])
@pytest.mark.parametrize("size", SIZES)
def test_pixels_are_those_of_torchvisions_resize_and_centre_crop(transforms, size, side):
    image = noise(*size)
    bicubic = transforms.InterpolationMode.BICUBIC
    theirs = transforms.Compose([transforms.Resize(side, bicubic), transforms.CenterCrop(side)])
    expected = np.asarray(theirs(image)).transpose(2, 0, 1)
    assert np.array_equal(fit(image, side), expected)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_what_a_model_sees_is_what_open_clips_transform_gives(transforms, mode):
    open_clip = import_open_clip()
    theirs = open_clip.image_transform(
        224, is_train=False, mean=IMAGE_MEAN, std=IMAGE_STD, resize_mode="shortest",
        interpolation="bicubic",
    )  # fmt: skip
    ours, _ = input_functions(224, tiny_tokenizer())
    for size in SIZES:
        image = noise(*size, mode)
        torch.testing.assert_close(ours(image), theirs(image), atol=1e-6, rtol=0)


def shortest_side_first(image, side):
    """Resize and cut with Pillow, in whole pixels."""
    width, height = image.size
    short = min(width, height)
    resized = image.resize((side * width // short, side * height // short), Image.BICUBIC)
    left, top = round((resized.width - side) / 2), round((resized.height - side) / 2)
    cut = resized.crop((left, top, left + side, top + side))
    return np.asarray(cut).transpose(2, 0, 1)


@pytest.mark.parametrize("size", SIZES)
def test_pixels_are_those_of_pillow_in_two_steps(size):
    for side in (32, 224, 225):
        assert np.array_equal(fit(noise(*size), side), shortest_side_first(noise(*size), side))


@pytest.mark.parametrize("size", SIZES)
def test_clips_processor_sees_the_same_but_for_its_rounding_of_half_a_pixel(size):
    processor = CLIPImageProcessorPil(size={"shortest_edge": 224}, crop_size=224)
    image = noise(*size)
    theirs = torch.from_numpy(processor(image, return_tensors="np").pixel_values[0])
    width, height = (224 * side // min(size) for side in size)
    # Both cut (long - 224) / 2 off; of a half, torchvision goes to the even, transformers down.
    shift = [round((side - 224) / 2) - (side - 224) // 2 for side in (height, width)]
    expected = normalize_images(torch.from_numpy(fit(image, 224)))
    theirs_within = theirs[:, shift[0] :, shift[1] :]
    ours_within = expected[:, : 224 - shift[0], : 224 - shift[1]]
    torch.testing.assert_close(theirs_within, ours_within, atol=2e-6, rtol=0)


def test_an_image_too_long_to_be_resized_as_a_whole_is_cut_first(monkeypatch):
    image = noise(5, 90).resize((40, 900), Image.BICUBIC)
    whole = fit(image, 64)
    monkeypatch.setattr(images, "MAX_PIXELS", 64 * 64)
    # Pillow may then resize columns before rows; each pass rounds. A pixel off would be 20 levels.
    assert np.abs(whole.astype(int) - fit(image, 64)).max() <= 2
    monkeypatch.undo()
    assert fit(Image.new("RGB", (1, 60_000), (9, 8, 7)), 224).shape == (3, 224, 224)


def test_a_palette_is_resized_in_colours_and_transparency_is_white():
    palette = noise(60, 50).convert("P")
    assert np.array_equal(fit(to_rgb(palette), 32), fit(palette.convert("RGB"), 32))
    clear = Image.new("RGBA", (50, 60), (9, 9, 9, 0))
    buffer = io.BytesIO()
    clear.save(buffer, "PNG")
    preprocess, _ = input_functions(32, tiny_tokenizer())
    assert torch.equal(
        preprocess(Image.open(buffer)), preprocess(Image.new("RGB", (9, 9), "white"))
    )
