"""Prompts and targets in, rows of tokens out, with -1 where there is none.

    row    [-1 -1 … prompt | caption … end -1 -1]

Prompts end and captions begin in the same column of all rows, so that the loss is that of a block
of columns.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.errors import InputError
from curate.training.captioner.config import CaptionerConfig
from curate.training.captioner.texts import parted

__all__ = ["NONE", "SequenceEncoder", "trimmed"]

NONE = -1


class SequenceEncoder:
    """Makes tokens of texts; may be used from several threads.

    Args:
        tokenizer: of transformers. It needs no padding token.
        config: how many tokens.

    Raises:
        InputError: it has no end token, so that captions would not end.
    """

    def __init__(self, tokenizer: Any, config: CaptionerConfig) -> None:
        if tokenizer.eos_token_id is None:
            raise InputError(
                "the language model's tokenizer has no end token, so that captions would not end; "
                "set eos_token in its tokenizer_config.json"
            )
        self.eos_id: int = tokenizer.eos_token_id
        self.context_length = config.text_tokens
        self._tokenizer, self._config = tokenizer, config
        self._backend = tokenizer.backend_tokenizer if tokenizer.is_fast else None
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the rows of prompts and targets.

        Args:
            texts: as `joined` makes them.

        Returns:
            int64, (B, text_tokens). A caption that is cut off has no end token.
        """
        pairs = [parted(text) for text in texts]
        tokens = self.tokens([text for pair in pairs for text in pair])
        at, room = self._config.prompt_tokens, self._config.caption_tokens
        rows = np.full((len(pairs), self._config.text_tokens), NONE, np.int64)
        for row, prompt, target in zip(rows, tokens[::2], tokens[1::2], strict=True):
            kept = prompt[:at]
            row[at - len(kept) : at] = kept
            said = [*target, self.eos_id][:room]
            row[at : at + len(said)] = said
        return rows

    def prompts(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the rows of prompts alone; int64, (B, longest prompt)."""
        room = self._config.prompt_tokens
        tokens = [one[:room] for one in self.tokens(texts)]
        rows = np.full((len(tokens), max(map(len, tokens), default=0)), NONE, np.int64)
        for row, prompt in zip(rows, tokens, strict=True):
            row[len(row) - len(prompt) :] = prompt
        return rows

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of texts, without special ones around them."""
        if self._backend is not None:
            # The tokenizer's own call sets padding and truncation, which threads do not share.
            found = self._backend.encode_batch(list(texts), add_special_tokens=False)
            return [one.ids for one in found]
        with self._lock:
            ids: list[list[int]] = self._tokenizer(list(texts), add_special_tokens=False)[
                "input_ids"
            ]
            return ids


def trimmed(
    token_BT: NDArray[np.int64], prompt_tokens: int, bucket: int
) -> tuple[NDArray[np.int64], int]:
    """Cut columns off that no row needs, but for multiples of a bucket.

    Args:
        token_BT: rows of `encode`.
        prompt_tokens: columns of prompts.
        bucket: prompts and captions are cut to a multiple of it.

    Returns:
        The rows, and how many columns of prompts they have.
    """
    used = (token_BT != NONE).any(0)
    of_prompt = int(used[:prompt_tokens][::-1].nonzero()[0].max(initial=-1)) + 1
    of_caption = int(used[prompt_tokens:].nonzero()[0].max(initial=-1)) + 1
    before = min(prompt_tokens, -(-of_prompt // bucket) * bucket)
    after = min(token_BT.shape[1] - prompt_tokens, -(-max(of_caption, 1) // bucket) * bucket)
    return token_BT[:, prompt_tokens - before : prompt_tokens + after], before
