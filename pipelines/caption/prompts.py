"""Templates of prompts, and the words that a model gets for a pair.

A file of templates is TOML with up to three texts, in which `{alt}` is the alt-text and
`{language}` the language's English name:

    with_alt = "The page calls this image: {alt}. Describe it in {language}, and keep the names."
    without_alt = "Describe this image in {language}."
    system = "You describe images in one sentence."
"""

import tomllib
from dataclasses import asdict, dataclass

from curate.errors import InputError
from curate.files import storage
from curate.metadata.languages import OTHER, english_name

__all__ = ["Prompts", "language_name", "read_prompts"]

_ALT_CHARACTERS = 1000  # of an alt-text, at most: what is longer is no description
_WITH_ALT = (
    "A web page describes this image as: {alt}\n"
    "Write one caption of the image in {language}. Keep the names and facts of that text that the "
    "image does not contradict, correct what it does, and add what is seen. Answer with the "
    "caption alone."
)
_WITHOUT_ALT = "Write one caption of the image in {language}. Answer with the caption alone."


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """Templates.

    Attributes:
        with_alt: for a pair with an alt-text.
        without_alt: for one without.
        system: before it, for models that know such a thing; "" for none.
    """

    with_alt: str = _WITH_ALT
    without_alt: str = _WITHOUT_ALT
    system: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the templates, for the stamp."""
        return asdict(self)

    def words(self, alt: str, lang: str | None) -> str:
        """Return the prompt for a pair.

        Args:
            alt: its alt-text; "" without one.
            lang: of the caption; None where it is not known.

        >>> Prompts(with_alt="{alt}, {language}").words("a {language} course", "de")
        'a {language} course, German'
        """
        template = self.with_alt if alt else self.without_alt
        unknown = "the language of that text" if alt else "English"
        language = language_name(lang) or unknown
        # What is in an alt-text is no template.
        before, *after = template.replace("{language}", language).split("{alt}")
        return alt[:_ALT_CHARACTERS].join([before, *after])


def language_name(lang: str | None) -> str | None:
    """Return a language's name in English; None of one that is not known."""
    name = english_name(lang) if lang and lang != OTHER else None
    return None if name == lang else name


def read_prompts(path: str | None) -> Prompts:
    """Return the templates of a file; the usual ones without one.

    Raises:
        InputError: it cannot be read, or has something else in it.
    """
    if path is None:
        return Prompts()
    try:
        with storage.open_read(path) as file:
            values = tomllib.loads(file.read().decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: no TOML file of prompts ({error})") from error
    known = set(Prompts.__dataclass_fields__)
    wrong = [name for name, value in values.items() if name not in known or type(value) is not str]
    if wrong:
        raise InputError(
            f"{path}: has {', '.join(map(repr, sorted(wrong)))}; expected texts called "
            f"{', '.join(sorted(known))}"
        )
    prompts = Prompts(**values)
    if "{alt}" not in prompts.with_alt:
        raise InputError(f"{path}: with_alt has no {{alt}} in it, where the alt-text goes")
    return prompts
