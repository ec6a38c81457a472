"""The language that the country in a web address stands for: URLs in, languages out.

Only countries are listed where one language is written nearly everywhere, and whose names are not
used as something else (.tv, .io, .me, .co, .ai are).
"""

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["languages_of_addresses"]

_LANGUAGE_OF = {
    "al": "sq", "am": "hy", "ar": "es", "at": "de", "az": "az", "bd": "bn", "bg": "bg", "br": "pt",
    "by": "ru", "cl": "es", "cn": "zh", "cr": "es", "cz": "cs", "de": "de", "dk": "da", "ec": "es",
    "ee": "et", "eg": "ar", "es": "es", "fi": "fi", "fo": "fo", "fr": "fr", "ge": "ka", "gl": "kl",
    "gr": "el", "gt": "es", "hk": "zh", "hr": "hr", "hu": "hu", "id": "id", "il": "he", "ir": "fa",
    "is": "is", "it": "it", "jp": "ja", "kr": "ko", "lt": "lt", "lv": "lv", "mk": "mk", "mn": "mn",
    "mx": "es", "my": "ms", "nl": "nl", "no": "no", "pe": "es", "pl": "pl", "pt": "pt", "py": "es",
    "ro": "ro", "rs": "sr", "ru": "ru", "sa": "ar", "se": "sv", "si": "sl", "sk": "sk", "sv": "es",
    "th": "th", "tr": "tr", "tw": "zh", "ua": "uk", "uy": "es", "uz": "uz", "ve": "es", "vn": "vi",
}  # fmt: skip

_COUNTRY = (
    r"^[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/?#@]*@)?[^/?#:@]*\.(?P<country>[a-zA-Z]{2})(?:[:/?#]|$)"
)


def languages_of_addresses(urls: pa.StringArray) -> pa.StringArray:
    """Return the metadata language that each URL's country stands for, null for none.

    Args:
        urls: shape (num_urls,); with nulls.

    >>> languages_of_addresses(pa.array(["https://a.de/x", "http://b.tv/", None])).to_pylist()
    ['de', None, None]
    """
    found = pc.struct_field(pc.extract_regex(urls, _COUNTRY), "country")
    countries = pc.utf8_lower(found)
    at = pc.index_in(countries, value_set=pa.array(list(_LANGUAGE_OF), pa.string()))
    return pa.array(list(_LANGUAGE_OF.values()), pa.string()).take(at)
