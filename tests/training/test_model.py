import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from metadata.errors import InputError, UsageError
from training.config import ModelConfig, TrainConfig, load_model_config, model_config_names
from training.data import Batch, Position
from training.evaluate import retrieval_recall
from training.loss import info_nce
from training.model import CLIP
from training.trainer import Trainer

TINY = ModelConfig(
    embed_dim=16, image_size=16, patch_size=8, vision_width=16, vision_layers=1,
    vision_head_width=8, text_width=16, text_layers=1, text_heads=2, context_length=8,
    vocab_size=300,
)  # fmt: skip


def tiny_batch(num=8, seed=0):
    rng = np.random.default_rng(seed)
    tokens = np.zeros((num, TINY.context_length), np.int64)
    tokens[:, 0] = 1
    tokens[:, 1:4] = rng.integers(3, 300, (num, 3))
    tokens[:, 4] = 2
    images = rng.integers(0, 256, (num, 3, 16, 16), dtype=np.uint8)
    return Batch(images, tokens, [str(i) for i in range(num)], Position(), {})


def test_vit_b_32_has_the_published_number_of_parameters():
    with torch.device("meta"):
        model = CLIP(load_model_config("vit-b-32"), eos_id=49407)
    assert sum(p.numel() for p in model.parameters()) == 151_277_313


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


def test_the_loss_of_a_hand_computed_case():
    image = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    text = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    # logits × 2: [[2, 1.2], [0, 1.6]]; rows: ln(1+e^-0.8), ln(1+e^-1.6); columns: ln(1+e^-2),
    # ln(1+e^-0.4); the mean of the two means.
    rows = (math.log1p(math.exp(-0.8)) + math.log1p(math.exp(-1.6))) / 2
    columns = (math.log1p(math.exp(-2.0)) + math.log1p(math.exp(-0.4))) / 2
    found = info_nce(image, text, torch.tensor(2.0)).item()
    assert found == pytest.approx((rows + columns) / 2, rel=1e-6)


def test_a_model_overfits_eight_pairs():
    config = TrainConfig(steps=120, learning_rate=3e-3, warmup_steps=10, weight_decay=0.0)
    trainer = Trainer(TINY, config, eos_id=2, device="cpu")
    batch = tiny_batch()
    losses = [trainer.step(batch).loss for _ in range(120)]
    assert losses[0] > 1.5 and losses[-1] < 0.05


def test_training_resumes_bit_for_bit():
    config = TrainConfig(steps=6, warmup_steps=2)
    straight = Trainer(TINY, config, eos_id=2, device="cpu")
    losses = [straight.step(tiny_batch(seed=i)).loss for i in range(6)]
    first = Trainer(TINY, config, eos_id=2, device="cpu")
    for i in range(3):
        first.step(tiny_batch(seed=i))
    second = Trainer(TINY, config, eos_id=2, device="cpu")
    second.load_state(first.state())
    assert [second.step(tiny_batch(seed=i)).loss for i in range(3, 6)] == losses[3:]
    for a, b in zip(straight.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_norms_biases_and_the_scale_are_not_decayed():
    trainer = Trainer(TINY, TrainConfig(weight_decay=0.2), eos_id=2, device="cpu")
    decayed, others = trainer.optimizer.param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.2, 0.0)
    plain = {id(p) for p in others["params"]}
    for name, p in trainer.model.named_parameters():
        is_plain = "ln_" in name or name.endswith("bias") or name == "logit_scale"
        assert (id(p) in plain) == (is_plain or p.ndim < 2), name


def test_recall_counts_ties_against_the_model():
    same = F.normalize(torch.ones(20, 4), dim=-1)
    found = retrieval_recall(same, same, list(range(20)))
    assert found["image_to_text"] == {"R@1": 0.0, "R@5": 0.0, "R@10": 0.0}
    eye = torch.eye(20)
    assert retrieval_recall(eye, eye, list(range(20)))["text_to_image"]["R@1"] == 1.0
    two = retrieval_recall(eye[:10], torch.cat([eye[:10], eye[:10]]), [*range(10), *range(10)])
    assert two["image_to_text"]["R@1"] == two["text_to_image"]["R@1"] == 1.0


def test_configs_are_checked(tmp_path):
    assert {"toy", "vit-b-32"} <= set(model_config_names())
    (tmp_path / "m.json").write_text('{"embed_dim": 4}')
    with pytest.raises(InputError, match="not a model config"):
        load_model_config(str(tmp_path / "m.json"))
    with pytest.raises(UsageError, match="image_size 10 is no multiple of patch_size 8"):
        ModelConfig(**{**{f: getattr(TINY, f) for f in TINY.__slots__}, "image_size": 10})
