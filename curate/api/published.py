"""`models`, `load` and `export`: published models, any model ready for use, and for others."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from curate.api.calls.command import command
from curate.api.calls.options import Folder, listed, path_of, place_of
from curate.api.results import ExportResult, ModelsResult

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from curate.training.model.clip import CLIP

__all__ = ["export", "load", "models"]


@command
def models(names: str | Sequence[str] = (), *, fetch: bool = False) -> ModelsResult:
    """List the published models that can be used by their names, and fetch them.

    Example: curate models ViT-B-16-worldwide --fetch

    Args:
        names: of models, or parts of names; all if none is given.
        fetch: fetch weights and tokenizers into the cache (CURATE_MODELS).

    Returns:
        Per model: its name, parameters, resolution, languages, published score, licence, the file
        and its sha256, the tokenizer, and whether it is in the cache.

    Raises:
        InputError: there is none of a name, or it cannot be fetched.
    """
    from curate.pipelines.models import list_models

    return ModelsResult(list_models(listed(names), fetch=fetch))


def load(
    source: Folder,
    device: str = "cpu",
    *,
    model: str | None = None,
    tokenizer: str | None = None,
    pretrained: str | None = None,
) -> "tuple[CLIP, Callable[[Image.Image], Tensor], Callable[[list[str]], Tensor]]":
    """Load a trained model, ready for use.

    Args:
        source: folder that `train` or `export` wrote, the result of either, or a folder of OpenCLIP
            or Hugging Face; with `model`, a file of weights; or the name of a published model,
            which is fetched: ``metaclip2_worldwide/ViT-B-16-worldwide``, ``hf:org/name``,
            ``open_clip:NAME/TAG``.
        device: where the model goes.
        model: name or JSON file of the shape, for weights that come without it.
        tokenizer: a file, or a name on the Hugging Face Hub; None for the one that came with the
            weights.
        pretrained: name of the weights of a published model, where `source` does not say it.

    Returns:
        The model in evaluation mode; `preprocess`, from a Pillow image to (3, H, W); `tokenize`,
        from texts to (B, T). `model.encode_image` and `model.encode_text` take batches of these.

    Raises:
        ArtifactError: there is no finished model, or its parts do not belong together.
        InputError: the weights, config or tokenizer cannot be read, hold another model, or cannot
            be fetched.
        UsageError: a file of weights is given without a model, or comes without a tokenizer.
    """
    from curate.training import load as load_model

    return load_model(
        str(path_of(source)), device, model=model, tokenizer=tokenizer, pretrained=pretrained
    )


@command
def export(
    run: Folder,
    *,
    format: Literal["safetensors", "open_clip", "huggingface"] = "safetensors",
    model: str | None = None,
    tokenizer: str | None = None,
    workspace: Folder = None,
    output: Folder = None,
    overwrite: bool = False,
    dry_run: bool = False,
) -> ExportResult:
    """Write a trained model for curate.load, OpenCLIP or Hugging Face's transformers.

    Example: curate export clip --format huggingface -o clip-hf

    Args:
        run: name of a run or of a published model, a folder, or a file of weights.
        format: safetensors, open_clip or huggingface: of curate.load, OpenCLIP or transformers.
        model: of a file: name or JSON file.
        tokenizer: of a file: file or Hub name.

    Returns:
        The format, the folder, the number of parameters, and each file's size and sha256.

    Raises:
        ArtifactError: the run is not finished, or the output is there already.
        InputError: the weights cannot be read, or hold another model.
        UsageError: there is no such format, or the model cannot be expressed in it.
    """
    from curate.pipelines.export import export_model, find_run

    found = export_model(
        find_run(str(path_of(run)), place_of(workspace).root), output=path_of(output),
        export_format=format, model=model, tokenizer=tokenizer, overwrite=overwrite,
        dry_run=dry_run,
    )  # fmt: skip
    return ExportResult(found, found["output"])
