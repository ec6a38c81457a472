import math
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch

from curate.errors import InputError, UsageError
from curate.training.model.clip import CLIP, keep_patches
from curate.training.model.config import ModelConfig, load_model_config, model_config_names
from curate.training.model.pieces import length_pieces
from curate.training.model.transformer import Attention
from tests.training.tiny_trainer import tiny_batch, tiny_trainer

TINY = ModelConfig(
    embed_dim=16, image_size=16, patch_size=8, vision_width=16, vision_layers=1,
    vision_head_width=8, text_width=16, text_layers=1, text_heads=2, context_length=8,
    vocab_size=300,
)  # fmt: skip


# As published to the last one, where the papers' tables and OpenCLIP's list of models give them;
# S and M have OpenCLIP's sizes. Worldwide ones are published in millions.
PARAMETERS = {
    "vit-s-32": 63_085_825,
    "vit-s-16": 62_257_537,
    "vit-m-32": 103_119_873,
    "vit-m-16": 102_015_489,
    "vit-b-32": 151_277_313,
    "vit-b-16": 149_620_737,
    "vit-l-14": 427_616_513,
    "vit-h-14": 986_109_441,
    "vit-bigg-14": 2_539_567_105,
    "vit-b-32-quickgelu": 151_277_313,
    "vit-l-14-336": 427_616_513 + (24**2 - 16**2) * 1024,
    "vit-b-16-384": 149_620_737 + (24**2 - 14**2) * 768,
    "vit-h-14-378": 986_109_441 + (27**2 - 16**2) * 1280,
    "vit-b-32-worldwide": 151_277_313 + (901_629 - 49_408) * 512,
    "vit-b-32-mt5": 151_277_313 + (250_000 - 49_408) * 512,
    "vit-h-14-378-worldwide": 986_109_441 + 473 * 1280 + (901_629 - 49_408) * 1024,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_models_have_the_published_numbers_of_parameters(name):
    with torch.device("meta"):
        model = CLIP(load_model_config(name), eos_id=2)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


def test_worldwide_models_have_587_6_million_and_1_859_billion_parameters():
    assert round(PARAMETERS["vit-b-32-worldwide"] / 1e6, 1) == 587.6
    assert round(PARAMETERS["vit-h-14-378-worldwide"] / 1e9, 3) == 1.859


def test_variants_follow_the_name_in_any_order():
    config = load_model_config("vit-h-14-378-quickgelu-worldwide")
    assert (config.image_size, config.quick_gelu) == (378, True)
    assert (config.vocab_size, config.eos_id) == (901_629, 2)
    assert load_model_config("vit-h-14-worldwide-quickgelu-378") == config
    assert load_model_config("vit-b-16-mt5").eos_id == 1
    assert load_model_config("vit-b-16").eos_id is None
    for name in ("vit-b-16-", "-worldwide", "worldwide", "vit-b-16-huge", "variant-mt5", ""):
        with pytest.raises(UsageError, match="unknown model.*vit-b-16.*followed by.*-worldwide"):
            load_model_config(name)
    with pytest.raises(UsageError, match="image_size 378 is no multiple of patch_size 16"):
        load_model_config("vit-b-16-378")
    with pytest.raises(UsageError, match="eos_id is 300; expected a token"):
        replace(TINY, eos_id=300)


def test_state_dict_keys_are_the_published_ones():
    keys = set(CLIP(TINY, eos_id=2).state_dict())
    layers = ("ln_1", "ln_2", "attn.out_proj", "mlp.c_fc", "mlp.c_proj")
    block = {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    block |= {"attn.in_proj_weight", "attn.in_proj_bias"}
    text = {"positional_embedding", "text_projection", "logit_scale", "token_embedding.weight",
            "ln_final.weight", "ln_final.bias"}  # fmt: skip
    vision = {"class_embedding", "positional_embedding", "proj", "conv1.weight", "ln_pre.weight",
              "ln_pre.bias", "ln_post.weight", "ln_post.bias"}  # fmt: skip
    assert keys == (
        text
        | {f"visual.{k}" for k in vision}
        | {f"{t}resblocks.0.{k}" for t in ("transformer.", "visual.transformer.") for k in block}
    )


def test_a_block_computes_what_torchs_own_attention_does():
    torch.manual_seed(0)
    block = CLIP(TINY, eos_id=2).transformer.resblocks[0]
    for p in block.parameters():
        torch.nn.init.normal_(p, std=0.3)
    reference = torch.nn.MultiheadAttention(16, 2, batch_first=True)
    reference.load_state_dict(block.attn.state_dict())
    x = torch.randn(3, 5, 16)
    mask = torch.triu(torch.full((5, 5), -math.inf), 1)
    h = block.ln_1(x)
    h = x + reference(h, h, h, attn_mask=mask, need_weights=False)[0]
    hidden = block.mlp.c_fc(block.ln_2(h))
    expected = h + block.mlp.c_proj(hidden * torch.sigmoid(1.702 * hidden))
    torch.testing.assert_close(block(x), expected, atol=1e-5, rtol=1e-5)


def test_checkpointed_blocks_have_the_same_gradients():
    torch.manual_seed(0)
    model = CLIP(TINY, eos_id=2)
    images, tokens = torch.randn(2, 3, 16, 16), torch.tensor([[1, 5, 2, 0], [1, 6, 7, 2]])
    runs = [0]
    for block in model.blocks():
        block.register_forward_pre_hook(lambda *_: runs.__setitem__(0, runs[0] + 1))
    gradients = []
    for on in (False, True):
        model.grad_checkpointing = on
        assert model.grad_checkpointing is model.visual.transformer.grad_checkpointing is on
        model.zero_grad()
        image, text, scale = model(images, tokens)
        (scale * image @ text.T).pow(2).sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    assert runs[0] == 2 + 4, "each of the two blocks runs once, then twice"
    with torch.no_grad():
        model(images, tokens)
    assert runs[0] == 8


def test_blocks_are_all_blocks_once():
    config = replace(TINY, vision_layers=3, text_layers=2)
    model = CLIP(config, eos_id=2)
    assert len({id(block) for block in model.blocks()}) == len(model.blocks()) == 5
    in_blocks = sum(p.numel() for block in model.blocks() for p in block.parameters())
    in_resblocks = sum(p.numel() for n, p in model.named_parameters() if "resblocks" in n)
    assert in_blocks == in_resblocks


def test_patch_dropout_keeps_whole_patches_and_only_while_training():
    torch.manual_seed(0)
    patches = torch.arange(2 * 10.0).reshape(2, 10, 1).expand(2, 10, 3)
    kept = keep_patches(patches, 0.7)
    assert kept.shape == (2, 3, 3)
    for row, all_of_row in zip(kept, patches, strict=True):
        assert len(set(row[:, 0].tolist())) == 3
        assert set(row[:, 0].tolist()) <= set(all_of_row[:, 0].tolist())
        assert (row == row[:, :1]).all()
    assert keep_patches(patches, 0.99).shape == (2, 1, 3)
    model = CLIP(TINY, eos_id=2)
    images = torch.randn(2, 3, 16, 16)
    whole = model.encode_image(images)
    seen = []
    model.visual.transformer.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[1]))
    model.visual.patch_dropout = 0.5
    assert not torch.equal(model.encode_image(images), whole)
    assert torch.equal(model.eval().encode_image(images), whole)
    assert seen == [1 + 2, 1 + 4]


