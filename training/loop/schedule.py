"""The learning rate of each step: linear warm-up, then a cosine, or a plateau and a descent."""

import math

from curate.training.loop.config import TrainConfig

__all__ = ["learning_rate"]


def learning_rate(step: int, config: TrainConfig) -> float:
    """Return the learning rate of a step, counted from 0.

    After the warm-up: with ``cosine`` half a cosine down to 0; with ``wsd`` the peak, until in the
    last `decay_share` of the steps it goes down to 0 in a straight line. Both reach 0 after the
    last step, as a step with a rate of 0 would change nothing: the last one is taken with the rate
    of place `steps - 1` of `steps`, as OpenCLIP does.

    >>> config = TrainConfig(steps=100, warmup_steps=10, learning_rate=1.0)
    >>> learning_rate(0, config), learning_rate(9, config), round(learning_rate(99, config), 6)
    (0.1, 1.0, 0.000305)
    >>> config = TrainConfig(steps=100, warmup_steps=10, learning_rate=1.0, schedule="wsd")
    >>> [round(learning_rate(step, config), 2) for step in (9, 50, 79, 90, 99)]
    [1.0, 1.0, 1.0, 0.5, 0.05]
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "wsd":
        num_down = max(1, round(config.steps * config.decay_share))
        left = (config.steps - step) / num_down
        return config.learning_rate * min(1.0, max(0.0, left))
    rest = max(1, config.steps - config.warmup_steps)
    done = min(1.0, (step - config.warmup_steps) / rest)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
