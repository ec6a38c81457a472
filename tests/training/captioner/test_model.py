"""The loss and its gradient against a reference in float64, a row at a time, without padding."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from curate.errors import InputError
from curate.training.captioner.config import CaptionerConfig
from curate.training.captioner.model import CaptionModel, Mapper
from curate.training.captioner.sequences import SequenceEncoder, trimmed
from curate.training.captioner.texts import joined
from tests.training.captioner.tiny_lm import make_lm, make_tokenizer

SHAPE = CaptionerConfig(
    prefix_tokens=3, mapper_layers=2, mapper_heads=2, prompt_tokens=5, text_tokens=12
)
PAIRS = [
    ("a dog", "the very red dog on the cat and dog"),  # as long as there is room
    ("", "cat"),
    ("red green blue white a the", "a cat with a dog"),
    ("dog", "blue"),
]
_STREAM = torch.Generator().manual_seed(1)
FEATURES = F.normalize(torch.randn(len(PAIRS), 6, generator=_STREAM), dim=1)


def rows(pairs=PAIRS, bucket=4):
    encoder = SequenceEncoder(make_tokenizer(), SHAPE)
    found, num_prompt = trimmed(encoder.encode([joined(*p) for p in pairs]), 5, bucket)
    return torch.from_numpy(np.ascontiguousarray(found)), num_prompt


def model(kind="opt"):
    torch.manual_seed(0)
    return CaptionModel(6, make_lm(kind), SHAPE).eval()


def naive_mapper(mapper, feature):
    """The mapper on one feature, in the fewest words."""
    x = torch.cat([mapper.project(feature).view(mapper.num, -1), mapper.constants])
    for block in mapper.blocks:
        y = F.layer_norm(x, x.shape[1:], block.norm_1.weight, block.norm_1.bias)
        q, k, v = block.qkv(y).chunk(3, dim=-1)
        width = x.shape[1] // block.heads
        heads = []
        for h in range(block.heads):
            at = slice(h * width, (h + 1) * width)
            weight = (q[:, at] @ k[:, at].T / width**0.5).softmax(-1)
            heads.append(weight @ v[:, at])
        x = x + block.out(torch.cat(heads, -1))
        y = F.layer_norm(x, x.shape[1:], block.norm_2.weight, block.norm_2.bias)
        x = x + block.down(block.up(y).relu())
    return x[mapper.num :]


def naive_loss(captioner, pairs, features):
    """Mean cross-entropy of the captions' tokens: each row alone, with nothing that is padding."""
    tokenizer, lm = make_tokenizer(), captioner.language_model
    losses = []
    for (prompt, caption), feature in zip(pairs, features, strict=True):
        before = tokenizer(prompt)["input_ids"][: SHAPE.prompt_tokens]
        said = [*tokenizer(caption)["input_ids"], tokenizer.eos_token_id][: SHAPE.caption_tokens]
        embed = lm.get_input_embeddings().weight
        vectors = torch.cat([naive_mapper(captioner.mapper, feature), embed[before], embed[said]])
        logits = lm(inputs_embeds=vectors[None]).logits[0]
        first = len(vectors) - len(said)
        for i, token in enumerate(said):
            losses.append(-logits[first + i - 1].log_softmax(-1)[token])
    return torch.stack(losses).mean()


def gradients(loss, captioner):
    captioner.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in captioner.named_parameters()}


@pytest.mark.parametrize("kind", ["opt", "gpt2", "llama"])
def test_loss_and_gradient_are_those_of_a_reference_in_float64(kind):
    reference = model(kind).double()
    expected = naive_loss(reference, PAIRS, FEATURES.double())
    slopes = gradients(expected, reference)
    for dtype, tolerance in ((torch.float64, 1e-11), (torch.float32, 1e-4)):
        captioner = model(kind).to(dtype)
        token_BT, num_prompt = rows()
        total = (token_BT[:, num_prompt:] >= 0).sum()
        loss = captioner(FEATURES.to(dtype), token_BT, num_prompt, total)
        torch.testing.assert_close(loss.double(), expected, rtol=tolerance, atol=0)
        found = gradients(loss, captioner)
        assert found.keys() == slopes.keys()
        for name, slope in slopes.items():
            limit = tolerance * max(1.0, float(slope.abs().max()))
            torch.testing.assert_close(
                found[name].double(), slope, rtol=tolerance, atol=limit, msg=name
            )


def test_only_the_captions_decide_the_loss_and_the_longest_row_is_not_masked():
    captioner = model()
    token_BT, num_prompt = rows()
    vectors, mask = captioner.inputs(FEATURES, token_BT, num_prompt)
    prompt_lengths = [2, 0, 5, 1]
    caption_lengths = [7, 2, 6, 2]
    expected = [3 + p + c for p, c in zip(prompt_lengths, caption_lengths, strict=True)]
    assert mask.sum(1).tolist() == expected and mask[2].tolist()[: 3 + 5 + 6] == [1] * 14
    loss = captioner(FEATURES, token_BT, num_prompt, torch.tensor(1.0))
    changed = token_BT.clone()
    changed[2, num_prompt - 1] = 5  # another word of a prompt: another loss, by what it says
    assert captioner(FEATURES, changed, num_prompt, torch.tensor(1.0)) != loss
    assert vectors.shape[1] == mask.shape[1] == 3 + token_BT.shape[1]


@pytest.mark.parametrize("kind", ["opt", "gpt2", "llama"])
def test_a_row_does_not_depend_on_the_rows_beside_it(kind):
    captioner = model(kind).double()
    together, num_prompt = rows()
    one = torch.tensor(1.0, dtype=torch.float64)
    whole = captioner(FEATURES.double(), together, num_prompt, one)
    alone = []
    for pair, feature in zip(PAIRS, FEATURES.double(), strict=True):
        token_BT, at = rows([pair], bucket=1)
        alone.append(captioner(feature[None], token_BT, at, one))
    torch.testing.assert_close(whole, sum(alone), rtol=1e-12, atol=0)


def test_heads_that_do_not_share_the_width_are_refused():
    with pytest.raises(InputError, match="16 wide, which 3 heads"):
        Mapper(6, 16, CaptionerConfig(mapper_heads=3))
