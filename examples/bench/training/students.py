"""What a student costs beside three others of one teacher, and what alone: processor time.

    python -m examples.bench.training.students [TEACHER] [STUDENT] [STEPS] [PAIRS]

On random pixels and texts of a batch of 32, or PAIRS, so that nothing is read; threads of torch as
they are. With T of the teacher's pass and S of a student's step, a student beside three others
costs (T + 4 S) / 4 (T + S) of its own run: what that is by the products of matrices alone is
printed beside what was measured.
"""

import sys

import numpy as np

from curate.training.data.batch import Batch, Position
from curate.training.loop.config import DistillConfig, TrainConfig
from curate.training.loop.trainer import Trainer
from curate.training.model.clip import CLIP
from curate.training.model.config import load_model_config
from curate.training.model.flops import flops_per_pair
from examples.bench.common.measure import in_turns

TOKENS = 21  # of a text


def batch(seed: int, vocab_size: int, end: int, num: int) -> Batch:
    """Return random pairs."""
    rng = np.random.default_rng(seed)
    tokens = np.zeros((num, 77), np.int64)
    tokens[:, : TOKENS - 1] = rng.integers(3, vocab_size - 3, (num, TOKENS - 1))
    tokens[:, TOKENS - 1] = end
    images = rng.integers(0, 256, (num, 3, 224, 224), np.uint8)
    return Batch(images, tokens, [""] * num, Position(), {})


def main(
    teacher: str = "vit-b-16", student: str = "vit-s-32", steps: int = 4, num: int = 32
) -> None:  # fmt: skip
    """Print seconds of the processor per step."""
    shape = load_model_config(teacher)
    end = shape.vocab_size - 1
    taught_by = CLIP(shape, end).eval()
    config = TrainConfig(steps=100, batch_size=num, warmup_steps=1, distill=DistillConfig())
    students = [
        Trainer(load_model_config(student), config, end, teacher=taught_by) for _ in range(4)
    ]
    batches = [batch(seed, shape.vocab_size, end, num) for seed in range(steps + 1)]
    students[0].step(batches[-1])

    def alone(_: int) -> None:
        for one in batches[:steps]:
            students[0].step(one)

    def together(_: int) -> None:
        for one in batches[:steps]:
            distiller = students[0].distiller
            assert distiller is not None
            taught = distiller.features(one)
            for each in students:
                each.step(one, taught)

    took = in_turns({"alone": alone, "four": together}, 2)
    found = {name: [one.processor_s / steps for one in runs] for name, runs in took.items()}
    for name, runs in took.items():
        seconds = ", ".join(f"{one:.2f}" for one in found[name])
        clock = ", ".join(f"{one.clock_s / steps:.2f}" for one in runs)
        print(f"{name}: {seconds} s of the processor a step, {clock} by the clock")
    ratio = min(found["four"]) / 4 / min(found["alone"])
    once = flops_per_pair(shape, TOKENS) / 3
    each = flops_per_pair(load_model_config(student), TOKENS)
    least = (once + 4 * each) / 4 / (once + each)
    print(f"a student beside three others: {ratio:.3f} of its own run")
    print(f"by products of matrices: {least:.3f} (GFLOP a pair: teacher {once / 1e9:.1f}, "
          f"student {each / 1e9:.1f})")  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:]))
