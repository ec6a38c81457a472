"""Sentence encoders of other libraries: texts in, vectors out.

`model2vec` looks words' vectors up and adds them, in numpy, tens of thousands of texts a second;
`sentence-transformers` runs a transformer. Both are optional, and load a folder, or a name on the
Hugging Face Hub that the user gives.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from curate.distribution import install_line
from curate.errors import CurateError, InputError, UsageError
from curate.files.storage import is_file, join, open_read
from curate.training.embedding.encoders import TextEncoder, hash_tensors
from curate.training.published.hub import hub_as_told

__all__ = ["SENTENCE_LIBRARIES", "is_sentence_encoder", "open_sentence_encoder"]

SENTENCE_LIBRARIES = ("model2vec", "sentence-transformers")


class _StaticTexts:
    """A model of model2vec."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.width = int(model.dim)

    def prepare(self, texts: Sequence[str]) -> tuple[Any, NDArray[np.int64]]:
        """Return the texts and their lengths in characters."""
        return _as_objects(texts)

    def encode(self, prepared: Any) -> NDArray[np.float32]:
        """Return the vectors of a batch."""
        found = self._model.encode(list(prepared), use_multiprocessing=False)
        return np.asarray(found, dtype=np.float32)


class _TransformerTexts:
    """A model of sentence-transformers."""

    def __init__(self, model: Any, width: int) -> None:
        self._model = model
        self.width = width

    def prepare(self, texts: Sequence[str]) -> tuple[Any, NDArray[np.int64]]:
        """Return the texts and their lengths in characters."""
        return _as_objects(texts)

    def encode(self, prepared: Any) -> NDArray[np.float32]:
        """Return the vectors of a batch."""
        found = self._model.encode(
            list(prepared), batch_size=len(prepared), show_progress_bar=False,
            convert_to_numpy=True, normalize_embeddings=False,
        )  # fmt: skip
        return np.asarray(found, dtype=np.float32)


def _as_objects(texts: Sequence[str]) -> tuple[Any, NDArray[np.int64]]:
    prepared = np.array(texts, dtype=object)
    return prepared, np.array([len(text) for text in texts], np.int64)


def open_sentence_encoder(name: str, device: torch.device) -> tuple[TextEncoder, dict[str, Any]]:
    """Load a sentence encoder; return it, and what it is.

    Args:
        name: a folder, or LIBRARY:NAME with one of SENTENCE_LIBRARIES and a folder or a name on
            the Hub, such as model2vec:minishlab/potion-multilingual-128M.
        device: to compute on.

    Raises:
        UsageError: nothing tells which library it is of.
        CurateError: that is not installed.
        InputError: it cannot be loaded.
    """
    library, place = _library_of(name)
    if find_spec(library.replace("-", "_")) is None:
        line = install_line("embed") if library == "model2vec" else f"pip install {library}"
        raise CurateError(f"--text-encoder {name} needs {library}. Install it with: {line}")
    module: Any = import_module(library.replace("-", "_"))
    try:
        with hub_as_told():
            if library == "model2vec":
                return _open_static(module.StaticModel.from_pretrained(place))
            model = module.SentenceTransformer(place, device=str(device))
    except Exception as error:  # either library raises what its dozen of dependencies raise
        raise InputError(
            f"--text-encoder {name}: {library} cannot load it: {type(error).__name__}: {error}"
        ) from error
    model.eval()
    width = int(np.asarray(model.encode(["a"], show_progress_bar=False)).shape[1])
    about = {"library": library, "sha256": hash_tensors(model), "width": width}
    return _TransformerTexts(model, width), about


def _open_static(model: Any) -> tuple[TextEncoder, dict[str, Any]]:
    digest = sha256(np.ascontiguousarray(model.embedding).tobytes())
    for part in (model.weights, model.token_mapping):
        digest.update(b"none" if part is None else np.ascontiguousarray(part).tobytes())
    digest.update(model.tokenizer.to_str().encode())
    digest.update(json.dumps(dict(model.config), sort_keys=True, default=str).encode())
    about = {"library": "model2vec", "sha256": digest.hexdigest(), "width": int(model.dim)}
    return _StaticTexts(model), about


def is_sentence_encoder(name: str) -> bool:
    """Tell whether a name or folder is a sentence encoder's."""
    try:
        _library_of(name)
    except UsageError:
        return False
    return True


def _library_of(name: str) -> tuple[str, str]:
    library, colon, place = name.partition(":")
    if colon and library in SENTENCE_LIBRARIES:
        return library, place
    modules = _json(join(name, "modules.json"))
    first = modules[0] if isinstance(modules, list) and modules else None
    kind = str(first.get("type")) if isinstance(first, dict) else ""
    about = _json(join(name, "config.json"))
    is_static = isinstance(about, dict) and about.get("model_type") == "model2vec"
    if is_static or kind.endswith("StaticEmbedding"):
        return "model2vec", name
    if kind:
        return "sentence-transformers", name
    forms = " or ".join(f"{known}:{name}" for known in SENTENCE_LIBRARIES)
    raise UsageError(
        f"--text-encoder {name}: no folder of a sentence encoder; say which library loads it: "
        f"{forms}"
    )


def _json(path: str) -> Any:
    """Return what is in a JSON file; None if there is none, or it is none."""
    if not is_file(path):
        return None
    with open_read(path) as file:
        content = file.read()
    try:
        return json.loads(content)
    except ValueError:
        return None
