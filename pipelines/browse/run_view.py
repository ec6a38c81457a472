"""A run's folder in, what the page shows of it out: how the loss fell, and what it was made of."""

from typing import Any

from curate.files import storage
from curate.pipelines.store import artifacts
from curate.pipelines.train import log_of_run, progress_of_run

__all__ = ["run_figures"]

_POINTS = 600
_CARD = "modelcard.json"
_HIDDEN = ("command", "versions", "evaluations", "machine", "train", "model")


def run_figures(folder: str) -> dict[str, Any]:
    """Return the figures of a run.

    Returns:
        steps, of, is_whole; loss as points (step, loss), thinned; card: what its model card says;
        languages and entries of what it was trained on.

    Raises:
        ArtifactError: a file of it is damaged.
    """
    lines = [line for line in log_of_run(folder) if line.get("loss") is not None]
    thinned = lines[:: max(1, -(-len(lines) // _POINTS))]
    done = progress_of_run(folder)
    found: dict[str, Any] = {
        "steps": done[0] if done else None,
        "of": done[1] if done else None,
        "is_whole": bool(done and done[2]),
        "loss": [[line["step"], line["loss"]] for line in thinned],
    }
    if storage.exists(storage.join(folder, _CARD)):
        card = artifacts.read_json(storage.join(folder, _CARD))
        found["card"] = {k: v for k, v in card.items() if k not in _HIDDEN and _is_short(v)}
        found["evaluations"] = card.get("evaluations", {})
    if storage.exists(storage.join(folder, "consumed.json")):
        consumed = artifacts.read_json(storage.join(folder, "consumed.json"))
        found["languages"] = {
            lang: {k: one[k] for k in ("pairs", "share", "matches", "distinct_entries")} | {
                "top_entries": one["top_entries"][:20]}
            for lang, one in consumed["languages"].items()
        }  # fmt: skip
    return found


def _is_short(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float) or (
        isinstance(value, str) and len(value) <= 200
    )  # fmt: skip
