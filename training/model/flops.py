"""How much arithmetic a pair takes, and how much of a device's peak that is."""

from curate.training.model.config import ModelConfig

__all__ = ["device_peak_flops", "flops_per_pair"]

# Dense bfloat16 tensor FLOP/s as in the makers' data sheets, by a part of the device's name; the
# first that fits counts.
_PEAK_FLOPS = {
    "B200": 2250e12,
    "H200": 989e12,
    "GH200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H800": 989e12,
    "A100": 312e12,
    "A800": 312e12,
    "L40S": 362e12,
    "A10G": 70e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
    "MI300X": 1307e12,
}


def flops_per_pair(config: ModelConfig, num_tokens: float | None = None) -> float:
    """Return the FLOPs of a training step per pair: forward, and twice that backward.

    Counted are matrix products: of a block ``2 · T · (4 + 2 · mlp ratio) · D²`` for its weights and
    ``4 · T² · D`` for attention (causal attention as if it were full, as is usual); the patches'
    convolution. Recomputation by gradient checkpointing does not count.

    Args:
        config: shape of the model.
        num_tokens: tokens of a text; None: context_length.

    >>> from curate.training.model.config import load_model_config
    >>> [round(flops_per_pair(load_model_config(f"vit-{n}")) / 1e9, 1) for n in ("b-32", "b-16")]
    [44.3, 123.3]
    """
    T = config.context_length if num_tokens is None else num_tokens
    num_patches = (config.image_size // config.patch_size) ** 2
    P, D = num_patches + 1, config.vision_width
    image = config.vision_layers * _block(P, D, config.vision_mlp_ratio)
    image += 2 * num_patches * 3 * config.patch_size**2 * D + 2 * D * config.embed_dim
    text = config.text_layers * _block(T, config.text_width, 4.0)
    text += 2 * config.text_width * config.embed_dim
    return 3.0 * (image + text)


def _block(T: float, D: int, mlp_ratio: float) -> float:
    return 2 * T * (4 + 2 * mlp_ratio) * D**2 + 4 * T**2 * D


def device_peak_flops(name: str) -> float | None:
    """Return a device's dense bfloat16 FLOP/s by its name, or None for one that is not known.

    >>> device_peak_flops("NVIDIA H200"), device_peak_flops("a CPU")
    (989000000000000.0, None)
    """
    return next((peak for part, peak in _PEAK_FLOPS.items() if part in name), None)
