"""Captions in, token ids out: a byte-level BPE learned from the captions themselves."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metadata.errors import InputError

__all__ = ["Tokenizer", "learn_tokenizer"]

PAD, START, END = "<|pad|>", "<|start|>", "<|end|>"


class Tokenizer:
    """A `tokenizers` model with fixed start, end and padding tokens.

    Args:
        model: of the `tokenizers` library; has the three special tokens.
        context_length: tokens of a text at most, start and end included.
    """

    def __init__(self, model: Any, context_length: int) -> None:
        ids = [model.token_to_id(token) for token in (PAD, START, END)]
        if None in ids:
            raise InputError(
                f"the tokenizer has no {PAD}, {START} and {END}; expected one that "
                "`curate train` learned"
            )
        self.pad_id, self.start_id, self.eos_id = ids
        self.context_length = context_length
        self._model = model
        # A caption may spell a special token: it is text there.
        self._model.encode_special_tokens = True

    @classmethod
    def from_json(cls, text: str, context_length: int) -> "Tokenizer":
        """Read a tokenizer as `to_json` wrote it.

        Raises:
            InputError: it is none.
        """
        import tokenizers

        try:
            model = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the library raises bare Exception
            raise InputError(f"not a tokenizer of the tokenizers library: {error}") from error
        return cls(model, context_length)

    def to_json(self) -> str:
        """Return the tokenizer as JSON."""
        text: str = self._model.to_str()
        return text

    @property
    def vocab_size(self) -> int:
        """Return the number of tokens."""
        size: int = self._model.get_vocab_size()
        return size

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokenise texts: start, text, exactly one end, padding.

        Args:
            texts: shape (B,).

        Returns:
            Shape (B, context_length); a longer text is cut before its end token.
        """
        encoded = self._model.encode_batch_fast(list(texts), add_special_tokens=False)
        ids = np.full((len(texts), self.context_length), self.pad_id, dtype=np.int64)
        for row, found in enumerate(encoded):
            inner = found.ids[: self.context_length - 2]
            ids[row, : len(inner) + 2] = [self.start_id, *inner, self.eos_id]
        return ids


def learn_tokenizer(captions: Iterable[str], vocab_size: int, context_length: int) -> Tokenizer:
    """Learn a byte-level BPE: any text of any script can be spelled with it.

    Args:
        captions: to learn from.
        vocab_size: tokens at most, special ones included; at least 259.
        context_length: tokens of a text at most.
    """
    from tokenizers import Tokenizer as Model
    from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

    model = Model(models.BPE())
    model.normalizer = normalizers.NFC()
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(captions, trainer)
    return Tokenizer(model, context_length)
