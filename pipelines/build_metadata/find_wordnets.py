"""Which languages have a WordNet, as far as can be told before anything is fetched."""

from collections.abc import Sequence
from dataclasses import dataclass

from curate.metadata.languages import metadata_languages, omw_codes
from curate.metadata.wordnets.omw import nltk_folder, nltk_omw_folder
from curate.metadata.wordnets.wordnet import wordnet_files, wordnet_languages

__all__ = ["WordNets", "find_wordnets"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WordNets:
    """The WordNets of a run.

    Attributes:
        langs: metadata languages that have one.
        place: where they are, for people.
        is_here: whether they can be read without downloading them.
    """

    langs: frozenset[str] = frozenset()
    place: str = ""
    is_here: bool = True

    def lack(self, lang: str) -> str | None:
        """Say why a language has no WordNet; None if it has one."""
        if lang in self.langs:
            return None
        codes = omw_codes(lang)
        if not codes:
            return f"Open Multilingual WordNet does not have {lang}"
        files = " or ".join(f"wn-data-{code}.tab" for code in codes)
        return f"no WordNet in {self.place} (there is no {files})"

    def described(self) -> str:
        """Say where the WordNet of a language that has one comes from."""
        return f"WordNet of {self.place}" + ("" if self.is_here else ", to be downloaded")


def find_wordnets(
    langs: Sequence[str] | None, wordnet_dir: str | None, *, fetch: bool, dry_run: bool
) -> WordNets:
    """Find the WordNets of some languages, or of all.

    nltk's data are downloaded here if they are at all, and not by every worker for itself.

    Args:
        langs: metadata languages; None for all that have a WordNet at hand.
        wordnet_dir: folder of WordNet files; None for nltk's data.
        fetch: whether nltk may download what is missing.
        dry_run: download nothing, and take what nltk would download for there.

    Raises:
        InputError: there is no such folder, English is among the languages and its WordNet is not
            there, or nltk's data could not be had.
    """
    place = "nltk's data" if wordnet_dir is None else wordnet_dir
    if dry_run and fetch and wordnet_dir is None:
        if not (nltk_folder("wordnet", fetch=False) and nltk_omw_folder(fetch=False)):
            every = [lang for lang in metadata_languages() if lang == "en" or omw_codes(lang)]
            wanted = frozenset(every if langs is None else set(langs) & set(every))
            return WordNets(langs=wanted, place=place, is_here=False)
    if langs is None:
        return WordNets(langs=wordnet_languages(wordnet_dir, fetch=fetch), place=place)
    found = [lang for lang in langs if wordnet_files(lang, wordnet_dir, fetch=fetch)]
    return WordNets(langs=frozenset(found), place=place)
