"""`curate models`: the published models, and with `fetch` their files in the cache."""

from collections.abc import Sequence
from typing import Any

from curate.errors import InputError
from curate.training import require_packages
from curate.training.model.config import num_parameters
from curate.training.published import registry
from curate.training.published.cache import cache_folder
from curate.training.published.registry import LICENCE, Published

__all__ = ["list_models"]


def list_models(names: Sequence[str] = (), *, fetch: bool = False) -> dict[str, Any]:
    """List published models.

    Args:
        names: of models, as `find_published` takes them, or parts of names; all if there is none.
        fetch: fetch the weights and tokenizers of those that are named.

    Returns:
        The models, each with its name, parameters, resolution, languages, score, licence, file,
        sha256, tokenizer, and whether it is in the cache; and the folder of the cache.

    Raises:
        InputError: there is none of a name; all are to be fetched at once; or one cannot be.
    """
    if fetch and not names:
        raise InputError("--fetch: name the models to fetch; all are some 70 GB")
    found = _chosen(names)
    if fetch:
        _fetch(found)
    return {"models": [_described(one) for one in found], "cache": str(cache_folder())}


def _chosen(names: Sequence[str]) -> list[Published]:
    chosen: dict[str, Published] = {}
    for name in names:
        part = name.lower()
        like = [one for one in registry.published_models() if part in one.name.lower()]
        if registry.is_published(name) and not like:
            like = [registry.find_published(name)]
        if not like:
            registry.find_published(name)  # says what is near
        chosen |= {one.name: one for one in like}
    return list(chosen.values()) if names else list(registry.published_models())


def _fetch(found: Sequence[Published]) -> None:
    require_packages("Fetching models")
    from curate.training.published.resolve import resolve_published
    from curate.training.text.tokenizer_files import open_tokenizer

    for one in found:
        there = resolve_published(one)
        open_tokenizer(there.tokenizer, there.config.context_length)


def _described(one: Published) -> dict[str, Any]:
    config = one.config
    return {
        "name": one.name,
        "parameters": num_parameters(config),
        "image_size": config.image_size,
        "vocab_size": config.vocab_size,
        "languages": one.languages,
        "score": one.score,
        "measure": one.measure,
        "licence": LICENCE,
        "url": one.url,
        "sha256": one.sha256,
        "tokenizer": one.tokenizer,
        "cached": (cache_folder() / one.file).is_file(),
        "note": one.note or None,
    }
