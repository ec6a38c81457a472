"""The data card as Markdown: a dataset card of the Hugging Face Hub, with its YAML head.

Put next to the pairs as `README.md`, it tells the Hub and `datasets` what is what.
"""

from collections.abc import Mapping
from typing import Any

from curate.pipelines.card.counted.content import content_lines, percent
from curate.pipelines.card.hub_head import yaml_head
from curate.pipelines.card.kept import beside_text, opt_outs_text, said_of_use
from curate.pipelines.card.page import MOST_INPUTS, shown_command, target_sentence
from curate.pipelines.card.prose import code, md_cell, paragraph, table
from curate.pipelines.lid.step_names import steps_line
from curate.pipelines.views.markdown import inert_markdown

__all__ = ["render_markdown", "yaml_head"]

MOST_VALUES = 50  # of a column that pairs are counted by
MOST_LANGUAGES = 12  # whose entries and texts are shown


def render_markdown(card: Mapping[str, Any]) -> str:
    """Write the data card as Markdown.

    Args:
        card: as `curate.pipelines.card.write` puts it together.
    """
    total = card["total"]
    about = [card[name] for name in ("date", "license") if card.get(name)]
    parts = [
        yaml_head(card),
        f"# {inert_markdown(card['name'])}" if card.get("name") else "# Data card",
        *([" · ".join(map(inert_markdown, about))] if about else []),
        paragraph(
            f"{total['kept']:,} pairs kept of {total['matched']:,} matched and {total['read']:,} "
            f"read. Expected {total['expected']:,.1f}; slots Σ min(count, t) {total['slots']:,}: "
            "one pair fills a slot of every entry it matches, so pairs are fewer than slots."
        ),
        *([paragraph(target_sentence(card))] if card.get("target") else []),
        paragraph(
            f"KL to uniform over matched entries: {total['kl_before_bits']:.4g} bits before "
            f"balancing, {total['kl_after_bits']:.4g} after."
        ),
        paragraph(beside_text(card)),
        "## From records to pairs",
        table(["", "records"], _flow(total)),
        "## Head and tail",
        _head_and_tail(total, is_exact=bool(card.get("exact"))),
        "## Cumulative entry counts",
        _curve(total["curve"]),
        "## Languages",
        _languages(card["languages"], total),
        *_steps(card),
        *_content(card),
        *_by(card),
        *_contaminated(card),
        *_opt_outs(card),
        *_entries(card),
        *_examples(card),
        *_classes(card.get("classes")),
        "## How to make it again",
        code(shown_command(card)),
        _hashes(card),
        paragraph("Made with " + ", ".join(f"{n} {v}" for n, v in card["versions"].items()) + "."),
        "Inputs:",
        table(
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


def _hashes(card: Mapping[str, Any]) -> str:
    rows = [
        ["seed", str(card["seed"])], ["metadata sha256", card["metadata_hash"]],
        ["matches sha256", card["matched"]], ["parameters sha256", card["balanced"]],
        ["LID model sha256", card["lid_model"]],
    ]  # fmt: skip
    return table(["made from", ""], rows, num_texts=2)


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
        for name, key in (("head: count ≥ t", "head"), ("tail: fewer", "tail"))
    ]  # fmt: skip
    rows.append(["without a match", total["entries"] - total["entries_matched"], 0, 0, 0])
    shown = table(["entries", "number", "matches", "slots", "matches of kept pairs"], rows)
    return (
        f"{shown}\n\n{total['certain']:,} matched pairs have probability 1, as those with an entry "
        f"of the tail do; {'not all' if is_exact else 'all'} of them are drawn."
    )


def _curve(curve: Mapping[str, list[int]]) -> str:
    num = len(curve["entries"])
    chosen = sorted({round(i * (num - 1) / 12) for i in range(13)})
    columns = ("entries", "matches", "slots", "kept")
    rows = [[f"{curve['entries'][i]:,}", *(curve[c][i] for c in columns[1:])] for i in chosen]
    header = ["entries, the rarest first", "matches up to there", "slots", "of kept pairs"]
    return table(header, rows)


def _languages(languages: Mapping[str, Any], total: Mapping[str, Any]) -> str:
    names = ("t", "p", "read", "matched", "kept", "expected", "entries", "entries_matched",
             "entries_head", "matches", "head_share", "slots", "kl_before_bits",
             "kl_after_bits")  # fmt: skip
    rows = [
        [lang, *(_share(c[n], total[n]) for n in ("matched", "kept")), *(c[n] for n in names)]
        for lang, c in languages.items() if c["matched"]
    ]  # fmt: skip
    text = (
        "Before and after: share of the matched and of the kept pairs. t: pairs per entry, about. "
        "p: share of the matches that entries of the tail have. Slots: Σ min(count, t). KL: how "
        "far the matched entries are from being equally frequent, in bits."
    )
    header = ["language", "before", "after", *(n.replace("_", " ") for n in names)]
    return "\n\n".join([paragraph(text), table(header, rows), *_without_matches(languages)])


def _share(num: int, of: int) -> str:
    return f"{100 * num / of:.2f} %" if of else "–"


def _steps(card: Mapping[str, Any]) -> list[str]:
    """Say how many texts each step of language identification decided."""
    if "language_decided_by" not in card:
        return []
    line = steps_line(card["language_decided_by"])
    second = inert_markdown(str(card["lid"]["second"]))
    return [paragraph(f"{line[0].upper()}{line[1:]}. Second opinion: {second}.")]


def _content(card: Mapping[str, Any]) -> list[str]:
    """Say how long texts are, where images come from, and how much stands twice."""
    if not (lines := content_lines(card)):
        return []
    found = card["content"]
    edges = found["texts"]["edges"]
    names = [*(f"{a:,} to {b - 1:,}" for a, b in zip(edges, edges[1:], strict=False)),
             f"{edges[-1]:,} and more"]  # fmt: skip
    lengths = [
        [n, f"{100 * s:.2f} %"] for n, s in zip(names, found["texts"]["shares"], strict=True)
    ]
    parts = ["## Texts and URLs", *map(paragraph, lines),
             table(["characters of a text", "pairs"], lengths)]  # fmt: skip
    if found["domains"]:
        rows = [[one["domain"] or "(no host)", percent(one)] for one in found["domains"]]
        parts += [table(["domain", "share of the pairs with a URL"], rows)]
    return parts


def _by(card: Mapping[str, Any]) -> list[str]:
    """Say how many pairs the values of columns have."""
    parts = []
    for name, found in card.get("by", {}).items():
        rows = [
            ["(none)" if r["value"] is None else r["value"], r["matched"], r["kept"],
             _share(r["kept"], r["matched"])]
            for r in found[:MOST_VALUES]
        ]  # fmt: skip
        title = inert_markdown(name)
        parts.append(f"## By {title}")
        parts.append(table([title, "matched", "kept", "kept of matched"], rows))
        if len(found) > MOST_VALUES:
            parts.append(f"The first {MOST_VALUES} of {len(found):,}; datacard.json has all.")
    return parts


def _contaminated(card: Mapping[str, Any]) -> list[str]:
    """Say against which evaluation sets the pairs were compared, and how many fell."""
    if "contaminated" not in card:
        return []
    about = card["contaminated"]
    ways = inert_markdown(", ".join(map(str, about["methods"])))
    rows = [[inert_markdown(name), one["images"], one["pairs"]]
            for name, one in about["sets"].items()]  # fmt: skip
    in_all = f" {about['pairs']:,} fell in all." if "pairs" in about else ""
    return [
        "## Evaluation sets",
        paragraph(f"Pairs that these sets hold too were dropped, by {ways}.{in_all}"),
        table(["set", "images", "pairs that fell"], rows),
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
            parts.append(table(["signal", "pairs"], signals))
    read_as = "; ".join(f"{name}: {text}" for name, text in card["opt_outs"]["sources"].items())
    return [
        *parts,
        paragraph(
            "A pair counts under each signal that touches it; those of pages before filters "
            "and duplicates."
        ),
        paragraph(
            f"Signals are read as these texts say, of which the drafts may change. {read_as}."
        ),
    ]


def _without_matches(languages: Mapping[str, Any]) -> list[str]:
    """Say in a line which languages have no matched pair."""
    none = {lang or "(none)": c["read"] for lang, c in languages.items() if not c["matched"]}
    if not none:
        return []
    shown = sorted(none, key=lambda lang: (-none[lang], lang))
    listed = ", ".join(f"{inert_markdown(lang)} {none[lang]:,}" for lang in shown)
    return [
        paragraph(
            f"No pair of {len(none):,} more languages matched, of {sum(none.values()):,} records: "
            f"{listed}."
        )
    ]


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
                          table(["entry", "count", "slots", "kept pairs"], rows)]  # fmt: skip
    return ["## Entries", *parts] if parts else []


def _examples(card: Mapping[str, Any]) -> list[str]:
    rows = [
        [e["text"], lang, decision.replace("_", " "), f"{e['draw']:.4f}", f"{e['probability']:.4f}"]
        for lang, c in _largest(card)
        for decision, found in c["examples"].items()
        for e in found[:3]
    ]
    rows += [[e["text"], e["lang"] or None, f"dropped: {e['reason']}", None, None]
             for e in card["dropped_examples"]]  # fmt: skip
    if not rows:
        return []
    head = ["text", "language", "decision", "draw", "probability"]
    note = "A pair is kept if its draw, a hash of its id and the seed, is below its probability."
    return ["## Examples", note, table(head, rows, num_texts=3)]


def _classes(classes: Mapping[str, Any] | None) -> list[str]:
    if classes is None:
        return []
    rows = [[r["class"], r["count"], r["slots"], r["kept"]] for r in classes["rows"][:50]]
    return [
        "## Coverage of classes",
        paragraph(
            f"Of {classes['classes']:,} classes of {md_cell(classes['path'])} ({classes['lang']}), "
            f"{classes['entries']:,} are entries, {classes['matched']:,} match pairs, "
            f"{classes['head']:,} are in the head, {classes['kept']:,} have kept pairs. The rarest:"
        ),
        table(["class", "count", "slots", "kept pairs"], rows),
    ]
