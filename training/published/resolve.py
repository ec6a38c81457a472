"""A model's name in; its shape, its file of weights and its tokenizer, all on this machine, out."""

from collections.abc import Mapping
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from curate.errors import CurateError, FetchError, InputError, UsageError
from curate.metadata.fetch.offline import OFFLINE, is_offline
from curate.training.model.config import ModelConfig
from curate.training.model.foreign_configs import from_open_clip
from curate.training.model.weights import published_end
from curate.training.published.cache import cached_file
from curate.training.published.hub import hub_as_told
from curate.training.published.registry import HUB, LICENCE, OPEN_CLIP, Published, find_published

__all__ = ["Resolved", "clip_merges", "hub_folder", "resolve", "resolve_published"]

# CLIP's list of merges, as its authors published it; OpenCLIP's package has the same file.
_MERGES_URL = "https://github.com/openai/CLIP/raw/main/clip/bpe_simple_vocab_16e6.txt.gz"
_MERGES_SHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
_TERMS = (
    f"the weights of MetaCLIP are licensed {LICENCE}: not for commercial use; their licence goes "
    "with whatever is made of them"
)
_HUB_FILES = (
    "open_clip_config.json", "config.json", "preprocessor_config.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "sentencepiece.bpe.model", "spiece.model",
)  # fmt: skip
_HUB_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_HUB_OPEN_CLIP = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


class Resolved(NamedTuple):
    """A model that a name stands for.

    Attributes:
        name: in full.
        config: its shape.
        weights: file.
        tokenizer: as for `open_tokenizer`.
        note: what its user has to know.
    """

    name: str
    config: ModelConfig
    weights: str
    tokenizer: str
    note: str = ""


def resolve(source: str, pretrained: str | None = None) -> Resolved:
    """Put a model together; what is not here is fetched.

    Args:
        source: name of a published model, as for `find_published`, or ``open_clip:NAME/TAG``.
        pretrained: name of the weights, where the name does not say it.

    Raises:
        InputError: there is none of this name, or it cannot be had.
        UsageError: OpenCLIP is asked for and not installed.
    """
    if source.startswith(OPEN_CLIP):
        return _of_open_clip(source.removeprefix(OPEN_CLIP), pretrained)
    return resolve_published(find_published(source, pretrained))


def resolve_published(found: Published) -> Resolved:
    """Put a published model together; what is not here is fetched."""
    tokenizer = clip_merges() if found.tokenizer == "clip" else found.tokenizer
    weights = cached_file(found.url, found.sha256, _TERMS)
    return Resolved(found.name, published_end(found.config), weights, tokenizer, found.note)


def clip_merges() -> str:
    """Return CLIP's list of merges: that of an installed OpenCLIP, else from the cache.

    Raises:
        InputError: it cannot be had.
    """
    spec = find_spec("open_clip")
    if spec is not None and spec.origin:
        there = Path(spec.origin).with_name("bpe_simple_vocab_16e6.txt.gz")
        if there.is_file() and sha256(there.read_bytes()).hexdigest() == _MERGES_SHA256:
            return str(there)
    return cached_file(_MERGES_URL, _MERGES_SHA256)


def hub_folder(name: str) -> str:
    """Return a local folder with a model of the Hugging Face Hub: ``org/name``, or with @revision.

    Of several files of weights one is fetched: OpenCLIP's if its config is there.

    Raises:
        InputError: there is none, or the Hub cannot be reached.
        UsageError: huggingface_hub is not installed.
    """
    if find_spec("huggingface_hub") is None:
        raise UsageError(f"{HUB}{name} needs the Hub's package: pip install huggingface_hub")
    hub: Any = import_module("huggingface_hub")
    errors: Any = import_module("huggingface_hub.errors")
    repository, _, revision = name.partition("@")

    def fetched(file: str) -> str | None:
        try:
            return str(hub.hf_hub_download(
                repository, file, revision=revision or None, local_files_only=is_offline()
            ))  # fmt: skip
        except errors.LocalEntryNotFoundError as error:
            if is_offline():
                return None
            raise InputError(
                f"{HUB}{name}: not in the Hub's cache, and the Hub cannot be reached ({error})"
            ) from error
        except errors.EntryNotFoundError:
            return None
        except (errors.HfHubHTTPError, errors.HFValidationError, OSError, ValueError) as error:
            raise InputError(f"{HUB}{name}: cannot be had from the Hub ({error})") from error

    found = {file: place for file in _HUB_FILES if (place := fetched(file)) is not None}
    if not found:
        where = "in the Hub's cache, and nothing is to be fetched" if is_offline() else "there"
        raise InputError(f"{HUB}{name}: no config or tokenizer of a model is {where}")
    first = _HUB_OPEN_CLIP if "open_clip_config.json" in found else ()
    weights = next((w for file in (*first, *_HUB_WEIGHTS) if (w := fetched(file))), None)
    if weights is None:
        raise InputError(
            f"{HUB}{name}: there are no weights in it; expected one of "
            f"{', '.join((*_HUB_OPEN_CLIP, *_HUB_WEIGHTS))}"
        )
    return str(Path(weights).parent)


def _of_open_clip(name: str, pretrained: str | None) -> Resolved:
    """Put a model of OpenCLIP's own list together; OpenCLIP fetches it."""
    model, _, tag = name.partition("/")
    tag = pretrained or tag
    try:
        open_clip: Any = import_module("open_clip")
    except (ImportError, RuntimeError) as error:  # RuntimeError: its torchvision fits another torch
        raise UsageError(
            f"{OPEN_CLIP}{name} needs OpenCLIP, which cannot be imported ({error}). "
            "pip install open_clip_torch"
        ) from error
    shape, about = open_clip.get_model_config(model), open_clip.get_pretrained_cfg(model, tag)
    if shape is None or not about:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none of this model"
        raise InputError(f"{OPEN_CLIP}{name}: not in OpenCLIP's list; weights there are: {tags}")
    preprocess = {key: about[key] for key in ("mean", "std", "interpolation", "resize_mode")
                  if about.get(key) is not None}  # fmt: skip
    if about.get("quick_gelu"):
        shape = {**shape, "quick_gelu": True}
    config = from_open_clip(
        {"model_cfg": shape, "preprocess_cfg": preprocess}, f"{OPEN_CLIP}{name}"
    )
    tokenizer = shape["text_cfg"].get("hf_tokenizer_name") or open_clip.tokenizer.default_bpe()
    try:
        with hub_as_told():
            weights = _kept_by_open_clip(about) or str(open_clip.download_pretrained(about))
    except CurateError:
        raise
    except Exception as error:  # of urllib, of the Hub, and RuntimeError of checksums
        raise FetchError(f"{OPEN_CLIP}{name}: OpenCLIP cannot fetch it ({error})") from error
    return Resolved(f"{OPEN_CLIP}{name}", config, weights, tokenizer)


def _kept_by_open_clip(about: Mapping[str, Any]) -> str | None:
    """Return the file of weights that OpenCLIP fetched by its address, where none may be fetched.

    Raises:
        InputError: it did not.
    """
    if not is_offline() or about.get("hf_hub") or not about.get("url"):
        return None
    path = Path.home() / ".cache" / "clip" / str(about["url"]).rpartition("/")[2]
    if not path.is_file():
        raise InputError(f"{path} is not there, and {OFFLINE} says that nothing is to be fetched")
    return str(path)
