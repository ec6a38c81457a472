"""The models that MetaCLIP's authors published: names, files, sums, tokenizers, scores.

`models.tsv` has a row for each. The weights are licensed CC-BY-NC 4.0; none is in this package.

Source: the tables and the list of files of github.com/facebookresearch/MetaCLIP, 2025-11-27.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path

from curate.errors import InputError
from curate.training.model.config import ModelConfig, load_model_config

__all__ = ["BASE_URL", "HUB", "LICENCE", "OPEN_CLIP", "Published", "find_published", "is_name",
           "is_published", "nearest", "published_models"]  # fmt: skip

BASE_URL = "https://dl.fbaipublicfiles.com/MMPT/metaclip/"
LICENCE = "CC-BY-NC-4.0"
HUB, OPEN_CLIP = "hf:", "open_clip:"  # in front of names on the Hugging Face Hub, and of OpenCLIP
_WORLDWIDE = "worldwide"
# What the published code writes behind a name for the class that reads texts; the shape says it.
_CLASSES = ("worldwideclip", "mt5clip", "clip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A published model.

    Attributes:
        model: its name, as published.
        pretrained: of its weights, as published.
        aliases: other names of the weights.
        file: of the weights, below `BASE_URL`.
        sha256: of that file.
        tokenizer: on the Hugging Face Hub; clip: CLIP's English one.
        score: as published, in percent.
        measure: of the score, both zero-shot: ImageNet, or CVQA-LOCAL.
        note: what its user has to know.
    """

    model: str
    pretrained: str
    aliases: tuple[str, ...]
    file: str
    sha256: str
    tokenizer: str
    score: float
    measure: str
    note: str

    @property
    def name(self) -> str:
        """One name for both."""
        return f"{self.pretrained}/{self.model}"

    @property
    def config(self) -> ModelConfig:
        """Its shape."""
        return load_model_config(self.model)

    @property
    def languages(self) -> str:
        """What it was trained on: English, or all languages of the worldwide metadata."""
        return "worldwide" if _WORLDWIDE in self.model else "English"

    @property
    def url(self) -> str:
        """Where its weights are."""
        return BASE_URL + self.file


@cache
def published_models() -> tuple[Published, ...]:
    """Return all published models, in the order of their sizes.

    >>> len(published_models())
    25
    """
    text = files("curate.training.published").joinpath("models.tsv").read_text("utf-8")
    head, *rows = (line.split("\t") for line in text.splitlines())
    found = []
    for row in rows:
        values = dict(zip(head, row, strict=True))
        aliases = tuple(filter(None, values.pop("aliases").split(",")))
        found.append(Published(**values | {"score": float(values["score"]), "aliases": aliases}))  # type: ignore[arg-type]
    return tuple(found)


def is_published(name: str, pretrained: str | None = None) -> bool:
    """Tell whether a name, as `find_published` takes it, is that of a published model.

    >>> is_published("ViT-B-16-worldwide@WorldWideCLIP"), is_published("data/runs/clip")
    (True, False)
    """
    return bool(_matching(name, pretrained))


def is_name(source: str, pretrained: str | None = None) -> bool:
    """Tell whether a text is the name of a model, and no file, folder or URL.

    >>> is_name("ViT-B-16-worldwide"), is_name("s3://bucket/run"), is_name("hf:org/name")
    (True, False, False)
    """
    if pretrained is not None or source.startswith(OPEN_CLIP):
        return True
    return "://" not in source and not Path(source).exists() and is_published(source)


def find_published(name: str, pretrained: str | None = None) -> Published:
    """Return a published model by its name.

    Args:
        name: such as ``ViT-H-14-378-worldwide``, with or without its weights in front
            (``metaclip2_worldwide/…``) or behind (``…:metaclip_400m``), and with or without the
            published code's ``@WorldWideCLIP``; in capitals or not.
        pretrained: name of the weights; None where the name says it, or there is but one.

    Raises:
        InputError: there is none, or there are several.

    >>> find_published("vit-b-32-quickgelu", "metaclip_fullcc").file
    'b32_fullcc2.5b.pt'
    """
    found = _matching(name, pretrained)
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{name}: there are weights of it by several names: "
            f"{', '.join(one.pretrained for one in found)}. Say which: {found[0].name}, or "
            f'curate.load("{found[0].model}", pretrained="{found[0].pretrained}")'
        )
    asked = f"{pretrained}/{name}" if pretrained else name
    raise InputError(f"{asked}: there is no published model of this name{nearest(asked)}")


def nearest(name: str) -> str:
    """Return a sentence part that names the published models whose names are like one."""
    known = {spelling.lower(): one.name for one in published_models() for spelling in _names(one)}
    likely = get_close_matches(_plain(name), known, n=6, cutoff=0.6)
    names = list(dict.fromkeys(known[spelling] for spelling in likely))[:3]
    if not names:
        return "; `curate models` lists them"
    return f"; nearest: {', '.join(names)}. `curate models` lists all"


def _names(one: Published) -> Iterator[str]:
    yield one.model
    for tag in (one.pretrained, *one.aliases):
        yield f"{tag}/{one.model}"


def _plain(name: str) -> str:
    """Return a name in small letters, without the class, weights in front.

    >>> _plain("ViT-B-32-quickgelu:metaclip_400m"), _plain("ViT-S-16-mT5-worldwide@mT5CLIP#1")
    ('metaclip_400m/vit-b-32-quickgelu', 'vit-s-16-mt5-worldwide')
    """
    plain, _, about = name.lower().strip().partition("@")
    kind, _, rest = about.partition("#")
    tag = rest or about
    for behind in (":", "/"):
        model, mark, given = plain.rpartition(behind)
        if mark and given and model.startswith("vit-"):
            plain = f"{given}/{model}"
    if about and kind not in _CLASSES and tag:
        return name.lower()  # not a class of the published code: no name of ours
    return plain


def _matching(name: str, pretrained: str | None) -> list[Published]:
    tag, mark, model = _plain(name).rpartition("/")
    wanted = (pretrained or tag).lower() if pretrained or mark else None
    if pretrained and mark and tag != pretrained.lower():
        return []
    return [
        one for one in published_models()
        if one.model.lower() == model
        and (wanted is None or wanted in (one.pretrained, *one.aliases))
    ]  # fmt: skip
