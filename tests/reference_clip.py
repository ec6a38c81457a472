"""CLIP in float64 numpy, one text and one image at a time, from an OpenCLIP folder or its parts.

Written from the papers' descriptions and the published names of tensors alone; it shares no code
with `training`.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

Array = np.ndarray[Any, Any]


def read_open_clip(folder: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    config = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    weights = load_file(folder / "open_clip_model.safetensors")
    return config, {k: v.astype(np.float64) for k, v in weights.items()}


def layer_norm(x: Array, weights: dict[str, Array], name: str) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x: Array, weights: dict[str, Array], name: str) -> Array:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def gelu(x: Array, quick: bool) -> Array:
    if quick:
        return x / (1 + np.exp(-1.702 * x))
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def attention(x: Array, weights: dict[str, Array], name: str, heads: int, causal: bool) -> Array:
    width = x.shape[1]
    size = width // heads
    qkv = x @ weights[f"{name}.in_proj_weight"].T + weights[f"{name}.in_proj_bias"]
    mixed = np.empty_like(x)
    for head in range(heads):
        columns = slice(head * size, (head + 1) * size)
        q, k, v = (qkv[:, third * width :][:, columns] for third in range(3))
        scores = q @ k.T / math.sqrt(size)
        if causal:
            scores[np.triu_indices(len(x), 1)] = -np.inf
        share = np.exp(scores - scores.max(axis=1, keepdims=True))
        mixed[:, columns] = share / share.sum(axis=1, keepdims=True) @ v
    return linear(mixed, weights, f"{name}.out_proj")


def transformer(
    x: Array, weights: dict[str, Array], name: str, *, layers: int, heads: int, causal: bool,
    quick: bool,
) -> Array:  # fmt: skip
    for layer in range(layers):
        block = f"{name}.resblocks.{layer}"
        normed = layer_norm(x, weights, f"{block}.ln_1")
        x = x + attention(normed, weights, f"{block}.attn", heads, causal)
        hidden = linear(layer_norm(x, weights, f"{block}.ln_2"), weights, f"{block}.mlp.c_fc")
        x = x + linear(gelu(hidden, quick), weights, f"{block}.mlp.c_proj")
    return x


def encode_image(config: dict[str, Any], weights: dict[str, Array], image_3HW: Array) -> Array:
    vision, patch = config["vision_cfg"], config["vision_cfg"]["patch_size"]
    filters = weights["visual.conv1.weight"].reshape(vision["width"], -1)
    grid = range(0, vision["image_size"], patch)
    patches = [filters @ image_3HW[:, y : y + patch, x : x + patch].ravel()
               for y in grid for x in grid]  # fmt: skip
    tokens = np.stack([weights["visual.class_embedding"], *patches])
    x = layer_norm(tokens + weights["visual.positional_embedding"], weights, "visual.ln_pre")
    heads = vision["width"] // vision.get("head_width", 64)
    x = transformer(x, weights, "visual.transformer", layers=vision["layers"], heads=heads,
                    causal=False, quick=config.get("quick_gelu", False))  # fmt: skip
    return layer_norm(x[0], weights, "visual.ln_post") @ weights["visual.proj"]


def encode_text(config: dict[str, Any], weights: dict[str, Array], ids: Array) -> Array:
    text = config["text_cfg"]
    x = weights["token_embedding.weight"][ids] + weights["positional_embedding"][: len(ids)]
    x = transformer(x, weights, "transformer", layers=text["layers"], heads=text["heads"],
                    causal=True, quick=config.get("quick_gelu", False))  # fmt: skip
    is_eos = text.get("pool_type", "argmax") == "eos"
    at = list(ids).index(text["eos_id"]) if is_eos else int(np.argmax(ids))
    return layer_norm(x[at], weights, "ln_final") @ weights["text_projection"]


def logits_per_image(folder: Path, image_B3HW: Array, ids_BT: Array) -> Array:
    """Scaled cosine similarities of images and texts, plus SigLIP's bias if there is one."""
    config, weights = read_open_clip(folder)
    image = np.stack([encode_image(config, weights, i) for i in image_B3HW.astype(np.float64)])
    text = np.stack([encode_text(config, weights, i) for i in ids_BT])
    image /= np.linalg.norm(image, axis=1, keepdims=True)
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    logits: Array = np.exp(weights["logit_scale"]) * image @ text.T + weights.get("logit_bias", 0)
    return logits
