"""Captions in, token ids out, by any tokenizer of the `tokenizers` library.

The default is a byte-level BPE learned from the captions themselves, which travels with the
checkpoint. `curate.training.text.tokenizer_files` opens others.
"""

import json
import re
import string
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.errors import InputError
from curate.training.text.cleaning import cleaning_of

__all__ = ["LEARNED_EOS_ID", "Tokenizer", "learn_tokenizer"]

PAD, START, END = _SPECIAL = ("<|pad|>", "<|start|>", "<|end|>")
LEARNED_EOS_ID = _SPECIAL.index(END)
# Where a file does not say what comes around a text: the names that published tokenizers use.
_KNOWN_FRAMES = (
    (START, END),
    ("<|startoftext|>", "<|endoftext|>"),
    ("<s>", "</s>"),
    ("[CLS]", "[SEP]"),
)
_SENTINEL = "<extra_id_"

# Some of what no vocabulary holds: a tokenizer may lack the token that stands for it.
_PROBES = ("a", "\u4e00\U0001f415 \u0e01")


_CLEANING, _IDS = "cleaning", "trimmed_from"  # our keys in the JSON of the library


def _replace(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


_SIGLIP_STEPS = (
    _replace(f"[{re.escape(string.punctuation)}]", ""),
    _replace(r"\s+|\u2581", " "),
    {"type": "Strip", "strip_left": True, "strip_right": True},
)


def _ours(text: str) -> tuple[str | None, list[int] | None, str]:
    """Return what JSON of ours says beyond the library's, and what that reads of it."""
    if not any(f'"{key}"' in text[:64] for key in (_CLEANING, _IDS)):
        return None, None, text
    values = json.loads(text)
    cleaning, ids = values.pop(_CLEANING, None), values.pop(_IDS, None)
    is_map = isinstance(ids, list) and all(type(i) is int and i >= 0 for i in ids)
    rest = json.dumps(values, ensure_ascii=False)
    return cleaning if isinstance(cleaning, str) else None, ids if is_map else None, rest


class Tokenizer:
    """A `tokenizers` model, with what comes before and after each text.

    Args:
        model: of the `tokenizers` library. Start and end are what it puts around a text itself,
            else tokens known by name.
        context_length: tokens of a text at most, start and end included.
        cleaning: what is done to a text before, by its name in `cleaning.CLEANINGS`.
        trimmed_from: of each of its tokens, the id in the larger tokenizer that it is a part of;
            None if it is none.

    Attributes:
        cleaning: as given.
        trimmed_from: as given.
        start_ids: put before each text; may be empty.
        eos_id: the end token, put after each text; text itself never gives it.
        pad_id: fills rows up; 0, or 1 where 0 is the end token. No embedding depends on it.

    Raises:
        InputError: there is no end token, or no room between start and end.
        MissingExtraError: ftfy is not installed, and texts are cleaned with it.
    """

    def __init__(
        self, model: Any, context_length: int, cleaning: str | None = None,
        trimmed_from: list[int] | None = None,
    ) -> None:  # fmt: skip
        self.cleaning, self._clean = cleaning, cleaning_of(cleaning)
        self.trimmed_from = trimmed_from
        model.no_truncation()
        model.no_padding()
        # A caption may spell a special token: it is text there.
        model.encode_special_tokens = True
        self.start_ids, self.eos_id = _frame(model)
        self.pad_id = 0 if self.eos_id != 0 else 1
        self.context_length = context_length
        if context_length < len(self.start_ids) + 2:
            raise InputError(
                f"context_length is {context_length}; expected at least "
                f"{len(self.start_ids) + 2}: start, one token, end"
            )
        self._model = model
        vocab = model.get_vocab(with_added_tokens=True)
        self._sentinel_ids = frozenset(i for token, i in vocab.items() if _SENTINEL in token)
        self._size: int = 1 + max(vocab.values())
        # A vocabulary of pieces may hold "</s>" as a piece, which text could spell.
        self._reserved = {*self.start_ids, self.eos_id, *self._sentinel_ids}

    @classmethod
    def from_json(cls, text: str, context_length: int) -> "Tokenizer":
        """Read a tokenizer from JSON, as `to_json` or the `tokenizers` library writes it.

        Raises:
            InputError: it is none, or it has no end token.
        """
        import tokenizers

        try:
            cleaning, ids, text = _ours(text)
            model = tokenizers.Tokenizer.from_str(text)
            for probe in _PROBES:
                model.encode(probe, add_special_tokens=False)
        except Exception as error:  # the library raises bare Exception
            raise InputError(f"not a tokenizer of the tokenizers library: {error}") from error
        return cls(model, context_length, cleaning, ids)

    def to_json(self) -> str:
        """Return the tokenizer as JSON."""
        text: str = self._model.to_str()
        said = {_CLEANING: self.cleaning, _IDS: self.trimmed_from}
        own = {key: value for key, value in said.items() if value is not None}
        return json.dumps({**own, **json.loads(text)}, ensure_ascii=False) if own else text

    def to_foreign_json(self) -> str:
        """Return it as JSON for programs that take no ids out of texts, as `encode` does.

        A vocabulary of pieces may hold "</s>" as one, which a text could spell: a space stands
        for it there. A space, so that what was around it is not joined to another. SigLIP's
        cleaning becomes steps of the library's; CLIP's cannot: OpenCLIP does it by itself.
        """
        tokens = (self.token(i) for i in sorted(self._reserved))
        spelled = [token for token in tokens if self._is_spelled(token)]
        first = list(_SIGLIP_STEPS) if (self.cleaning or "").startswith("siglip") else []
        if self.cleaning == "siglip-lower":
            first.insert(0, {"type": "Lowercase"})
        if not spelled and not first:
            return str(self._model.to_str())
        values = json.loads(self._model.to_str())
        last = [_replace("|".join(re.escape(token) for token in spelled), " ")] if spelled else []
        before = [values["normalizer"]] if values.get("normalizer") else []
        values["normalizer"] = {"type": "Sequence", "normalizers": [*first, *before, *last]}
        return json.dumps(values, ensure_ascii=False)

    def _is_spelled(self, token: str) -> bool:
        found = self._model.encode(f"a {token} a", add_special_tokens=False)
        return not self._reserved.isdisjoint(found.ids)

    def __eq__(self, other: object) -> bool:
        """Tell whether two tokenizers give the same ids; the context may differ."""
        return isinstance(other, Tokenizer) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    @property
    def start_id(self) -> int | None:
        """Return the start token; None if texts begin without one."""
        return self.start_ids[0] if self.start_ids else None

    @property
    def vocab_size(self) -> int:
        """Return the number of embeddings needed: one more than the largest id."""
        return self._size

    @property
    def largest_text_id(self) -> int:
        """Return the largest id that `encode` can give: T5's sentinels do not count."""
        rest = (i for i in range(self._size - 1, -1, -1) if i not in self._sentinel_ids)
        return max(next(rest, 0), self.eos_id)

    def token(self, token_id: int) -> str:
        """Return how a token is written."""
        text: str = self._model.id_to_token(token_id)
        return text

    def has_token(self, token: str) -> bool:
        """Tell whether a token is in the vocabulary."""
        return self._model.token_to_id(token) is not None

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokenise texts: start, text, exactly one end, padding.

        Args:
            texts: shape (B,).

        Returns:
            Shape (B, context_length); a longer text is cut before its end token.
        """
        cleaned = list(texts) if self._clean is None else [self._clean(text) for text in texts]
        encoded = self._model.encode_batch_fast(cleaned, add_special_tokens=False)
        ids = np.full((len(texts), self.context_length), self.pad_id, dtype=np.int64)
        room = self.context_length - len(self.start_ids) - 1
        for row, found in enumerate(encoded):
            inner = found.ids
            if not self._reserved.isdisjoint(inner):
                inner = [i for i in inner if i not in self._reserved]
            whole = [*self.start_ids, *inner[:room], self.eos_id]
            ids[row, : len(whole)] = whole
        return ids


def _frame(model: Any) -> tuple[tuple[int, ...], int]:
    """Return what the model puts before a text, and the end token it puts after it."""
    probe = model.encode("a", add_special_tokens=True)
    is_text = [not special for special in probe.special_tokens_mask]
    if any(is_text):
        first, last = is_text.index(True), len(is_text) - is_text[::-1].index(True)
        before, after = tuple(probe.ids[:first]), probe.ids[last:]
        if len(after) == 1:
            return before, int(after[0])
        if len(after) > 1:
            raise InputError(
                f"the tokenizer puts {len(after)} tokens after a text; expected one, which ends it"
            )
    for start, end in _KNOWN_FRAMES:
        if (end_id := model.token_to_id(end)) is not None:
            start_id = model.token_to_id(start)
            return () if start_id is None else (start_id,), end_id
    raise InputError(
        "the tokenizer ends texts with nothing, and has none of the tokens "
        f"{', '.join(end for _, end in _KNOWN_FRAMES)}; expected one with an end token, where the "
        "model reads a text's embedding"
    )


def learn_tokenizer(captions: Iterable[str], vocab_size: int, context_length: int) -> Tokenizer:
    """Learn a byte-level BPE: any text of any script can be spelled with it.

    Args:
        captions: to learn from.
        vocab_size: tokens at most, special ones included; at least 259.
        context_length: tokens of a text at most.
    """
    from tokenizers import Tokenizer as Model
    from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

    model = Model(models.BPE())
    model.normalizer = normalizers.NFC()
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(captions, trainer)
    ids = [(token, model.token_to_id(token)) for token in (START, END)]
    model.post_processor = processors.TemplateProcessing(f"{START} $A {END}", None, ids)
    return Tokenizer(model, context_length)
