"""A file or folder of weights in, its tensors out, exactly as they are stored; no code is run."""

import pickle
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from curate.distribution import install_line
from curate.errors import ArtifactError, InputError
from curate.files.storage import is_file, is_remote, join, local_path, open_read
from curate.files.sums import check_file
from curate.training.model.numpy_scalars import SAFE_SCALARS

__all__ = ["FORMAT_VERSION", "find_weights", "read_tensors", "require_known_version"]

# Of checkpoints (`format`) and of exports (`format_version`); grows when an older reader would
# misread them.
FORMAT_VERSION = 2
_OURS = "checkpoints/final.pt"
_OPEN_CLIP = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_HUGGING_FACE = ("model.safetensors", "pytorch_model.bin")
_NAMES = (_OURS, *_HUGGING_FACE, *_OPEN_CLIP)
# Of the zip archives of today, and of the pickles before them.
_TORCH_STARTS = (b"PK", b"\x80\x02")
_WRAPPED = ("state_dict", "model", "model_state_dict", "module")


def find_weights(path: str) -> str:
    """Return the file of weights that a path or URL names, itself or in a folder.

    A folder of the Hub may hold the same model for several programs: OpenCLIP's weights and config,
    and in `model.safetensors` the image part for timm, or all of it for transformers. Of a folder
    with OpenCLIP's config its weights are meant.

    Raises:
        InputError: there is none.
    """
    is_open_clip = is_file(join(path, "open_clip_config.json"))
    names = (_OURS, *_OPEN_CLIP, *_HUGGING_FACE) if is_open_clip else _NAMES
    for place in (path, *(join(path, name) for name in names)):
        if is_file(place):
            return place
    raise InputError(
        f"{path}: there are no weights here; expected a file, or a folder with one of "
        f"{', '.join(_NAMES)}"
    )


def read_tensors(path: str) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file or of a pickle that holds only tensors and values.

    Args:
        path: a file or folder; local, or an fsspec URL.

    Raises:
        InputError: there is no such file; it is cut off; it holds code, or no tensors.
        ArtifactError: a newer version of this package wrote it.
    """
    found = find_weights(path)
    check_file(found)
    with _local(found) as file:
        values = _read_safetensors(file, path) if _is_safetensors(file) else _read_torch(file, path)
    tensors = {str(k): v for k, v in values.items() if isinstance(v, Tensor)}
    if not tensors:
        raise InputError(f"{path}: there are no weights in it; expected a state dict of tensors")
    return tensors


def require_known_version(values: Mapping[str, Any], path: str) -> None:
    """Refuse what a newer version of this package wrote.

    Raises:
        ArtifactError: it did.
    """
    found = str(values.get("format_version") or values.get("format") or "")
    # Others write {"format": "pt"} into safetensors files.
    if found.isdecimal() and int(found) > FORMAT_VERSION:
        raise ArtifactError(
            f"{path}: written by a newer version of curate (format {found}; this one reads up to "
            f"{FORMAT_VERSION}). Upgrade: {install_line(options='-U')}"
        )


@contextmanager
def _local(path: str) -> Iterator[Path]:
    """Give a local file: tensors are mapped from it, not read twice."""
    if not is_remote(path):
        yield Path(local_path(path))
        return
    with tempfile.NamedTemporaryFile(suffix=Path(path).suffix) as copy:
        try:
            with open_read(path) as remote:
                shutil.copyfileobj(remote, copy, 1 << 20)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error}") from error
        copy.flush()
        yield Path(copy.name)


def _is_safetensors(file: Path) -> bool:
    """Tell by the content: eight bytes of length, then a JSON object."""
    with file.open("rb") as opened:
        return opened.read(9)[8:] == b"{"


def _read_safetensors(file: Path, name: str) -> dict[str, Any]:
    try:
        with safe_open(file, framework="pt") as opened:
            require_known_version(opened.metadata() or {}, name)
            return {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(
            f"{name}: not a whole safetensors file ({error}). It may be cut off: fetch it again."
        ) from error


def _read_torch(file: Path, name: str) -> dict[str, Any]:
    _refuse_torchscript(file, name)
    with file.open("rb") as opened:
        if opened.read(2) not in _TORCH_STARTS:
            raise InputError(
                f"{name}: not a file of weights ({file.stat().st_size:,} bytes); expected "
                "safetensors, or what torch.save writes"
            )
    try:
        with torch.serialization.safe_globals(SAFE_SCALARS):
            values = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{name}: a pickle that is cut off, or that holds more than tensors and plain values "
            "and so could run code, which is never done. Fetch it again; or get its weights as "
            "safetensors, which most publishers offer beside it. Who made the file can write "
            "them: torch.save(model.state_dict(), 'weights.pt')"
        ) from error
    except Exception as error:  # torch raises a different type for each kind of damage
        raise InputError(
            f"{name}: not a readable file of weights ({error}). It may be cut off: fetch it again."
        ) from error
    if not isinstance(values, dict):
        raise InputError(
            f"{name}: holds a {type(values).__name__}; expected a state dict of tensors"
        )
    require_known_version(values, name)
    wrapped = (values[key] for key in _WRAPPED if isinstance(values.get(key), dict))
    return dict(next(wrapped, values))


def _refuse_torchscript(file: Path, name: str) -> None:
    try:
        if not zipfile.is_zipfile(file):
            return
        with zipfile.ZipFile(file) as archive:
            is_script = any(n.split("/", 1)[-1] == "constants.pkl" for n in archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InputError(
            f"{name}: a damaged archive ({error}). It may be cut off: fetch it again."
        ) from error
    if is_script:
        raise InputError(
            f"{name}: a TorchScript archive, which holds code, and code is never run. If you trust "
            'it, take the weights out of it: python -c "import torch; torch.save(torch.jit.load('
            "'IN.pt', 'cpu').state_dict(), 'OUT.pt')\""
        )