def test_siglip_begins_with_a_bias_of_its_own():
    model = CLIP(replace(TINY, logit_bias=True), eos_id=2)
    assert model.logit_bias.item() == -10.0
    assert model.logit_scale.item() == pytest.approx(math.log(10))
    assert CLIP(TINY, eos_id=2).logit_bias is None


def test_padding_after_the_end_changes_no_text():
    model = CLIP(TINY, eos_id=2).eval()
    tokens = torch.tensor([[1, 5, 6, 2, 0, 0, 0, 0]])
    torch.testing.assert_close(model.encode_text(tokens), model.encode_text(tokens[:, :4]))


def test_initial_scales_are_those_of_clip():
    torch.manual_seed(0)
    config = load_model_config("toy")
    model = CLIP(config, eos_id=2)
    assert model.logit_scale.item() == pytest.approx(math.log(1 / 0.07))
    assert model.token_embedding.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.positional_embedding.std().item() == pytest.approx(0.01, rel=0.1)
    block, width = model.transformer.resblocks[0], config.text_width
    assert block.attn.in_proj_weight.std().item() == pytest.approx(width**-0.5, rel=0.05)
    assert block.mlp.c_fc.weight.std().item() == pytest.approx((2 * width) ** -0.5, rel=0.05)
    residual = width**-0.5 * (2 * config.text_layers) ** -0.5
    assert block.mlp.c_proj.weight.std().item() == pytest.approx(residual, rel=0.05)


def test_a_model_overfits_eight_pairs():
    trainer = tiny_trainer(steps=120, learning_rate=3e-3, warmup_steps=10, weight_decay=0.0)
    batch = tiny_batch()
    losses = [trainer.step(batch).loss for _ in range(120)]
    assert losses[0] > 1.5 and losses[-1] < 0.05


def test_norms_biases_and_the_scale_are_not_decayed():
    trainer = tiny_trainer(weight_decay=0.2)
    decayed, others = trainer.optimizer.param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.2, 0.0)
    plain = {id(p) for p in others["params"]}
    for name, p in trainer.model.named_parameters():
        is_plain = "ln_" in name or name.endswith("bias") or name == "logit_scale"
        assert (id(p) in plain) == (is_plain or p.ndim < 2), name


