"""What stages return that make or measure models, or make ready for them."""

from typing import Any

from curate.api.results.base import Result, shown_svg

__all__ = [
    "CaptionerResult",
    "EvalResult",
    "ExportResult",
    "ModelsResult",
    "TrainResult",
    "WarmUpResult",
]


class WarmUpResult(Result):
    """Whether compiled code came with the package, and how long was compiled here."""

    shipped: str
    why_not: str
    compiling_s: float
    not_kept: str

    _view = ("warm_up", "readiness")


class TrainResult(Result):
    """A trained model's card, or how far an interrupted run came."""

    _view = ("train", "train_table")

    def _repr_html_(self) -> str:
        """Show the loss above the table, where it was drawn."""
        from curate.files import storage

        path = f"{self.folder}/loss.svg"
        drawing = storage.read_bytes(path) if self.folder and storage.exists(path) else b""
        return (shown_svg(drawing) if drawing else "") + super()._repr_html_()


class CaptionerResult(Result):
    """The card of a captioner; of a run that was asked to stop, how far it came."""

    _view = ("train_captioner", "captioner_table")


class EvalResult(Result):
    """Figures of a model on held-out sets, with their intervals."""

    results: dict[str, Any]

    _view = ("evaluate", "eval_table")


class ExportResult(Result):
    """What an export holds: its files with size and sha256."""

    format: str
    files: dict[str, Any]

    _view = ("export", "export_table")


class ModelsResult(Result):
    """Published models, by their names."""

    models: list[dict[str, Any]]

    _view = ("models", "models_table")
