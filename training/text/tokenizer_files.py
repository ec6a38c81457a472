"""Tokenizers from files and from the Hugging Face Hub, and whether one fits a model."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from curate.errors import ArtifactError, InputError
from curate.files.storage import is_file, is_folder, join, open_read
from curate.files.sums import check_file
from curate.training.model.config import ModelConfig
from curate.training.text.clip_bpe import build_clip_bpe
from curate.training.text.tokenizer import Tokenizer

__all__ = ["check_fit", "open_tokenizer", "tokenizer_beside"]

_FILE = "tokenizer.json"
_MERGES = (".txt", ".txt.gz")


def open_tokenizer(source: str, context_length: int) -> Tokenizer:
    """Open a tokenizer.

    Args:
        source: a JSON file of the `tokenizers` library; a folder with its tokenizer.json, or with
            a SentencePiece model and tokenizer_config.json; CLIP's merges
            (`bpe_simple_vocab_16e6.txt.gz`); a URL of one of these files; or a name on the
            Hugging Face Hub such as ``facebook/xlm-v-base``.
        context_length: tokens of a text at most, start and end included.

    Raises:
        InputError: there is no such file or name, it is no tokenizer, or the Hub cannot be
            reached.
    """
    if is_folder(source):
        if not is_file(join(source, _FILE)):
            return Tokenizer(_convert(source), context_length)
        source = join(source, _FILE)
    if source.endswith(_MERGES):
        return Tokenizer(build_clip_bpe(_read(source), source), context_length)
    if "://" in source or source.endswith(".json") or Path(source).is_file():
        return _from_json(_read(source), source, context_length)
    return Tokenizer(_from_hub(source), context_length)


def check_fit(tokenizer: Tokenizer, config: ModelConfig, where: str) -> None:
    """Check that a model has an embedding for every token, and the same end token.

    Args:
        tokenizer: gives the ids.
        config: of the model, as trained.
        where: what is checked, for the message.

    Raises:
        ArtifactError: they do not belong together.
    """
    if tokenizer.largest_text_id >= config.vocab_size:
        raise ArtifactError(
            f"{where}: the tokenizer has {tokenizer.vocab_size:,} tokens, the model only "
            f"{config.vocab_size:,}; they do not belong together. Give the model's own tokenizer, "
            "or train a model with this vocabulary: vit-b-32-worldwide has XLM-V's, vit-b-32-mt5 "
            "mT5's, a JSON file of the model's shape any vocab_size."
        )
    if config.eos_id is not None and config.eos_id != tokenizer.eos_id:
        raise ArtifactError(
            f"{where}: the tokenizer ends texts with id {tokenizer.eos_id} "
            f"({tokenizer.token(tokenizer.eos_id)!r}), but the model reads them at id "
            f"{config.eos_id}; they do not belong together. Give the tokenizer that the model was "
            "trained with (--tokenizer facebook/xlm-v-base for -worldwide, google/mt5-base for "
            "-mt5)."
        )


def tokenizer_beside(weights: str) -> str | None:
    """Return the tokenizer that came with weights: in their folder, or in their run's.

    Args:
        weights: a file of weights, or a folder of a run or an export; local, or an fsspec URL.
    """
    folder = weights.rstrip("/") if is_folder(weights) else _parent(weights)
    folders = [folder, _parent(folder)] if folder.endswith("/checkpoints") else [folder]
    found = (join(place, _FILE) for place in folders)
    return next((place for place in found if is_file(place)), None)


def _parent(path: str) -> str:
    return path.rpartition("/")[0] if "/" in path else "."


def _read(source: str) -> bytes:
    if not is_file(source):
        raise InputError(f"{source}: there is no such tokenizer file")
    check_file(source)
    with open_read(source) as file:
        return file.read()


def _from_json(content: bytes, source: str, context_length: int) -> Tokenizer:
    try:
        return Tokenizer.from_json(content.decode("utf-8"), context_length)
    except (InputError, UnicodeDecodeError) as error:
        raise InputError(f"{source}: {error}") from error


def _from_hub(name: str) -> Any:
    """Fetch a tokenizer by its name."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    from tokenizers import Tokenizer as Model

    try:
        return Model.from_file(hf_hub_download(name, _FILE))
    except LocalEntryNotFoundError as error:
        raise InputError(
            f"tokenizer {name!r} is not a file, not in the cache of the Hugging Face Hub, and the "
            "Hub cannot be reached. Give a file, or fetch it where there is a network: "
            f"hf download {name} {_FILE}"
        ) from error
    except EntryNotFoundError:
        return _convert(name)
    except (OSError, ValueError) as error:
        raise InputError(
            f"tokenizer {name!r}: neither a file nor a name on the Hugging Face Hub ({error})"
        ) from error


def _convert(name: str) -> Any:
    """Convert a tokenizer that is published as a SentencePiece model, such as mT5's."""
    if not all(find_spec(package) for package in ("transformers", "sentencepiece")):
        raise InputError(
            f"tokenizer {name!r} has no {_FILE}; a SentencePiece model is converted if you "
            "pip install transformers sentencepiece protobuf"
        )
    from transformers import AutoTokenizer

    try:
        # Of a folder nothing is looked up elsewhere; and no code that comes with one is run, nor is
        # the user asked whether it may be.
        opened = AutoTokenizer.from_pretrained(
            name, trust_remote_code=False, local_files_only=is_folder(name)
        )
        return opened.backend_tokenizer
    except (AttributeError, KeyError, OSError, ValueError) as error:
        raise InputError(
            f"tokenizer {name!r}: has no {_FILE}, and cannot be converted either ({error})"
        ) from error