def test_configs_are_checked(tmp_path):
    assert {"toy", "vit-b-32"} <= set(model_config_names())
    (tmp_path / "m.json").write_text('{"embed_dim": 4}')
    with pytest.raises(InputError, match="not a model config"):
        load_model_config(str(tmp_path / "m.json"))
    with pytest.raises(UsageError, match="image_size 10 is no multiple of patch_size 8"):
        ModelConfig(**{**{f: getattr(TINY, f) for f in TINY.__slots__}, "image_size": 10})


@pytest.mark.parametrize("name", ["vit-s-16-mt5-worldwide", "vit-s-16-worldwide-mt5",
                                  "ViT-S-16-mT5-worldwide"])  # fmt: skip
def test_mt5s_vocabulary_is_mt5s_however_the_name_is_spelled(name):
    found = load_model_config(name)
    assert (found.vocab_size, found.eos_id) == (250_000, 1)
    assert load_model_config("vit-s-16-worldwide").vocab_size == 901_629


def test_the_last_block_gives_for_one_token_what_it_gives_for_all():
    torch.manual_seed(0)
    model = CLIP(TINY, eos_id=2)
    for block in (model.transformer.resblocks[0], model.visual.transformer.resblocks[0]):
        x, at = torch.randn(4, 6, 16), torch.tensor([0, 5, 2, 3])
        torch.testing.assert_close(block(x, at), block(x)[torch.arange(4), at])


@pytest.mark.parametrize("causal", [True, False])
def test_attention_of_one_token_is_that_of_all_with_its_gradients(causal):
    torch.manual_seed(3)
    attention = Attention(24, 3, causal=causal).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    x_BTD = torch.randn(5, 7, 24).double().requires_grad_()
    at_B = torch.tensor([0, 6, 3, 1, 5])
    found = []
    for of_all in (True, False):
        attention.zero_grad(set_to_none=True)
        x_BTD.grad = None
        out = attention(x_BTD)[range(5), at_B] if of_all else attention(x_BTD, at_B)
        (out * torch.arange(24)).sum().backward()
        grads = [p.grad.clone() for p in attention.parameters()]
        grads[1][24:48] = 0  # that of the keys' bias is nothing but rounding
        found.append([out.detach(), x_BTD.grad.clone(), *grads])
    for whole, one in zip(*found, strict=True):
        torch.testing.assert_close(one, whole)


@pytest.mark.parametrize("is_cast", [True, False])
def test_attention_of_one_token_in_half_precision_is_near_that_of_all(is_cast):
    torch.manual_seed(0)
    attention, x_BTD, at_B = Attention(24, 3, causal=True), torch.randn(5, 7, 24), torch.arange(5)
    torch.nn.init.normal_(attention.in_proj_weight, std=0.2)
    if not is_cast:
        attention, x_BTD = attention.bfloat16(), x_BTD.bfloat16()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=is_cast):
        one, whole = attention(x_BTD, at_B), attention(x_BTD)[range(5), at_B]
    assert one.dtype == whole.dtype == torch.bfloat16
    torch.testing.assert_close(one, whole, rtol=0.05, atol=0.02)


def test_texts_in_pieces_of_like_length_have_the_same_vectors_and_gradients():
    torch.manual_seed(0)
    model = CLIP(replace(TINY, context_length=64), eos_id=2)
    ends = [1, 60, 2, 63, 3, 9, 33, 30] * 4
    tokens = torch.randint(3, 9, (32, 64))
    tokens[torch.arange(32), torch.tensor(ends)] = 2
    assert len(length_pieces([end + 1 for end in ends])) > 4
    found = []
    for model.by_length in (False, True):
        model.zero_grad()
        text = model.encode_text(tokens)
        text.sin().sum().backward()
        found.append((text.detach(), model.token_embedding.weight.grad.clone()))
    torch.testing.assert_close(*[text for text, _ in found])
    torch.testing.assert_close(*[grad for _, grad in found], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("piece_tokens", [0, 4, 48])
def test_pieces_are_the_cheapest_there_are(piece_tokens):
    def cost(pieces):
        return sum(len(rows) * longest + piece_tokens for rows, longest in pieces)

    rng = np.random.default_rng(1)
    for _ in range(20):
        lengths = rng.integers(1, 30, rng.integers(1, 8)).tolist()
        found = length_pieces(lengths, piece_tokens)
        assert sorted(row for rows, _ in found for row in rows) == list(range(len(lengths)))
        assert all(longest == max(lengths[row] for row in rows) for rows, longest in found)
        ordered, num = sorted(lengths), len(lengths)
        cuts = [[0, *cut, num] for n in range(num) for cut in combinations(range(1, num), n)]
        best = min(
            cost([(range(a, b), ordered[b - 1]) for a, b in pairwise(ends)]) for ends in cuts
        )
        assert cost(found) == best
