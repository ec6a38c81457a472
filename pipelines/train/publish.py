"""The end of a run: its weights, and the card of its model.

A run that has come to its last step in; `checkpoints/final.pt`, `modelcard.json` and what stands
beside it out.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from curate.files import storage
from curate.files.disk_space import told_when_full
from curate.pipelines.train.consumed import entry_names
from curate.pipelines.train.files import save_tensors
from curate.pipelines.train.loading import epochs_seen
from curate.pipelines.train.loop import TrainLoop
from curate.pipelines.train.model_card import contaminated_sets, write_model_card
from curate.training.loop.config import StepOptions, TrainConfig
from curate.training.model.config import ModelConfig

if TYPE_CHECKING:
    from curate.pipelines.train.part import TrainRun

__all__ = ["device_name", "publish_model"]


def publish_model(
    run: "TrainRun", loop: TrainLoop, values: dict[str, Any], weights: dict[str, Any]
) -> dict[str, Any]:
    """Write the weights and the model card; rank 0 does.

    Args:
        run: what it is made of.
        loop: as it ended.
        values: of its config.json.
        weights: whole.

    Returns:
        The card.
    """
    from curate.training.model.weights_file import FORMAT_VERSION

    assert loop.run_log is not None  # this is rank 0
    progress = loop.progress
    loop.run_log.publish()
    with told_when_full(run.files.checkpoints):
        final = {"format": FORMAT_VERSION, "model": weights}
        save_tensors(run.files, run.files.final, final)
    losses = [x["loss"] for x in loop.run_log.lines if x["loss"] is not None]
    seen = run.config.steps * run.config.batch_size
    per_epoch = run.loading().pairs_per_epoch(progress.position.epoch)
    card = {
        **values,
        "model": asdict(run.shape),
        "train": asdict(run.config),
        "parameters": sum(tensor.numel() for tensor in weights.values()),
        "pairs_seen": seen,
        "pairs_per_epoch": per_epoch,
        "epochs": epochs_seen(seen, per_epoch),
        "final_loss": round(losses[-1], 6) if losses else None,
        "averaged": run.config.ema_decay is not None,
        "skipped": dict(sorted(progress.skipped.items())),
        "bad_steps": progress.bad_steps,
        "machine": _machine(run.world, run.options),
        **_resolutions(run.config, run.shape),
        "datacard_sha256": _hash_if_there(run.extras.datacard),
        **contaminated_sets(run.extras.datacard),
    }
    if run.texts is not None and run.texts.index is not None:
        card["captions"] = {**run.texts.index.note, "mix": run.texts.describe()}
    names = entry_names(run.extras.balanced)
    consumed = progress.consumed.card(names)
    return write_model_card(run.files, card, loop.run_log.lines, consumed)


def _resolutions(config: TrainConfig, shape: ModelConfig) -> dict[str, Any]:
    """Return what a model card says of a schedule of sizes; nothing without one."""
    from curate.training.loop.resolution import phases

    if config.resolution_schedule is None:
        return {}
    found = [{"image_size": p.image_size, "last_step": p.end} for p in phases(config, shape)]
    return {"resolutions": found}


def _hash_if_there(path: str | None) -> str | None:
    return storage.file_sha256(path) if path and storage.exists(path) else None


def device_name(device: Any) -> str:
    """Return what a device is called: a GPU by its model."""
    import torch

    return torch.cuda.getdevice_name(device) if device.type == "cuda" else "CPU"


def _machine(world: Any, options: StepOptions) -> dict[str, Any]:
    import torch

    return {
        "device": device_name(world.device),
        "processes": world.size,
        "torch": str(torch.__version__),
        **asdict(options),
    }
