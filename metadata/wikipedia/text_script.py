"""The script that a Wikipedia is written in, found from its text: for wikis that no table has."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import regex

from curate.metadata.wikipedia.article_table import read_articles, split_articles
from curate.metadata.wikipedia.dump import MAIN_NAMESPACE, read_part, split_dump
from curate.metadata.wikipedia.wikitext import strip_wikitext

__all__ = ["dump_script", "text_script"]

# ISO 15924, of scripts that are in use today.
_SCRIPTS = (
    "Adlm Arab Armn Bali Beng Bugi Cakm Cans Cham Cher Cyrl Deva Ethi Geor Goth Grek Gujr Guru "
    "Hang Hani Hebr Hira Java Kana Khmr Knda Lana Laoo Latn Limb Lisu Mlym Mong Mtei Mymr Nkoo "
    "Olck Orya Rohg Sinh Sund Syrc Tale Talu Taml Tavt Telu Tfng Thaa Thai Tibt Vaii Yiii"
).split()
_PATTERNS = {script: regex.compile(rf"\p{{Script={script}}}") for script in _SCRIPTS}
_ARTICLES = 200
# Japanese has more kana than this among its letters, and no other language has any.
_KANA_SHARE = 0.1


def text_script(texts: Iterable[str]) -> str | None:
    """Return the script of most letters, as ISO 15924 names it; None if there are no letters.

    >>> [text_script([text]) for text in ("toki pona", "日本の犬", "12")]
    ['Latn', 'Jpan', None]
    """
    chars: Counter[str] = Counter()
    for text in texts:
        chars.update(text)
    num: Counter[str] = Counter()
    for char, count in chars.items():
        if char.isalpha():
            num.update({name: count for name in _SCRIPTS if _PATTERNS[name].match(char)})
    if not num:
        return None
    if num["Hira"] + num["Kana"] > _KANA_SHARE * sum(num.values()):
        return "Jpan"
    most = min(num, key=lambda name: (-num[name], name))
    return "Kore" if most == "Hang" else most


def dump_script(dumps: Sequence[str]) -> str | None:
    """Return the script of the first articles of dumps; None if they hold none.

    Args:
        dumps: XML, plain or compressed, and Parquet files of title and plain text.

    Raises:
        InputError: a dump is missing or corrupt.
    """
    return text_script(islice(_texts(dumps), _ARTICLES))


def _texts(dumps: Sequence[str]) -> Iterator[str]:
    for path in dumps:
        if path.endswith(".parquet"):
            for table in split_articles(path, 1 << 62):
                yield from (text for _, text in read_articles(table, Counter()))
            continue
        for part in split_dump(path):
            for page in read_part(part, namespace=MAIN_NAMESPACE):
                if page.namespace == MAIN_NAMESPACE and page.redirect is None:
                    yield strip_wikitext(page.text, page.media_prefixes)
