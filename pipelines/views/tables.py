"""Results as short tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len

from curate.metadata.languages import OTHER
from curate.pipelines.inputs.bad_reasons import REJECTED_REASONS
from curate.pipelines.views.terminal import inert

__all__ = [
    "balance_table",
    "card_table",
    "eval_table",
    "match_table",
    "metadata_table",
    "render_table",
    "retract_table",
    "train_table",
    "yield_table",
]

MAX_LANGUAGES = 20
MAX_INPUTS = 10
SUGGESTED = 10  # languages to build


def render_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Align columns: the first to the left, numbers to the right.

    >>> print(render_table(["lang", "pairs"], [["en", 1200], ["de", 7]]))
    lang  pairs
    en    1,200
    de        7
    """
    cells = [list(header), *([_cell(v) for v in row] for row in rows)]
    widths = [max(cell_len(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for row in cells:
        room = [" " * (w - cell_len(c)) for c, w in zip(row, widths, strict=True)]
        aligned = [row[0] + room[0], *(r + c for r, c in zip(room[1:], row[1:], strict=True))]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _plan(result: Mapping[str, Any]) -> str:
    return "\n".join(f"{key}: {value}" for key, value in result.items())


def _by_size(languages: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    return sorted(languages.items(), key=lambda item: -(item[1].get(key) or 0))


def _with_rest(header: Sequence[str], rows: list[list[Any]]) -> str:
    shown = render_table(header, rows[:MAX_LANGUAGES])
    more = len(rows) - MAX_LANGUAGES
    return f"{shown}\n… and {more} more languages" if more > 0 else shown


def metadata_table(result: Mapping[str, Any]) -> str:
    """Show the number of entries of each language by source."""
    if "languages" not in result:
        return _plan(result)
    sources = ("number", "wordnet", "unigram", "bigram", "title")
    rows = [
        [lang, *(values["sources"].get(s, 0) for s in sources), values["entries"]]
        for lang, values in _by_size(result["languages"], "entries")
    ]
    return _with_rest(["lang", *sources, "entries"], rows) + f"\n→ {result['output']}"


def match_table(result: Mapping[str, Any], output: str) -> str:
    """Show read, matched and dropped records, overall and per language, and what to do about it.

    Languages without metadata stand in one line.
    """
    if "languages" not in result:
        return _match_plan(result)
    without = {
        lang: v["read"]
        for lang, v in result["languages"].items()
        if v["dropped"].get("no_metadata", 0) == v["read"]
    }
    rows = [
        [lang or "(none)", v["read"], v["matched"], sum(v["dropped"].values())]
        for lang, v in _by_size(result["languages"], "read")
        if lang not in without
    ]
    dropped = ", ".join(f"{reason} {num:,}" for reason, num in result["dropped"].items())
    lines = [_with_rest(["lang", "read", "matched", "dropped"], rows)] if rows else []
    lines += _without_metadata(without) + _unknown_labels(result.get("unknown_labels"))
    lines += [f"read {result['read']:,} = matched {result['matched']:,}"
              f" + dropped {sum(result['dropped'].values()):,} ({dropped or 'none'})"]  # fmt: skip
    if any(reason in REJECTED_REASONS for reason in result["dropped"]):
        lines.append(f"which records are bad: {output}/rejected")
    return "\n".join([*lines, *_inputs_added(result), f"→ {output}"])


def _match_plan(result: Mapping[str, Any]) -> str:
    lines = [f"{key}: {result[key]}" for key in ("inputs", "parts", "parts_to_do")]
    for key, label in (("matched_before", "matched before"), ("new", "new")):
        paths = result[key]
        lines += [f"{label}: {path}" for path in paths[:MAX_INPUTS]]
        more = len(paths) - MAX_INPUTS
        lines += [f"{label}: … and {more:,} more"] if more > 0 else []
    return "\n".join(lines)


def _without_metadata(texts: Mapping[str, int]) -> list[str]:
    """Say which languages are missing, the most frequent first, and how to add them."""
    if not texts:
        return []
    langs = sorted(texts, key=lambda lang: (-texts[lang], lang))
    shown = ", ".join(f"{lang} {texts[lang]:,}" for lang in langs[:MAX_LANGUAGES])
    more = f" and {len(langs) - MAX_LANGUAGES} more" if len(langs) > MAX_LANGUAGES else ""
    num = f"{len(langs)} languages" if len(langs) > 1 else "a language"
    lines = [f"{sum(texts.values()):,} texts are in {num} without metadata: {shown}{more}"]
    if named := [lang for lang in langs if lang != OTHER][:SUGGESTED]:
        lines.append(f"to match them: curate build-metadata --lang {','.join(named)}"
                     "; then match with --overwrite")  # fmt: skip
    return lines


def _unknown_labels(found: Mapping[str, Any] | None) -> list[str]:
    if not found:
        return []
    shown = ", ".join(f"{inert(label)} ({num:,})" for label, num in found["first"].items())
    more = ", …" if sum(found["first"].values()) < found["rows"] else ""
    return [f"language column: {found['rows']:,} records have unknown labels, so that their "
            f"language was identified: {shown}{more}"]  # fmt: skip


def _inputs_added(result: Mapping[str, Any]) -> list[str]:
    """Say what this run added to what was there, which is in all figures too."""
    added = result.get("inputs_added", result["inputs"])
    before = result["inputs"] - added
    if not before:
        return []
    files = "1 file" if added == 1 else f"{added:,} files"
    return [f"added {files if added else 'no file'} to {before:,} already matched"]


def balance_table(result: Mapping[str, Any], output: str) -> str:
    """Show t, pairs kept and expected, and slots per language."""
    if "languages" not in result:
        return _plan(result)
    rows = [
        [lang, *(v[k] for k in ("t", "p", "matched", "kept", "expected", "slots"))]
        for lang, v in _by_size(result["languages"], "matched")
        if v["matched"]
    ]
    total = result["total"]
    return (
        _with_rest(["lang", "t", "p", "matched", "kept", "expected", "slots"], rows)
        + f"\nmatched {total['matched']:,} = kept {total['kept']:,}"
        + f" + not sampled {total['not_sampled']:,}{_filtered(total)}\n→ {output}/datacard.md"
    )


def card_table(result: Mapping[str, Any], output: str) -> str:
    """Show where the card is, and how many classes it covers if it was asked."""
    if "languages" not in result:
        return _plan(result)
    total, classes = result["total"], result.get("classes")
    lines = [f"kept {total['kept']:,} of {total['matched']:,} matched pairs, "
             f"KL to uniform {total['kl_before']:.4g} → {total['kl_after']:.4g}"]  # fmt: skip
    if classes:
        lines.append(f"classes {classes['classes']:,}: entries {classes['entries']:,}, matched "
                     f"{classes['matched']:,}, kept {classes['kept']:,}")  # fmt: skip
    return "\n".join([*lines, f"→ {output}/datacard.html"])


def _filtered(total: Mapping[str, Any]) -> str:
    dropped = total.get("filtered", {})
    reasons = ", ".join(f"{reason} {num:,}" for reason, num in dropped.items())
    return f" + filtered {sum(dropped.values()):,} ({reasons})" if dropped else ""


def yield_table(result: Mapping[str, Any]) -> str:
    """Show what thresholds would keep; a single one by language."""
    rows = result["yields"]
    notes = "".join(f"\nnote: {note}" for note in result["notes"])
    if len(rows) == 1:
        shown = [
            [lang, *(v[k] for k in ("t", "p", "kept", "expected", "slots"))]
            for lang, v in _by_size(rows[0]["languages"], "kept")
        ]
        table = _with_rest(["lang", "t", "p", "kept", "expected", "slots"], shown)
        return f"{table}\nkept {rows[0]['kept']:,} of {result['matched']:,} matched{notes}"
    cells = [
        [f"{row['t']:,}", row["kept"], row["expected"], row["slots"],
         f"{row['kept'] / max(1, result['matched']):.1%}"]
        for row in rows
    ]  # fmt: skip
    return render_table(["t", "kept", "expected", "slots", "of matched"], cells) + notes


def retract_table(result: Mapping[str, Any]) -> str:
    """Show what was taken out, what is left, and where it is still."""
    lines = [f"{k.replace('_', ' ')}: {v:,}" for k, v in result.items() if isinstance(v, int)]
    lines += [f"not made anew: {path}; name it with --balanced" for path in result["not_remade"]]
    return "\n".join([*lines, "models, and images downloaded elsewhere, stay as they are"])


def train_table(result: Mapping[str, Any], output: str) -> str:
    """Show what was trained and its last loss."""
    if "final_loss" not in result:
        return _plan(result)
    rows = [[result["parameters"], result["train"]["steps"], result["pairs_seen"],
             result["epochs"], result["final_loss"]]]  # fmt: skip
    table = render_table(["parameters", "steps", "pairs seen", "epochs", "last loss"],
                         [[_cell(v) for v in row] for row in rows])  # fmt: skip
    skipped = ", ".join(f"{reason} {num:,}" for reason, num in result["skipped"].items())
    return f"{table}\nsamples skipped: {skipped or 'none'}\n→ {output}/modelcard.md"


def eval_table(result: Mapping[str, Any]) -> str:
    """Show the figures of each set, with their intervals, and by language or group."""
    shown = {
        "retrieval": _retrieval_lines,
        "multiple choice": _choice_lines,
        "multilabel classification": _multilabel_lines,
    }
    lines = []
    for name, found in result["results"].items():
        lines += shown.get(found["task"], _zero_shot_lines)(name, found)
        if found["unusable"]:
            reasons = ", ".join(f"{reason} {num:,}" for reason, num in found["skipped"].items())
            lines.append(f"  left out: {reasons}")
    return "\n".join(lines)


def _range(interval: Sequence[float]) -> str:
    return f"[{interval[0]:.1%}, {interval[1]:.1%}]"


def _zero_shot_lines(name: str, found: Mapping[str, Any]) -> list[str]:
    interval = f" {_range(found['top1_interval'])}" if "top1_interval" in found else ""
    lines = [
        f"{name}: zero-shot accuracy {found['top1']:.1%}{interval} (top 5: {found['top5']:.1%}) on "
        f"{found['images']:,} images of {found['classes']} classes; chance {found['chance']:.1%}"
    ]
    groups = found.get("by_lang") or found.get("by_group", {})
    lines += [f"  {g}: {v['top1']:.1%} {_range(v['top1_interval'])}" for g, v in groups.items()]
    return lines


def _multilabel_lines(name: str, found: Mapping[str, Any]) -> list[str]:
    lines = [f"{name}: multilabel, mean average precision {found['mean_average_precision']:.1%} "
             f"on {found['images']:,} images"]  # fmt: skip
    groups = found.get("by_lang") or {"all": found}
    for group, v in groups.items():
        shown = f"{v['mean_average_precision']:.1%} {_range(v['interval'])}"
        lines.append(f"  {group}: {shown}, chance {v['chance']:.1%}")
    return lines


def _choice_lines(name: str, found: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{name}: multiple choice, {found['accuracy']:.1%} {_range(found['accuracy_interval'])} of "
        f"{found['questions']:,} questions right; chance {found['chance']:.1%}"
    ]
    groups = found.get("by_group", {})
    lines += [
        f"  {group}: {v['accuracy']:.1%} {_range(v['accuracy_interval'])}"
        for group, v in groups.items()
    ]
    return lines


def _retrieval_lines(name: str, found: Mapping[str, Any]) -> list[str]:
    groups = {"all": found, **found.get("by_group", {})}
    if "mean_over_groups" in found:
        groups["mean"] = found["mean_over_groups"]
    ways = ("image_to_text", "text_to_image")
    rows = [
        [group, *(f"{figures[way][f'R@{k}']:.1%}" for way in ways for k in (1, 5, 10))]
        for group, figures in groups.items()
    ]
    header = ["", "i→t R@1", "R@5", "R@10", "t→i R@1", "R@5", "R@10"]
    return [
        f"{name}: retrieval, {found['distinct_images']:,} images, {found['texts']:,} texts",
        render_table(header, rows),
    ]
