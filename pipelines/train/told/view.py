"""A run for a terminal: a tqdm line while it goes, else a line now and then; a table at its end."""

import time
from collections.abc import Mapping
from typing import Any

from curate.pipelines.views.progress import bar, log
from curate.pipelines.views.tables import cell, plan_lines, render_table

__all__ = ["TrainView", "figures_text", "train_table"]

_SECONDS_BETWEEN_LINES = 30.0


def figures_text(line: Mapping[str, Any]) -> str:
    """Return a log line's figures as one short text.

    >>> figures_text({"loss": 1.5, "images_per_s": 1234.5, "mfu": 0.41, "data": 0.02, "copy": 0.0,
    ...               "compute": 0.95, "communication": 0.03})
    'loss 1.500, 1,234 images/s, MFU 41 %, data 2 %, copy 0 %, compute 95 %, communication 3 %'
    """
    loss = "not finite" if line["loss"] is None else f"{line['loss']:.3f}"
    parts = [f"loss {loss}", f"{line['images_per_s']:,.0f} images/s"]
    if line.get("mfu") is not None:
        parts.append(f"MFU {line['mfu']:.0%}".replace("%", " %"))
    names = ("data", "copy", "compute", "communication")
    parts += [f"{name} {100 * line[name]:.0f} %" for name in names]
    return ", ".join(parts)


class TrainView:
    """Shows how far a run is.

    Args:
        done: steps done before.
        total: steps in all.
        quiet: show nothing.
    """

    def __init__(self, done: int, total: int, *, quiet: bool) -> None:
        self._done, self._total, self._quiet = done, total, quiet
        self._shown_at = time.monotonic()
        self._figures = ""
        self._bar = bar(quiet=quiet, total=total, initial=done, desc="train", unit="step")

    def step(self) -> None:
        """Count a step."""
        self._done += 1
        if self._bar is not None:
            self._bar.update()
        elif time.monotonic() - self._shown_at >= _SECONDS_BETWEEN_LINES:
            self._shown_at = time.monotonic()
            figures = f": {self._figures}" if self._figures else ""
            log(f"train: {self._done} of {self._total} steps{figures}", quiet=self._quiet)

    def figures(self, line: Mapping[str, Any]) -> None:
        """Show figures from now on."""
        self._figures = figures_text(line)
        if self._bar is not None:
            self._bar.set_postfix_str(self._figures)

    def close(self) -> None:
        """End the line."""
        if self._bar is not None:
            self._bar.close()


def train_table(result: Mapping[str, Any], output: str) -> str:
    """Show what was trained and its last loss."""
    if "students" in result:
        return "\n\n".join(
            f"{name}\n{train_table(card, f'{output}/{name}')}"
            for name, card in result["students"].items()
        )
    if "final_loss" not in result:
        return plan_lines(result)
    rows = [[result["parameters"], result["train"]["steps"], result["pairs_seen"],
             result["epochs"], result["final_loss"]]]  # fmt: skip
    table = render_table(["parameters", "steps", "pairs seen", "epochs", "last loss"],
                         [[cell(v) for v in row] for row in rows])  # fmt: skip
    skipped = ", ".join(f"{reason} {num:,}" for reason, num in result["skipped"].items())
    return f"{table}\nsamples skipped: {skipped or 'none'}\n→ {output}/modelcard.md"
