"""A step of the captioner's training beside the plain step of its language model.

    python -m examples.bench.training.captioner [--width 256] [--layers 4] [--batch 8] [--rounds 7]

The plain step is that of transformers: ids in, labels for all of them, as many tokens as the
captioner's rows have with the image's vectors, the same AdamW. What the mapper may take is the
plain step's time by the ratio of their FLOPs. Steps are taken in turns in one thread, and the
shortest of each kind counts, in processor time: with rows that are full (nothing is saved by
cutting padding off), and of the lengths that captions have.
"""

from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch.utils.flop_counter import FlopCounterMode
from transformers import OPTConfig, OPTForCausalLM

from curate.training.captioner.config import CaptionerConfig
from curate.training.captioner.model import CaptionModel
from curate.training.captioner.trainer import CaptionTrainer
from curate.training.loop.config import TrainConfig
from curate.training.loop.optimizer import make_optimizer
from curate.training.model.clip import CLIP
from curate.training.model.config import ModelConfig
from examples.bench.common.measure import in_turns
from examples.bench.common.tables import show

VOCABULARY, SIDE = 8192, 16
IMAGE = {"embed_dim": 64, "image_size": SIDE, "patch_size": 8, "vision_width": 64, "vision_layers":
         1, "vision_head_width": 32, "text_width": 32, "text_layers": 1, "text_heads": 2,
         "context_length": 8, "vocab_size": 300}  # fmt: skip


def language_model(width: int, layers: int) -> Any:
    """Return an OPT of a shape, without dropout."""
    torch.manual_seed(0)
    return OPTForCausalLM(
        OPTConfig(
            vocab_size=VOCABULARY,
            hidden_size=width,
            word_embed_proj_dim=width,
            ffn_dim=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=max(1, width // 64),
            max_position_embeddings=512,
            dropout=0.0,
            attention_dropout=0.0,
        )  # fmt: skip
    )


class Plain:
    """The language model trained by itself."""

    def __init__(self, width: int, layers: int, config: TrainConfig) -> None:
        self.model = language_model(width, layers).train()
        self.optimizer = make_optimizer(self.model, config)

    def step(self, ids: torch.Tensor) -> None:
        """Take a step."""
        self.optimizer.zero_grad(set_to_none=True)
        self.model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        torch.nn.utils.get_total_norm([p.grad for p in self.model.parameters()])
        self.optimizer.step()


def batch_of(shape: CaptionerConfig, num: int, *, full: bool) -> Any:
    """Return a batch with rows that are full, or as long as alt-texts and captions mostly are."""
    rng = np.random.default_rng(0)
    rows = np.full((num, shape.text_tokens), -1, np.int64)
    for row in rows:
        prompt = shape.prompt_tokens if full else int(rng.integers(0, 30))
        caption = shape.caption_tokens if full else int(rng.integers(20, 90))
        row[shape.prompt_tokens - prompt : shape.prompt_tokens + caption] = rng.integers(
            2, VOCABULARY, prompt + caption
        )
    images = rng.integers(0, 256, (num, 3, SIDE, SIDE), dtype=np.uint8)
    return SimpleNamespace(images=images, tokens=rows)


def flops(work: Any) -> int:
    """Return the floating-point operations of some work, forwards and backwards."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def main(
    width: Annotated[int, typer.Option(help="Of the language model.")] = 256,
    layers: Annotated[int, typer.Option(help="Of the language model.")] = 4,
    batch: Annotated[int, typer.Option(help="Rows.")] = 8,
    rounds: Annotated[int, typer.Option(help="Steps of each kind.")] = 7,
) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    shape = CaptionerConfig()
    config = TrainConfig(batch_size=batch, precision="float32")
    image_model = CLIP(ModelConfig(**IMAGE), eos_id=1)
    model = CaptionModel(64, language_model(width, layers), shape)
    ours, plain = CaptionTrainer(image_model, model, shape, config), Plain(width, layers, config)
    tokens = shape.prefix_tokens + shape.text_tokens
    ids = torch.randint(2, VOCABULARY, (batch, tokens))
    features = torch.randn(batch, 64)
    of_mapper = flops(lambda: ours.model.mapper(features).sum().backward())
    of_plain = flops(lambda: plain.step(ids))
    rows = []
    for name, full in (("full rows", True), ("usual lengths", False)):
        one = batch_of(shape, batch, full=full)
        took = in_turns(
            {"ours": lambda _, b=one: ours.step(b), "plain": lambda _: plain.step(ids)},
            rounds, warm_up=2,
        )  # fmt: skip
        ours_s, plain_s = (min(o.processor_s for o in took[k]) for k in ("ours", "plain"))
        allowed = plain_s * (1 + of_mapper / of_plain)
        rows.append({
            "rows": name, "plain, ms": 1e3 * plain_s,
            "mapper's share of FLOPs": f"{of_mapper / of_plain:.1%}",
            "captioner, ms": 1e3 * ours_s, "speed, of plain + mapper": f"{allowed / ours_s:.2f}",
        })  # fmt: skip
    parameters = sum(p.numel() for p in plain.model.parameters())
    print(f"language model of {parameters:,} parameters, {batch} rows of {tokens}, float32, "
          f"{torch.get_num_threads()} threads")  # fmt: skip
    show("Captioner's step", rows)


if __name__ == "__main__":
    typer.run(main)
