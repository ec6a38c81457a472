"""A CLIP that is small and whose every size differs, so that a mix-up shows."""

import torch

from curate.training.model.clip import CLIP
from curate.training.model.config import ModelConfig
from curate.training.text.tokenizer import Tokenizer, learn_tokenizer

SHAPE = {
    "embed_dim": 24, "image_size": 32, "patch_size": 8, "vision_width": 32, "vision_layers": 2,
    "vision_head_width": 8, "text_width": 16, "text_layers": 3, "text_heads": 2,
    "context_length": 12, "vocab_size": 300,
}  # fmt: skip
TEXTS = ["a red dog", "ein Hund " * 9, ""]


def tiny_config(**changes: object) -> ModelConfig:
    return ModelConfig(**{**SHAPE, **changes})  # type: ignore[arg-type]


def tiny_tokenizer(context_length: int = 12) -> Tokenizer:
    return learn_tokenizer(["a red dog", "ein Hund", "红色的狗"] * 9, 300, context_length)


def tiny_model(eos_id: int, seed: int = 0, **changes: object) -> CLIP:
    """Return a model whose biases and norms are random too: those that are 0 or 1 hide errors."""
    torch.manual_seed(seed)
    model = CLIP(tiny_config(**changes), eos_id).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model
