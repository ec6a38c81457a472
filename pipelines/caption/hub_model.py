"""Captions from any image-text-to-text model of `transformers`, in batches.

The alt-text is part of the prompt. Batches are of prompts of like length, padded on the left, so
that all rows of a batch write their next word in the same place, with keys and values of what is
behind them cached.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import contextmanager
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from curate.errors import CurateError, InputError
from curate.pipelines.caption.ask import Answer, Ask, as_answer
from curate.pipelines.caption.prompts import Prompts
from curate.pipelines.caption.sampling import Decoding

__all__ = [
    "HubModel",
    "describe_hub_model",
    "pick_device",
    "pick_precision",
    "require_transformers",
]

_TOKENIZER_FILES = ("*.json", "*.txt", "*.model", "*.jinja")


def require_transformers(feature: str) -> None:
    """Check that transformers is there.

    Raises:
        CurateError: it is not.
    """
    if find_spec("transformers") is None:
        raise CurateError(
            f"{feature} needs the package transformers. Install it with: pip install transformers"
        )


def pick_device(device: str | None) -> str:
    """Return a device: as asked for, else a GPU if there is one."""
    import torch

    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def pick_precision(precision: str, device: str) -> Any:
    """Return the type of weights: bfloat16 on a GPU, float32 elsewhere, or as asked for."""
    import torch

    if precision == "auto":
        precision = "float32" if device == "cpu" else "bfloat16"
    return getattr(torch, precision)


class HubModel:
    """A model of the Hugging Face Hub or of a folder; none of its code is run.

    Args:
        name: on the Hub, or a folder.
        prompts: templates.
        decoding: how words are chosen.
        batch_size: images at once.
        precision: auto, bfloat16, float32 or float16.
        device: None for a GPU if there is one.
        commit: of the Hub's repository; None of a folder.

    Raises:
        InputError: there is no such model, or it is none that describes images.
    """

    def __init__(
        self, name: str, prompts: Prompts, decoding: Decoding, *, batch_size: int,
        precision: str = "auto", device: str | None = None, commit: str | None = None,
    ) -> None:  # fmt: skip
        require_transformers("Captions of a model of the Hub")
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self._name, self._prompts, self._decoding = name, prompts, decoding
        self._batch_size = batch_size
        self._device = pick_device(device)
        self._dtype = pick_precision(precision, self._device)
        try:
            self._processor: Any = AutoProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                name, revision=commit
            )
            model: Any = AutoModelForImageTextToText.from_pretrained(
                name, revision=commit, dtype=self._dtype
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise InputError(
                f"{name}: no model of transformers that describes images ({error}). Name one of "
                "its image-text-to-text models, or a folder with one."
            ) from error
        self._model = model.to(self._device).eval()
        self._pad()

    def _pad(self) -> None:
        """Pad on the left; a model without a token for it takes its end token, which is masked."""
        tokenizer = getattr(self._processor, "tokenizer", self._processor)
        tokenizer.padding_side = "left"
        if tokenizer.pad_token_id is None:
            end = tokenizer.eos_token or tokenizer.unk_token
            if end is None:
                raise InputError(
                    f"{self._name}: its tokenizer has neither a padding nor an end token, so that "
                    "captions would not end; set eos_token in its tokenizer_config.json"
                )
            tokenizer.pad_token = end
        self._tokenizer = tokenizer

    def answers(self, asks: Sequence[Ask]) -> list[Answer]:
        """Return an answer for each, in order.

        Raises:
            CurateError: memory ran out.
        """
        words = [self._words(ask) for ask in asks]
        order = sorted(range(len(asks)), key=lambda i: (len(words[i]), i))
        found: dict[int, Answer] = {}
        for at in range(0, len(order), self._batch_size):
            batch = order[at : at + self._batch_size]
            with _told_of_memory(self._batch_size):
                said = self._batch([asks[i] for i in batch], [words[i] for i in batch])
            found.update(zip(batch, said, strict=True))
        return [found[i] for i in range(len(asks))]

    def _words(self, ask: Ask) -> str:
        """Return the prompt of an image as the model has it, with its own template of chats."""
        words = self._prompts.words(ask.alt, ask.lang)
        if getattr(self._processor, "chat_template", None) is None:
            return words
        content = [{"type": "image"}, {"type": "text", "text": words}]
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if self._prompts.system:
            system = [{"type": "text", "text": self._prompts.system}]
            messages.insert(0, {"role": "system", "content": system})
        prompt: str = self._processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False
        )
        return prompt

    def _batch(self, asks: Sequence[Ask], words: Sequence[str]) -> list[Answer]:
        import torch
        from transformers import LogitsProcessorList

        images = [[ask.image] for ask in asks]
        inputs = self._processor(
            images=images, text=list(words), padding=True, return_tensors="pt"
        ).to(self._device, dtype=self._dtype)
        chosen = self._decoding.processors([ask.pair_id for ask in asks])
        with torch.inference_mode():
            tokens = self._model.generate(
                **inputs, max_new_tokens=self._decoding.max_tokens, do_sample=False, num_beams=1,
                temperature=None, top_p=None, top_k=None, use_cache=True,
                pad_token_id=self._tokenizer.pad_token_id,
                logits_processor=LogitsProcessorList(chosen),
            )  # fmt: skip
        if not self._model.config.is_encoder_decoder:
            tokens = tokens[:, inputs["input_ids"].shape[1] :]
        asked = inputs["attention_mask"].sum(1).tolist()
        return [self._said(row, num) for row, num in zip(tokens.cpu().tolist(), asked, strict=True)]

    def _said(self, tokens: Sequence[int], num_asked: int) -> Answer:
        """Return what the tokens of an answer say."""
        ends = _end_ids(self._model, self._tokenizer)
        end = next((i for i, token in enumerate(tokens) if token in ends), None)
        counts = Counter(prompt_tokens=num_asked, completion_tokens=len(tokens[:end]))
        counts["cut_off"] += end is None
        text = self._tokenizer.decode(tokens[:end], skip_special_tokens=True)
        return as_answer(text, counts)


def describe_hub_model(
    name: str, *, batch_size: int, precision: str, device: str | None
) -> dict[str, Any]:
    """Return what decides the captions of a model, without loading it.

    Raises:
        InputError: there is no such model.
    """
    require_transformers("Captions of a model of the Hub")
    from transformers import AutoConfig

    try:
        commit = getattr(AutoConfig.from_pretrained(name), "_commit_hash", None)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{name}: no model of transformers ({error}). Name one of its image-text-to-text "
            "models, or a folder with one."
        ) from error
    dtype = pick_precision(precision, pick_device(device))
    return {
        "kind": "transformers", "model": name if commit else Path(name).name,
        "weights": commit or _folder_digest(name), "commit": commit,
        "precision": str(dtype).removeprefix("torch."), "batch_size": batch_size,
    }  # fmt: skip


def _end_ids(model: Any, tokenizer: Any) -> set[int]:
    ends = model.generation_config.eos_token_id
    listed = ends if isinstance(ends, list) else [ends]
    return {one for one in [*listed, tokenizer.eos_token_id] if one is not None}


def _folder_digest(folder: str) -> str:
    """Return a hash of a model's folder: its small files, and names and sizes of the weights."""
    found = sha256()
    for path in sorted(Path(folder).glob("*")):
        if path.is_file():
            found.update(f"{path.name}\t{path.stat().st_size}\n".encode())
            if any(path.match(pattern) for pattern in _TOKENIZER_FILES):
                found.update(path.read_bytes())
    return found.hexdigest()


@contextmanager
def _told_of_memory(batch_size: int) -> Any:
    import torch

    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise CurateError(
            f"the GPU's memory is too small for {batch_size} images at once. Run the same command "
            "again with a smaller --batch-size; other captions, then, since it decides rounding: "
            "begin anew with --overwrite."
        ) from error
