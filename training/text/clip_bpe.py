"""The English tokenizer of CLIP, made from its published list of merges.

In: `bpe_simple_vocab_16e6.txt` or `.txt.gz`, which is not part of this package. Out: a model of the
`tokenizers` library that gives the same ids.
"""

import gzip
import zlib
from typing import Any

from curate.errors import InputError

__all__ = ["CLIP_END", "CLIP_START", "build_clip_bpe", "byte_alphabet"]

CLIP_START, CLIP_END = "<|startoftext|>", "<|endoftext|>"
_WORD_END = "</w>"
# The published code reads this many merges of the file and no more: 49,408 tokens less 512 for
# bytes, at a word's end and elsewhere, and the two special ones.
_MAX_MERGES = 49_408 - 512 - 2
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


def byte_alphabet() -> list[str]:
    """Return the characters that stand for bytes, in the order of their token ids.

    Printable bytes of Latin-1 stand for themselves and come first; the 68 others are U+0100 and
    on. The byte that is a space becomes Ġ.

    Source: Radford et al. 2019, GPT-2, section 2.2, as its vocabulary has them.

    >>> alphabet = byte_alphabet()
    >>> len(alphabet), alphabet[0], alphabet[188]
    (256, '!', 'Ā')
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(c) for c in printable] + [chr(0x100 + i) for i in range(256 - len(printable))]


def build_clip_bpe(content: bytes, name: str) -> Any:
    """Build the tokenizer: white space made one space, lower case, words, bytes, merges.

    Ids: the 256 bytes, the same at a word's end, one per merge, start, end. The published tokenizer
    mends a text before (`cleaning.clean_clip`), which `Tokenizer` does.

    Args:
        content: of the merges file, gzip or plain.
        name: of the file, for messages.

    Returns:
        A model of the `tokenizers` library.

    Raises:
        InputError: the file is no list of merges.

    Source: Radford et al. 2021, arXiv:2103.00020, section 2.4 (lower-cased byte pair encoding).
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from tokenizers.processors import TemplateProcessing

    merges = _read_merges(content, name)
    alphabet = byte_alphabet()
    tokens = alphabet + [c + _WORD_END for c in alphabet] + ["".join(pair) for pair in merges]
    tokens += [CLIP_START, CLIP_END]
    vocab = {token: number for number, token in enumerate(tokens)}
    if len(vocab) != len(tokens):
        raise InputError(f"{name}: two merges give the same token; expected CLIP's merges file")
    try:
        model = Tokenizer(models.BPE(vocab, merges, end_of_word_suffix=_WORD_END))
    except Exception as error:  # the library raises bare Exception
        raise InputError(f"{name}: merges that cannot be applied: {error}") from error
    model.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True)
    bytes_of_words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    model.pre_tokenizer = pre_tokenizers.Sequence([words, bytes_of_words])
    model.decoder = decoders.ByteLevel()
    model.add_special_tokens([CLIP_START, CLIP_END])
    ends = [(token, vocab[token]) for token in (CLIP_START, CLIP_END)]
    model.post_processor = TemplateProcessing(f"{CLIP_START} $A {CLIP_END}", None, ends)
    return model


def _read_merges(content: bytes, name: str) -> list[tuple[str, str]]:
    """Read the merges that count; the first line is a header."""
    try:
        plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        lines = plain.decode("utf-8").rstrip("\n").split("\n")[1 : _MAX_MERGES + 1]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{name}: not readable as a list of merges: {error}") from error
    merges = []
    for number, line in enumerate(lines, start=2):
        left, space, right = line.partition(" ")
        if not (left and space and right) or " " in right:
            raise InputError(
                f"{name}: line {number} is {line[:40]!r}; expected two tokens with a space between "
                "them, as in bpe_simple_vocab_16e6.txt"
            )
        merges.append((left, right))
    if not merges:
        raise InputError(f"{name}: there are no merges in it; expected bpe_simple_vocab_16e6.txt")
    return merges
