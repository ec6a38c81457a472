"""Tokenizers from files and from the Hugging Face Hub, and whether one fits a model."""

import logging
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from curate.errors import ArtifactError, InputError
from curate.files.storage import is_file, is_folder, join, open_read
from curate.files.sums import check_file
from curate.metadata.fetch.offline import OFFLINE, is_offline
from curate.training.model.config import ModelConfig
from curate.training.text.clip_bpe import build_clip_bpe
from curate.training.text.tokenizer import Tokenizer

__all__ = ["check_fit", "open_tokenizer", "tokenizer_beside"]

_log = logging.getLogger("curate")
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
            return _converted(source, context_length)
        source = join(source, _FILE)
    if source.endswith(_MERGES):
        found = Tokenizer(build_clip_bpe(_read(source), source), context_length, "clip")
        _log.info(
            "texts are cleaned as CLIP's published tokenizer does it (broken encodings mended by "
            "ftfy %s, HTML entities undone), since its weights were trained so",
            version("ftfy"),
        )
        return found
    if "://" in source or source.endswith(".json") or Path(source).is_file():
        return _from_json(_read(source), source, context_length)
    return _from_hub(source, context_length)


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


def _from_hub(name: str, context_length: int) -> Tokenizer:
    """Fetch a tokenizer by its name."""
    from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    from tokenizers import Tokenizer as Model

    try:
        found = hf_hub_download(name, _FILE, local_files_only=is_offline())
        return Tokenizer(Model.from_file(found), context_length)
    except LocalEntryNotFoundError as error:
        if try_to_load_from_cache(name, _FILE) is _CACHED_NO_EXIST:
            return _converted(name, context_length)  # as it was when the Hub was asked
        raise InputError(
            f"tokenizer {name!r} is not a file, not in the cache of the Hugging Face Hub, and the "
            f"Hub cannot be reached, or is not to be asked ({OFFLINE}). Give a file, or fetch it "
            f"where there is a network: hf download {name} {_FILE}"
        ) from error
    except EntryNotFoundError:
        return _converted(name, context_length)
    except (OSError, ValueError) as error:
        raise InputError(
            f"tokenizer {name!r}: neither a file nor a name on the Hugging Face Hub ({error})"
        ) from error


def _converted(name: str, context_length: int) -> Tokenizer:
    """Convert a tokenizer that is published as a SentencePiece model, as its class uses it.

    Args:
        name: of a folder, or on the Hub.
        context_length: tokens of a text at most.

    Raises:
        InputError: it cannot be converted, or gives other ids then.
    """
    opened = _open_with_transformers(name)
    if type(opened).__name__ == "SiglipTokenizer":
        cleaning = "siglip-lower" if opened.do_lower_case else "siglip"
        found = Tokenizer(_sentencepiece_model(opened.sp_model), context_length, cleaning)
        _require_same_ids(found, opened, name)
        return found
    try:
        return Tokenizer(opened.backend_tokenizer, context_length)
    except AttributeError as error:
        raise InputError(
            f"tokenizer {name!r}: has no {_FILE}, and a {type(opened).__name__} cannot be "
            "converted. Give another, or one with that file."
        ) from error


def _open_with_transformers(name: str) -> Any:
    if not all(find_spec(package) for package in ("transformers", "sentencepiece")):
        raise InputError(
            f"tokenizer {name!r} has no {_FILE}; a SentencePiece model is converted if you "
            "pip install transformers sentencepiece protobuf"
        )
    from transformers import AutoTokenizer

    try:
        # Of a folder nothing is looked up elsewhere; and no code that comes with one is run, nor is
        # the user asked whether it may be.
        return AutoTokenizer.from_pretrained(
            name, trust_remote_code=False, local_files_only=is_folder(name) or is_offline()
        )
    except (AttributeError, KeyError, OSError, ValueError) as error:
        raise InputError(
            f"tokenizer {name!r}: has no {_FILE}, and cannot be converted either ({error})"
        ) from error


def _sentencepiece_model(pieces: Any) -> Any:
    """Return a unigram model of the `tokenizers` library that cuts texts as SentencePiece does.

    Args:
        pieces: the model, as a SentencePieceProcessor.
    """
    from sentencepiece import sentencepiece_model_pb2
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    said: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    said.ParseFromString(pieces.serialized_model_proto())
    vocab = [(piece.piece, piece.score) for piece in said.pieces]
    model = Tokenizer(models.Unigram(vocab, unk_id=pieces.unk_id(), byte_fallback=False))
    charsmap = said.normalizer_spec.precompiled_charsmap
    steps: list[Any] = [normalizers.Precompiled(charsmap)] if charsmap else []
    steps += [normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()]
    model.normalizer = normalizers.Sequence(steps)
    model.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    end = pieces.id_to_piece(pieces.eos_id())
    model.post_processor = processors.TemplateProcessing(
        f"$A {end}", None, [(end, pieces.eos_id())]
    )
    return model


# What a conversion may get wrong: case, punctuation, spaces, compatibility forms, the unknown.
_SAMPLES = (
    "a photo of a red dog", "A Dog's  (RED) ball!", "ein roter Hund, eine Katze", "红色的狗 🐕",
    "ﬁne café cafe\u0301 ½", "الكلب الأحمر", "", "  ", "...", "x" * 40, "1,234.5 kg",
)  # fmt: skip


def _require_same_ids(found: Tokenizer, theirs: Any, name: str) -> None:
    rows = found.encode(_SAMPLES).tolist()
    for text, row in zip(_SAMPLES, rows, strict=True):
        expected = theirs(text, truncation=True, max_length=found.context_length).input_ids
        if row[: row.index(found.eos_id) + 1] != expected:
            raise InputError(
                f"tokenizer {name!r}: converted, it gives other ids for {text!r} "
                f"({row[: len(expected)]}) than {type(theirs).__name__} ({expected}). "
                "Give one with a tokenizer.json."
            )
