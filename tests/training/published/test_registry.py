"""The names of published models, and the shapes that they stand for."""

import re

import pytest
import torch

from curate.errors import InputError
from curate.training.model.clip import CLIP
from curate.training.model.config import num_parameters
from curate.training.model.foreign_configs import to_open_clip
from curate.training.model.weights import published_end
from curate.training.published.registry import (
    BASE_URL,
    find_published,
    is_published,
    published_models,
)
from tests.training.their_programs import import_open_clip

# In all, of the sizes that OpenAI and OpenCLIP published.
TOTALS = {
    "ViT-B-32-quickgelu": 151_277_313, "ViT-B-16-quickgelu": 149_620_737,
    "ViT-L-14-quickgelu": 427_616_513, "ViT-H-14": 986_109_441, "ViT-H-14-quickgelu": 986_109_441,
    "ViT-bigG-14-quickgelu": 2_539_567_105,
}  # fmt: skip
WORLD, ENGLISH, MT5 = 901_629, 49_408, 250_000


def counted(config):
    with torch.device("meta"):
        return sum(p.numel() for p in CLIP(config, 0).parameters())


def test_there_are_twenty_five_with_names_files_and_sums_of_their_own():
    found = published_models()
    assert len(found) == len({one.name for one in found}) == len({one.file for one in found}) == 25
    assert len({one.sha256 for one in found}) == 25
    for one in found:
        assert re.fullmatch("[0-9a-f]{64}", one.sha256) and one.url == BASE_URL + one.file
        assert one.tokenizer in ("clip", "facebook/xlm-v-base",
                                 "google/siglip-so400m-patch16-256-i18n")  # fmt: skip
        assert (one.languages == "worldwide") == (one.measure == "CVQA-LOCAL")
        assert 40 < one.score < 90
    assert {one.model for one in found if one.note} == {"ViT-B-32-384-worldwide"}


@pytest.mark.parametrize("one", published_models(), ids=lambda one: one.name)
def test_parameters_are_those_of_the_published_sizes(one):
    config = one.config
    found = counted(config)
    assert found == num_parameters(config)
    if one.model in TOTALS:
        assert found == TOTALS[one.model]
    else:  # a worldwide one: an English one of its size with a larger vocabulary, more positions
        size = re.match("ViT-[a-zA-Z]+-[0-9]+", one.model)[0]
        vocabulary = MT5 if "mT5" in one.model else WORLD
        english = next((n for m, n in TOTALS.items() if m.startswith(size)), None)
        patches = (config.image_size // config.patch_size) ** 2
        usual = (224 // config.patch_size) ** 2
        more = (vocabulary - ENGLISH) * config.text_width
        more += (patches - usual) * config.vision_width
        if english is not None:
            assert found == english + more
        assert config.vocab_size == vocabulary
    sizes = [number for number in ("378", "384") if f"-{number}-" in one.model]
    assert config.image_size == int(sizes[0] if sizes else 224)
    assert config.quick_gelu == ("quickgelu" in one.model)
    assert published_end(config).eos_id == (
        49_407 if one.languages == "English" else 1 if "mT5" in one.model else 2
    )


@pytest.mark.parametrize("one", published_models(), ids=lambda one: one.name)
def test_open_clip_builds_as_many_parameters_of_the_same_shape(one):
    import_open_clip()
    from open_clip.model import CLIP as Theirs

    config = published_end(one.config)
    described = to_open_clip(config, config.eos_id)["model_cfg"]
    with torch.device("meta"):
        theirs = Theirs(described["embed_dim"], described["vision_cfg"], described["text_cfg"],
                        quick_gelu=described["quick_gelu"])  # fmt: skip
    assert sum(p.numel() for p in theirs.parameters()) == num_parameters(config)


@pytest.mark.parametrize(
    "name, pretrained, file",
    [
        ("ViT-B-32-quickgelu", "metaclip_400m", "b32_400m.pt"),
        ("ViT-B-32-quickgelu", "metaclip_fullcc", "b32_fullcc2.5b.pt"),
        ("metaclip_400m/ViT-B-32-quickgelu", None, "b32_400m.pt"),
        ("ViT-B-32-quickgelu:metaclip_400m", None, "b32_400m.pt"),
        ("ViT-B-32-quickgelu/metaclip400m", None, "b32_400m.pt"),
        (
            "metaclip2_worldwide/ViT-H-14-quickgelu-worldwide",
            None,
            "metaclip2_h14_quickgelu_224px_worldwide.pt",
        ),
        (
            "ViT-H-14-quickgelu-worldwide@WorldWideCLIP",
            "metaclip2_worldwide",
            "metaclip2_h14_quickgelu_224px_worldwide.pt",
        ),
        ("vit-h-14-378-WORLDWIDE", None, "metaclip2_h14_378px_worldwide.pt"),
        ("ViT-S-16-mT5-worldwide@mT5CLIP", None, "metaclip2_s16_224px_mt5_worldwide.pt"),
        ("ViT-H-14", None, "h14_v1.2_altogether.pt"),
    ],
)
def test_published_spellings_are_understood(name, pretrained, file):
    assert find_published(name, pretrained).file == file
    assert is_published(name, pretrained)


@pytest.mark.parametrize(
    "name, pretrained, message",
    [
        (
            "ViT-B-32-quickgelu",
            None,
            "several names: metaclip_400m, metaclip_2_5b. Say which: meta",
        ),
        ("ViT-B-23-quickgelu", None, "no published model.*nearest: .*ViT-B-32-quickgelu"),
        ("ViT-H-14-quickgelu-worldwid", None, "nearest: metaclip2_worldwide/ViT-H-14-quickgelu-w"),
        ("metaclip_400n/ViT-L-14-quickgelu", None, "nearest: metaclip_400m/ViT-L-14-quickgelu"),
        ("ViT-H-14-378-worldwide", "metaclip_400m", "metaclip_400m/ViT-H-14-378-worldwide: there"),
        ("metaclip_400m/ViT-B-32-quickgelu", "metaclip_2_5b", "there is no published model"),
        ("something", None, "no published model of this name; `curate models` lists them"),
        ("ViT-B-16-worldwide@OtherCLIP", None, "no published model of this name"),
    ],
)
def test_names_of_none_are_told_with_the_nearest(name, pretrained, message):
    with pytest.raises(InputError, match=message):
        find_published(name, pretrained)
