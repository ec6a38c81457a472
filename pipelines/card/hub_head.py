"""A card in, the head out that the Hugging Face Hub reads of a dataset card.

Source of the head's fields: https://huggingface.co/docs/hub/datasets-cards.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["yaml_head"]

# Codes of Wikipedias that are no ISO 639 codes, or those of another language.
_ISO_639 = {
    "als": "gsw", "bat_smg": "sgs", "be_tarask": "be", "bh": "bho", "cbk_zam": "cbk",
    "eml": "egl", "fiu_vro": "vro", "map_bms": "jv", "nah": "nah", "nds_nl": "nds",
    "no": "nb", "roa_rup": "rup", "sh": "hbs", "simple": "en", "zh_classical": "lzh",
    "zh_min_nan": "nan", "zh_yue": "yue",
}  # fmt: skip
_SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")


def size_category(num: int) -> str:
    """Return the Hub's name for a number of rows.

    >>> size_category(13_282), size_category(3)
    ('10K<n<100K', 'n<1K')
    """
    for at, name in enumerate(_SIZES):
        if num < 10 ** (at + 3):
            return f"{_SIZES[at - 1]}<n<{name}" if at else f"n<{name}"
    return "n>1T"


def iso_codes(langs: Sequence[str]) -> list[str]:
    """Return the ISO 639 codes of metadata languages, without those that have none.

    >>> iso_codes(["zh_yue", "en", "simple", "other"])
    ['en', 'yue']
    """
    codes = (_ISO_639.get(lang, lang) for lang in langs)
    return sorted({code for code in codes if re.fullmatch("[a-z]{2,3}", code)})


def yaml_head(card: Mapping[str, Any]) -> str:
    """Write the head of a dataset card, between its lines of dashes.

    Strings are JSON's, which are YAML's too.
    """
    kept = [lang for lang, c in card["languages"].items() if c["kept"]]
    codes = iso_codes(kept)
    files = "shards/*.tar" if card["format"] == "shards" else "pairs/*.parquet"
    several = "multilingual" if len(kept) > 1 else "monolingual"
    head: list[tuple[str, Any]] = [
        ("pretty_name", card.get("name") or f"Balanced image-text pairs, t = {card['t']:,}"),
        ("license", card.get("license")),
        ("language", codes),
        ("multilinguality", [several]),
        ("size_categories", [size_category(card["total"]["kept"])]),
        ("task_categories", ["zero-shot-image-classification", "image-to-text"]),
        ("tags", ["clip", "metaclip", "image-text-pairs", "curate"]),
        ("configs", [{"config_name": "default",
                      "data_files": [{"split": "train", "path": files}]}]),
    ]  # fmt: skip
    lines = [f"{key}: {json.dumps(value)}" for key, value in head if value]
    return "\n".join(["---", *lines, "---"])
