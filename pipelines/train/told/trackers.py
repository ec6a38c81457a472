"""Figures of a run shown elsewhere as it goes: TensorBoard, Weights & Biases."""

import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

from curate.errors import CurateError, UsageError
from curate.pipelines.views.tables import in_words

__all__ = ["TRACKERS", "Tracker", "open_trackers"]


class Tracker(Protocol):
    """Takes figures."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the figures after a step."""

    def close(self) -> None:
        """Send what is left."""


class _TensorBoard:
    def __init__(self, folder: str, name: str, config: Mapping[str, Any]) -> None:
        board: Any = import_module("torch.utils.tensorboard")
        self._writer = board.SummaryWriter(f"{folder}/tensorboard")
        self._writer.add_text("config", f"{name}: {in_words(config)}")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _WandB:
    def __init__(self, folder: str, name: str, config: Mapping[str, Any]) -> None:
        wandb: Any = import_module("wandb")
        # The same folder is the same run, also when it goes on after an interruption.
        run_id = re.sub(r"[^0-9A-Za-z_-]", "-", folder)[-64:]
        self._run = wandb.init(
            project="curate", name=name, id=run_id, resume="allow", config=dict(config)
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


TRACKERS: dict[str, Callable[..., Tracker]] = {"tensorboard": _TensorBoard, "wandb": _WandB}


def open_trackers(names: Sequence[str], *, folder: str, config: Mapping[str, Any]) -> list[Tracker]:
    """Open trackers by their names.

    Args:
        names: of TRACKERS.
        folder: of the run; its last part names it.
        config: of the run, to show.

    Raises:
        UsageError: there is no such tracker.
        CurateError: its package is not installed.
    """
    found: list[Tracker] = []
    for name in names:
        if name not in TRACKERS:
            raise UsageError(f"--tracker is {name!r}; expected {' or '.join(TRACKERS)}")
        try:
            found.append(TRACKERS[name](folder, folder.rstrip("/").rsplit("/", 1)[-1], config))
        except ImportError as error:
            raise CurateError(
                f"--tracker {name} needs a package that is not installed ({error}). "
                f"Install it with: pip install {name}"
            ) from error
    return found
