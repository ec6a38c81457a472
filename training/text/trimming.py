"""A tokenizer and texts in, the same tokenizer with only the tokens that these texts use out.

A small tower with a vocabulary of 900,000 tokens is mostly its table of embeddings, of which a set
of captions may use a tenth. Texts of which all tokens stay are cut as before:

- a *unigram* model takes the likeliest way to cut a text, and that way is still there;
- *byte-pair encoding* joins what it joined, since of each token that stays, all merges stay that
  make it and its parts, in their order;
- *WordPiece* and *WordLevel* take the longest token there is, which is still there.

Besides what was used, special tokens stay, and every token of one character (for byte-level
vocabularies: every byte), so that a text with other words can be spelled. The new ids are in the
order of the old ones, and `Tokenizer.trimmed_from` says which they were.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.errors import InputError, UsageError
from curate.training.model.config import ModelConfig
from curate.training.text.tokenizer import Tokenizer

__all__ = ["trim", "trimmed_shape", "used_ids"]

_BATCH = 10_000
_SPACE = "\u2581"  # SentencePiece's mark of a word's begin


def used_ids(tokenizer: Tokenizer, texts: Iterable[str]) -> NDArray[np.int64]:
    """Return the ids that a tokenizer gives for texts, ascending.

    Args:
        tokenizer: cuts texts at its context length, as in training.
        texts: of any number.
    """
    used = np.zeros(tokenizer.vocab_size, bool)
    stream = iter(texts)
    while batch := list(islice(stream, _BATCH)):
        used[np.unique(tokenizer.encode(batch))] = True
    return np.flatnonzero(used)


def trim(tokenizer: Tokenizer, used: NDArray[np.int64]) -> Tokenizer:
    """Return a tokenizer with only some of its tokens, and those without which it cannot spell.

    Args:
        tokenizer: of a unigram, byte-pair, WordPiece or WordLevel model.
        used: ids that stay, such as `used_ids` gives.

    Raises:
        InputError: its model is of another kind.
        UsageError: it was trimmed before.
    """
    if tokenizer.trimmed_from is not None:
        raise UsageError("--trim-vocabulary: this tokenizer was trimmed before; leave it out")
    values = json.loads(tokenizer.to_json())
    model = values["model"]
    kind = str(model.get("type") or ("BPE" if "merges" in model else ""))
    if kind not in ("Unigram", "BPE", "WordPiece", "WordLevel"):
        raise InputError(
            f"a tokenizer of the kind {kind!r} cannot be trimmed; expected Unigram, BPE, WordPiece "
            "or WordLevel"
        )
    names = dict(_vocabulary(model)) | {one["id"]: one["content"] for one in values["added_tokens"]}
    stay = set(used.tolist()) & names.keys()
    stay |= {one["id"] for one in values["added_tokens"] if one["special"]}
    stay |= {*tokenizer.start_ids, tokenizer.eos_id}
    stay |= {model["unk_id"]} if model.get("unk_id") is not None else set()
    stay |= {i for i, name in _vocabulary(model) if _spells(name, kind, model)}
    if kind == "BPE":
        stay = _with_parts(stay, names, model)
    ids = sorted(stay)
    new = {old: at for at, old in enumerate(ids)}
    _renumber(model, kind, new)
    values["added_tokens"] = [
        {**one, "id": new[one["id"]]} for one in values["added_tokens"] if one["id"] in new
    ]
    _renumber_frame(values.get("post_processor"), new)
    text = json.dumps({"trimmed_from": ids, **values}, ensure_ascii=False)
    return Tokenizer.from_json(text, tokenizer.context_length)


def trimmed_shape(shape: ModelConfig, tokenizer: Tokenizer) -> ModelConfig:
    """Return a model's shape with a row for each token of a tokenizer that was trimmed.

    The shape itself for one that was not, or where it has that many rows already.
    """
    if tokenizer.trimmed_from is None or shape.vocab_size == len(tokenizer.trimmed_from):
        return shape
    eos_id = None if shape.eos_id is None else tokenizer.eos_id
    return replace(shape, vocab_size=len(tokenizer.trimmed_from), eos_id=eos_id)


def _vocabulary(model: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Yield id and name of each token of a model."""
    if isinstance(model["vocab"], dict):
        yield from ((i, name) for name, i in model["vocab"].items())
    else:
        yield from enumerate(name for name, _ in model["vocab"])


def _spells(name: str, kind: str, model: dict[str, Any]) -> bool:
    """Tell whether a token is one of those that any text can be spelled with."""
    if name == model.get("unk_token") or (name.startswith("<0x") and name.endswith(">")):
        return True
    if kind == "WordPiece":
        name = name.removeprefix(model.get("continuing_subword_prefix") or "##")
    end = model.get("end_of_word_suffix")
    if kind == "BPE" and end and name != end:
        name = name.removesuffix(end)
    return len(name.removeprefix(_SPACE)) <= 1


def _with_parts(stay: set[int], names: dict[int, str], model: dict[str, Any]) -> set[int]:
    """Add the tokens that those which stay are merged of."""
    parts: dict[str, set[str]] = {}
    for first, second in map(_pair, model["merges"]):
        parts.setdefault(first + second, set()).update((first, second))
    waiting = [names[i] for i in stay]
    found = set(waiting)
    while waiting:
        for part in parts.get(waiting.pop(), ()):
            if part not in found:
                found.add(part)
                waiting.append(part)
    return stay | {model["vocab"][name] for name in found if name in model["vocab"]}


def _pair(merge: Any) -> tuple[str, str]:
    first, second = merge.split(" ") if isinstance(merge, str) else merge
    return first, second


def _renumber(model: dict[str, Any], kind: str, new: dict[int, int]) -> None:
    """Give a model's tokens their new ids, and leave out those that have none."""
    if kind == "Unigram":
        model["vocab"] = [one for old, one in enumerate(model["vocab"]) if old in new]
        if model.get("unk_id") is not None:
            model["unk_id"] = new[model["unk_id"]]
        return
    model["vocab"] = {name: new[old] for name, old in model["vocab"].items() if old in new}
    if kind == "BPE":
        known = model["vocab"]
        model["merges"] = [
            merge for merge in model["merges"]
            if all(name in known for name in (*_pair(merge), "".join(_pair(merge))))
        ]  # fmt: skip


def _renumber_frame(processor: Any, new: dict[int, int]) -> None:
    """Give what is put around a text its new ids."""
    if not isinstance(processor, dict):
        return
    for inner in processor.get("processors", ()):
        _renumber_frame(inner, new)
    for special in (processor.get("special_tokens") or {}).values():
        special["ids"] = [new[i] for i in special["ids"]]
    for name in ("sep", "cls"):
        if isinstance(processor.get(name), list):
            token, old = processor[name]
            processor[name] = [token, new[old]]
