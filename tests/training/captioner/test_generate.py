import numpy as np
import pytest
import torch

from curate.training.captioner.config import CaptionerConfig
from curate.training.captioner.generate import image_features, write_captions
from curate.training.captioner.model import CaptionModel
from curate.training.captioner.sequences import SequenceEncoder
from curate.training.data.pixels import normalize_images
from curate.training.model.clip import CLIP
from curate.training.model.config import ModelConfig
from tests.pipelines.train_helpers import SHAPE as CLIP_SHAPE
from tests.training.captioner.tiny_lm import make_lm, make_tokenizer

SHAPE = CaptionerConfig(prefix_tokens=3, mapper_layers=1, mapper_heads=2, prompt_tokens=5,
                        text_tokens=30)  # fmt: skip
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 3, 16, 16), dtype=np.uint8)
PROMPTS = ["", "dog", "a red dog", "red green blue white a", "the cat", ""]


@pytest.fixture(params=["opt", "gpt2", "llama"])
def parts(request):
    torch.manual_seed(0)
    clip = CLIP(ModelConfig(**CLIP_SHAPE), eos_id=1).eval()
    model = CaptionModel(16, make_lm(request.param), SHAPE).eval()
    return clip, model, SequenceEncoder(make_tokenizer(), SHAPE)


def write(parts, at=slice(None), **options):
    values = {"max_tokens": 12, **options}
    clip, model, encoder = parts
    return write_captions(model, encoder, image_features(clip, IMAGES[at]), PROMPTS[at], **values)


def naive(parts, image, prompt, max_tokens=12):
    """The likeliest words one by one, everything computed anew for each."""
    clip, model, encoder = parts
    with torch.no_grad():
        feature = clip.encode_image(normalize_images(torch.from_numpy(image[None])))
        prefix = model.mapper(torch.nn.functional.normalize(feature, dim=-1))[0]
        embed = model.language_model.get_input_embeddings().weight
        said = []
        before = encoder.tokens([prompt])[0][: SHAPE.prompt_tokens]
        for _ in range(max_tokens):
            vectors = torch.cat([prefix, embed[before], embed[said]])
            token = int(model.language_model(inputs_embeds=vectors[None]).logits[0, -1].argmax())
            if token == encoder.eos_id:
                break
            said.append(token)
    return said


def test_a_batch_of_mixed_prompts_says_what_each_would_alone_and_anew(parts):
    together = write(parts)
    for i in range(len(PROMPTS)):
        assert together[i] == write(parts, slice(i, i + 1))[0]
        assert together[i] == naive(parts, IMAGES[i], PROMPTS[i])
    assert len({tuple(row) for row in together}) > 1


def test_what_is_behind_is_computed_once(parts):
    widths = []
    lists = (m for m in parts[1].language_model.modules() if isinstance(m, torch.nn.ModuleList))
    hook = next(lists)[0].register_forward_pre_hook(
        lambda _, args, kwargs: widths.append(
            (args[0] if args else kwargs["hidden_states"]).shape[1]
        ),
        with_kwargs=True,
    )
    write(parts)
    hook.remove()
    assert widths[0] == 3 + 5 and set(widths[1:]) == {1}
