"""`curate export`: a trained model → a folder that others' programs load."""

from hashlib import sha256
from pathlib import Path
from typing import Any

from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.files.addresses import without_secrets
from curate.files.sums import add_sums, file_sum
from curate.pipelines.executor.lease import driving
from curate.pipelines.store.swap import NEXT, folder_to_fill, forget_next
from curate.pipelines.store.workspace import Workspace
from curate.training import require_packages
from curate.training.published.registry import HUB, is_name

__all__ = ["export_model", "find_run"]


def find_run(run: str, workspace: str) -> str:
    """Return what an argument names: a folder, a file, a run of the workspace, else a model."""
    if "://" in run or Path(run).exists():
        return run
    folder = Workspace(workspace).run(run)
    if (is_name(run) or run.startswith(HUB)) and not storage.is_folder(folder):
        return run
    return folder


def export_model(
    source: str,
    *,
    output: str | None,
    export_format: str,
    model: str | None = None,
    tokenizer: str | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Write a model in another program's layout.

    Args:
        source: folder of a run or of an export; with `model`, a file of weights; or a name, as for
            `curate.load`.
        output: folder or URL; None for ``export/<format>`` in the run's folder.
        export_format: safetensors, open_clip or huggingface.
        model: name or JSON file of the shape, for weights that come without it.
        tokenizer: None for the one that came with the weights.
        overwrite: replace what is there.
        dry_run: load and check only.

    Returns:
        The format, the folder, the number of parameters, and each file's size and sha256.

    Raises:
        ArtifactError: the run is not finished, or the output is there already.
        InputError: the weights cannot be read, or hold another model.
        UsageError: there is no such format, or the model cannot be expressed in it.
        MissingExtraError: torch or safetensors is not installed.
    """
    require_packages("curate export")
    from curate.training.export.files import export_files
    from curate.training.export.load import load_model

    if output is None and (model is not None or is_name(source) or source.startswith(HUB)):
        raise UsageError(f"{source} is no run; say with --output where its export is to go")
    folder = output or storage.join(source, f"export/{export_format}")
    there = [path for path in storage.list_files(folder, "") if not path.endswith(f"/{NEXT}")]
    if there and not overwrite:
        raise ArtifactError(f"{folder} is there already. Replace it with --overwrite.")
    clip, words = load_model(source, model=model, tokenizer=tokenizer)
    files = export_files(clip, words, export_format)
    card: dict[str, Any] = {
        "format": export_format,
        "output": without_secrets(folder),
        "parameters": sum(p.numel() for p in clip.parameters()),
        "files": {},
    }
    if dry_run:
        return {**card, "files": dict.fromkeys(files)}
    with driving(folder, "export"):
        if not overwrite:
            forget_next(folder)
        first = next(iter(files))
        with folder_to_fill(folder, overwrite=overwrite, marker=first, sign=[*files][-1]) as place:
            for name, content in files.items():
                card["files"][name] = _publish(storage.join(place, name), content())
            add_sums(place, {name: file_sum(storage.join(place, name)) for name in files}, keep=())
    return card


def _publish(path: str, content: bytes) -> dict[str, Any]:
    with storage.publish(path) as file:
        file.write(content)
    return {"bytes": len(content), "sha256": sha256(content).hexdigest()}
