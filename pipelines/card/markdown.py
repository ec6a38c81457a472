"""The data card as Markdown: a dataset card of the Hugging Face Hub, with its YAML head.

Put next to the pairs as `README.md`, it tells the Hub and `datasets` what is what. Source of the
head's fields: https://huggingface.co/docs/hub/datasets-cards.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from curate.pipelines.card.kept import beside_text, opt_outs_text, said_of_use
from curate.pipelines.card.page import MOST_INPUTS, shown_command, target_sentence
from curate.pipelines.lid.step_names import steps_line
from curate.pipelines.views.markdown import inert_markdown
from curate.pipelines.views.tables import cell
from curate.pipelines.views.terminal import inert

__all__ = ["render_markdown", "yaml_head"]

MOST_LANGUAGES = 12  # whose entries and texts are shown

# Codes of Wikipedias that are no ISO 639 codes, or those of another language.
_ISO_639 = {
    "als": "gsw", "bat_smg": "sgs", "be_tarask": "be", "bh": "bho", "cbk_zam": "cbk",
    "eml": "egl", "fiu_vro": "vro", "map_bms": "jv", "nah": "nah", "nds_nl": "nds",
    "no": "nb", "roa_rup": "rup", "sh": "hbs", "simple": "en", "zh_classical": "lzh",
    "zh_min_nan": "nan", "zh_yue": "yue",
}  # fmt: skip
_SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return cell(value)
    return f"{value:,}" if isinstance(value, int) else inert_markdown(str(value))


def _code(text: str) -> str:
    """Write lines as code, in a fence that nothing in them can close."""
    shown = inert(text, allowed="\n")
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", shown))])
    return f"{fence}\n{shown}\n{fence}"


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    r"""Write a Markdown table; all columns but the first are numbers.

    >>> print(_table(["entry", "pairs"], [["a|b", 1200]]))
    | entry | pairs |
    |---|---:|
    | a\|b | 1,200 |
    """
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(_cell(v) for v in row) + " |" for row in rows]
    return "\n".join(lines)


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


def render_markdown(card: Mapping[str, Any]) -> str:
    """Write the data card as Markdown.

    Args:
        card: as `curate.pipelines.card.write` puts it together.
    """
    total = card["total"]
    parts = [
        yaml_head(card),
        f"# {inert_markdown(card['name'])}" if card.get("name") else "# Data card",
        f"{total['kept']:,} pairs kept of {total['matched']:,} matched and {total['read']:,} read. "
        f"Expected {total['expected']:,.1f}; slots Σ min(count, t) {total['slots']:,}: one pair "
        "fills a slot of every entry it matches, so pairs are fewer than slots.",
        *([target_sentence(card)] if card.get("target") else []),
        f"KL to uniform over matched entries: {total['kl_before_bits']:.4g} bits before balancing, "
        f"{total['kl_after_bits']:.4g} after.",
        beside_text(card),
        "## From records to pairs",
        _table(["", "records"], _flow(total)),
        "## Head and tail",
        _head_and_tail(total, is_exact=bool(card.get("exact"))),
        "## Cumulative entry counts",
        _curve(total["curve"]),
        "## Languages",
        _languages(card["languages"]),
        *_steps(card),
        *_contaminated(card),
        *_opt_outs(card),
        *_entries(card),
        *_examples(card),
        *_classes(card.get("classes")),
        "## How to make it again",
        _code(shown_command(card)),
        f"Seed {card['seed']}; metadata sha256 `{card['metadata_hash']}`; "
        f"matches sha256 `{card['matched']}`; parameters sha256 `{card['balanced']}`; "
        f"LID model sha256 `{card['lid_model']}`.",
        "Made with " + ", ".join(f"{n} {v}" for n, v in card["versions"].items()) + ". Inputs:",
        _table(
            ["file", "bytes", "sha256"],
            [[i["path"], i["size_bytes"], i["sha256"]] for i in card["inputs"][:MOST_INPUTS]],
        ),
        *(
            [f"The first {MOST_INPUTS} of {len(card['inputs']):,}; datacard.json has all."]
            if len(card["inputs"]) > MOST_INPUTS
            else []
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _flow(total: Mapping[str, Any]) -> list[list[Any]]:
    return [
        ["read", total["read"]],
        *([f"dropped: {reason}", num] for reason, num in total["dropped"].items()),
        ["matched", total["matched"]],
        ["not sampled", total["not_sampled"]],
        *([f"filtered: {name}", num] for name, num in total.get("filtered", {}).items()),
        ["kept", total["kept"]],
    ]


def _head_and_tail(total: Mapping[str, Any], *, is_exact: bool) -> str:
    rows = [
        [name, total[key]["entries"], total[key]["matches"], total[key]["slots"],
         total[key]["kept"]]
        for name, key in (("head (count ≥ t)", "head"), ("tail (count < t)", "tail"))
    ]  # fmt: skip
    rows.append(["without a match", total["entries"] - total["entries_matched"], 0, 0, 0])
    table = _table(["entries", "number", "matches", "slots", "matches of kept pairs"], rows)
    return (
        f"{table}\n\n{total['certain']:,} matched pairs have probability 1, as those with an entry "
        f"of the tail do; {'not all' if is_exact else 'all'} of them are drawn."
    )


def _curve(curve: Mapping[str, list[int]]) -> str:
    num = len(curve["entries"])
    chosen = sorted({round(i * (num - 1) / 12) for i in range(13)})
    columns = ("entries", "matches", "slots", "kept")
    rows = [[f"{curve['entries'][i]:,}", *(curve[c][i] for c in columns[1:])] for i in chosen]
    header = ["entries, the rarest first", "matches up to there", "slots", "of kept pairs"]
    return _table(header, rows)


def _languages(languages: Mapping[str, Any]) -> str:
    names = ("t", "p", "read", "matched", "kept", "expected", "entries", "entries_matched",
             "entries_head", "matches", "head_share", "slots", "kl_before_bits",
             "kl_after_bits")  # fmt: skip
    rows = [[lang, *(c[n] for n in names)] for lang, c in languages.items() if c["matched"]]
    text = (
        "t: pairs per entry, about. p: share of the matches that entries of the tail have. Slots: "
        "Σ min(count, t). KL: how far the matched entries are from being equally frequent, in bits."
    )
    table = _table(["language", *(n.replace("_", " ") for n in names)], rows)
    return "\n\n".join([text, table, *_without_matches(languages)])


def _steps(card: Mapping[str, Any]) -> list[str]:
    """Say how many texts each step of language identification decided."""
    if "language_decided_by" not in card:
        return []
    line = steps_line(card["language_decided_by"])
    return [f"{line[0].upper()}{line[1:]}. Second opinion: {card['lid']['second']}."]


def _contaminated(card: Mapping[str, Any]) -> list[str]:
    """Say against which evaluation sets the pairs were compared, and how many fell."""
    if "contaminated" not in card:
        return []
    about = card["contaminated"]
    ways = inert_markdown(", ".join(map(str, about["methods"])))
    rows = [[inert_markdown(name), one["images"], one["pairs"]]
            for name, one in about["sets"].items()]  # fmt: skip
    return [
        "## Evaluation sets",
        f"Pairs that these sets hold too were dropped, by {ways}.",
        _table(["set", "images", "pairs that fell"], rows),
    ]


def _opt_outs(card: Mapping[str, Any]) -> list[str]:
    """Say what pages, and servers of images, said of their use, and whether it was heard."""
    if "opt_outs" not in card:
        return []
    parts = ["## How sites said no"]
    for what, found in said_of_use(card).items():
        said = opt_outs_text(found, what)
        ignored = "although" in said
        parts.append(f"**{said}**" if ignored else said)
        if signals := [[name, num] for name, num in found.items() if ":" in name]:
            parts.append(_table(["signal", "pairs"], signals))
    read_as = "; ".join(f"{name}: {text}" for name, text in card["opt_outs"]["sources"].items())
    return [
        *parts,
        "A pair counts under each signal that touches it; those of pages before filters and "
        "duplicates.",
        f"Signals are read as these texts say, of which the drafts may change. {read_as}.",
    ]


def _without_matches(languages: Mapping[str, Any]) -> list[str]:
    """Say in a line which languages have no matched pair."""
    none = {lang or "(none)": c["read"] for lang, c in languages.items() if not c["matched"]}
    if not none:
        return []
    shown = sorted(none, key=lambda lang: (-none[lang], lang))
    return [
        f"No pair of {len(none):,} more languages matched, of {sum(none.values()):,} records: "
        + ", ".join(f"{inert_markdown(lang)} {none[lang]:,}" for lang in shown) + "."
    ]  # fmt: skip


def _largest(card: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    with_pairs = [(lang, c) for lang, c in card["languages"].items() if c.get("top_entries")]
    return sorted(with_pairs, key=lambda item: -item[1]["matched"])[:MOST_LANGUAGES]


def _entries(card: Mapping[str, Any]) -> list[str]:
    titles = {
        "top_entries": "Most frequent entries before balancing",
        "top_entries_after": "Most frequent entries in the kept pairs",
        "tail_entries": "Entries of the tail",
    }
    parts = []
    for lang, c in _largest(card):
        for name, title in titles.items():
            if c[name]:
                rows = [[e["entry"], e["count"], e["slots"], e["kept"]] for e in c[name]]
                parts += [f"### {title}: {inert_markdown(lang)}",
                          _table(["entry", "count", "slots", "kept pairs"], rows)]  # fmt: skip
    return ["## Entries", *parts] if parts else []


def _examples(card: Mapping[str, Any]) -> list[str]:
    lines = [
        f"| {_cell(e['text'])} | {_cell(lang)} | {decision.replace('_', ' ')} | {e['draw']:.4f} | "
        f"{e['probability']:.4f} |"
        for lang, c in _largest(card)
        for decision, found in c["examples"].items()
        for e in found[:3]
    ]
    dropped = [
        f"| {_cell(e['text'])} | {_cell(e['lang'] or None)} | dropped: {_cell(e['reason'])} "
        "| – | – |"
        for e in card["dropped_examples"]
    ]
    if not lines and not dropped:
        return []
    head = ["| text | language | decision | draw | probability |", "|---|---|---|---:|---:|"]
    note = "A pair is kept if its draw, a hash of its id and the seed, is below its probability."
    return ["## Examples", note, "\n".join([*head, *lines, *dropped])]


def _classes(classes: Mapping[str, Any] | None) -> list[str]:
    if classes is None:
        return []
    rows = [[r["class"], r["count"], r["slots"], r["kept"]] for r in classes["rows"][:50]]
    return [
        "## Coverage of classes",
        f"Of {classes['classes']:,} classes of {_cell(classes['path'])} ({classes['lang']}), "
        f"{classes['entries']:,} are entries, {classes['matched']:,} match pairs, "
        f"{classes['head']:,} are in the head, {classes['kept']:,} have kept pairs. The rarest:",
        _table(["class", "count", "slots", "kept pairs"], rows),
    ]
