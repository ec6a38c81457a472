"""State dicts of others' CLIP models ↔ ours, by their keys alone; values are reshaped, never made.

Our keys are OpenAI's, which OpenCLIP and MetaCLIP share. What differs from them is prefixes that
wrappers leave, a text tower under `text.`, and Hugging Face's names.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["from_published", "to_huggingface"]

_WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
_NOT_WEIGHTS = (
    "input_resolution", "context_length", "vocab_size", "attn_mask", "text.attn_mask",
    "text_model.embeddings.position_ids", "vision_model.embeddings.position_ids",
)  # fmt: skip
_SCALARS = ("logit_scale", "logit_bias")
# Linear layers there, bare matrices here: transposed.
_PROJECTIONS = ("visual.proj", "text_projection")
_HF_NAMES = (
    ("token_embedding.weight", "text_model.embeddings.token_embedding.weight"),
    ("positional_embedding", "text_model.embeddings.position_embedding.weight"),
    ("transformer.resblocks.", "text_model.encoder.layers."),
    ("ln_final.", "text_model.final_layer_norm."),
    ("text_projection", "text_projection.weight"),
    ("visual.class_embedding", "vision_model.embeddings.class_embedding"),
    ("visual.conv1.weight", "vision_model.embeddings.patch_embedding.weight"),
    ("visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
    ("visual.ln_pre.", "vision_model.pre_layrnorm."),  # spelled so there
    ("visual.transformer.resblocks.", "vision_model.encoder.layers."),
    ("visual.ln_post.", "vision_model.post_layernorm."),
    ("visual.proj", "visual_projection.weight"),
)
_HF_BLOCK_NAMES = (
    (".ln_1.", ".layer_norm1."),
    (".ln_2.", ".layer_norm2."),
    (".attn.", ".self_attn."),
    (".mlp.c_fc.", ".mlp.fc1."),
    (".mlp.c_proj.", ".mlp.fc2."),
)
_QKV = ("q_proj", "k_proj", "v_proj")


def from_published(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give a published model's tensors our keys and shapes, in float32.

    Args:
        tensors: of OpenAI's, OpenCLIP's, MetaCLIP's or Hugging Face's layout, as they are in the
            file: with `module.` or `_orig_mod.` before a key, fp16, OpenAI's extra scalars, the
            text tower under `text.`, logit_scale of shape [1].

    Returns:
        Keys as in `CLIP.state_dict`; one that no layout knows is kept, for the caller to refuse.
    """
    named = {_unwrapped(key): value for key, value in tensors.items()}
    named = {k: v for k, v in named.items() if k not in _NOT_WEIGHTS}
    if any(key.startswith("text_model.") for key in named):
        named = _from_huggingface(named)
    named = {key.removeprefix("text."): value for key, value in named.items()}
    if "text_projection.weight" in named:
        named["text_projection"] = named.pop("text_projection.weight").T
    for key in _SCALARS:
        if key in named and named[key].numel() == 1:
            named[key] = named[key].reshape(())
    return {key: value.float().contiguous() for key, value in named.items()}


def _unwrapped(key: str) -> str:
    for wrapper in _WRAPPERS:
        key = key.replace(wrapper, "")
    while key.startswith("module."):
        key = key.removeprefix("module.")
    return key


def _renamed(key: str, table: tuple[tuple[str, str], ...]) -> str:
    for ours, theirs in table:
        if key == ours or (ours[-1] == "." and key.startswith(ours)):
            return theirs + key[len(ours) :]
    return key


def to_huggingface(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give our tensors the keys and shapes of `CLIPModel` and `MetaClip2Model` of transformers."""
    found = {}
    for key, value in tensors.items():
        name = _renamed(key, _HF_NAMES)
        if ".resblocks." in key:
            for ours, theirs in _HF_BLOCK_NAMES:
                name = name.replace(ours, theirs)
        if ".in_proj_" in name:
            before, after = name.split("in_proj_")
            for part, third in zip(_QKV, value.chunk(3), strict=True):
                found[f"{before}{part}.{after}"] = third.contiguous()
        else:
            found[name] = value.T.contiguous() if key in _PROJECTIONS else value
    return found


def _from_huggingface(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    back = tuple((theirs, ours) for ours, theirs in _HF_NAMES)
    found: dict[str, Tensor] = {}
    for key, value in tensors.items():
        name = _renamed(key, back)
        if ".resblocks." in name:
            for ours, theirs in _HF_BLOCK_NAMES:
                name = name.replace(theirs, ours)
        found[name] = value.T if name in _PROJECTIONS else value
    for key in [k for k in found if ".q_proj." in k]:
        parts = [key.replace("q_proj", part) for part in _QKV]
        if all(part in found for part in parts):
            joined = torch.cat([found.pop(part) for part in parts])
            found[key.replace("q_proj.", "in_proj_")] = joined
    return found
