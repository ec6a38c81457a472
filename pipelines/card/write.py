"""Put the data card together and write it: `datacard.json`, `datacard.md` and `datacard.html`."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from platform import python_version
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.sampling.curves import (
    CountGroups,
    cumulative_curve,
    group_counts,
    merge_groups,
)
from curate.curation.sampling.datacard import (
    Divergence,
    divergence,
    entry_lists,
    growing_steps,
    kl_to_uniform,
    language_card,
    sum_cards,
)
from curate.distribution import COMMAND, VERSION
from curate.files import storage
from curate.files.remedies import damaged
from curate.files.sums import SummedFile
from curate.pipelines.card.classes import ClassList, class_coverage
from curate.pipelines.card.examples import (
    dropped_examples,
    examples_per_language,
    pair_examples,
    rarest,
)
from curate.pipelines.card.kept import downloaded_facts, kept_facts
from curate.pipelines.card.markdown import render_markdown
from curate.pipelines.card.page import render_page
from curate.pipelines.card.replay import replay_command
from curate.pipelines.card.tally import Tally, tally_pairs
from curate.pipelines.matched.decisions import BalanceJob, KeptSummary
from curate.pipelines.matched.drops import CONTAMINATED
from curate.pipelines.matched.plan import SUMMARY, MatchedPlan
from curate.pipelines.opt_outs.signals import SOURCES
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import combined_hash

__all__ = ["CARDS", "Counts", "write_cards"]

CARDS = ("datacard.json", "datacard.md", "datacard.html")

NUM_TOP = 20
NUM_TAIL = 12
NUM_POINTS = 160  # of the curve of all languages
_NOTHING: dict[str, Any] = {"read": 0, "matched": 0, "dropped": {}}
_PACKAGES = ("numpy", "pyarrow", "numba", "xxhash")

Counts = Mapping[str, NDArray[np.int64]]


def write_cards(
    plan: MatchedPlan,
    counts: Counts,
    t_of: Mapping[str, int | None],
    job: BalanceJob,
    parameters: Mapping[str, Any],
    output: str,
    *,
    kept: KeptSummary | None = None,
    classes: ClassList | None = None,
    num_examples: int | None = None,
    titles: Mapping[str, str] | None = None,
    workers: int = 1,
    quiet: bool = True,
) -> dict[str, Any]:
    """Write the data card of a balanced set and return it.

    Args:
        plan: of `matched/`.
        counts: entry counts per language.
        t_of: threshold per language; None where nothing matched.
        job: of `balance`, whose probabilities are written.
        parameters: of `balance`, as in its `plan.json`.
        output: folder of the card.
        kept: what `balance` counted, to be checked against; None if it is long over.
        classes: whose coverage is to be shown; None for none.
        num_examples: texts to show per language and decision; None for a few, 0 for none, not
            even dropped ones.
        titles: name and license of the set, as far as they are given.
        workers: threads.
        quiet: no progress.

    Raises:
        AssertionError: the sums that the contract guarantees do not hold.
    """
    summary = plan.whole_summary()
    with_matches = sum(bool(t) for t in t_of.values())
    num_chosen = examples_per_language(with_matches) if num_examples is None else num_examples
    tally = tally_pairs(
        plan, job, counts, t_of, num_chosen=num_chosen, workers=workers, quiet=quiet
    )
    total, languages = _figures(plan, counts, t_of, tally, summary)
    card = {
        "schema_version": artifacts.SCHEMA_VERSION,
        "command": replay_command(plan, parameters),
        **(titles or {}),
        "seed": parameters["seed"],
        "t": parameters["t"],
        **{k: parameters[k] for k in ("target", "exact") if parameters.get(k)},
        "format": parameters["format"],
        "total": total,
        "languages": languages,
        "dropped_examples": dropped_examples(plan, summary) if num_chosen else [],
        "metadata_hash": combined_hash(plan.parameters["metadata"]),
        "metadata": plan.parameters["metadata"],
        "matched": plan.digest(),
        "balanced": artifacts.digest(parameters),
        "normalization": plan.parameters["normalization"],
        "lid_model": plan.parameters["lid_model"],
        "versions": _versions(),
        "inputs": [
            {k: i[k] for k in ("path", "size_bytes", "sha256")} for i in plan.inputs
        ],
    }  # fmt: skip
    card["kept_pairs"] = kept_facts(
        job.output, parameters["format"], len(plan.parts), card["total"]["kept"]
    )
    card["matched_pairs"] = {
        name: summary[name]
        for name in ("by_caption", "more_images", "repeated_ids", "with_image", "without_url")
        if name in summary
    }  # fmt: skip
    if "language_decided_by" in summary:
        card["language_decided_by"] = summary["language_decided_by"]
        card["lid"] = plan.parameters["lid"]
    if CONTAMINATED in summary:
        card[CONTAMINATED] = summary[CONTAMINATED]
    if "opt_outs" in summary:
        card["opt_outs"] = {"pairs": summary["opt_outs"], "sources": SOURCES}
    if downloaded := downloaded_facts(job.output):
        card["downloaded"] = downloaded
        card.setdefault("opt_outs", {"pairs": {}, "sources": SOURCES})
    if "filters" in parameters:
        card["total"]["filtered"] = dict(sorted(tally.pairs.summary.filters.items()))
    if classes is not None:
        lang = classes.lang
        card["classes"] = class_coverage(
            classes, counts[lang], tally.kept_count[lang], t_of[lang], plan.counts_path(lang)
        )
    plan.require_unchanged()  # or the sums below would not hold
    _check_sums(plan, total, tally.pairs.summary, kept)
    pages: dict[str, dict[str, Any]] = {}
    for name, render in (("datacard.md", render_markdown), ("datacard.html", render_page)):
        with storage.publish(storage.join(output, name)) as file:
            summed = SummedFile(file)
            summed.write(render(card).encode())
            pages[name] = summed.sum
    card["pages"] = pages
    # Last: it is the sign that the set and its cards are whole.
    artifacts.write_json(storage.join(output, "datacard.json"), card)
    return card


def _versions() -> dict[str, str]:
    others = {name: version(name) for name in _PACKAGES}
    return {"python": python_version(), COMMAND: VERSION, **others}


def _figures(
    plan: MatchedPlan,
    counts: Counts,
    t_of: Mapping[str, int | None],
    tally: Tally,
    summary: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the figures of all languages together, and of each."""
    num_languages = max(1, sum(bool(t) for t in t_of.values()))
    few = NUM_TOP if num_languages <= 40 else NUM_TOP // 2
    cards: dict[str, dict[str, Any]] = {}
    groups: list[CountGroups] = []
    sums: list[tuple[Divergence, Divergence]] = []
    lists: dict[str, dict[str, list[dict[str, Any]]]] = {}
    entry_of: dict[tuple[str, int], str] = {}
    pairs = tally.pairs.summary
    none, no_entries = np.zeros(0, np.int64), artifacts.strings([])
    for lang in sorted({*counts, *summary["languages"]}):
        t = t_of.get(lang)
        count, kept = counts.get(lang, none), tally.kept_count.get(lang, none)
        entries = no_entries
        if t is not None:
            entries = artifacts.read_table(plan.counts_path(lang), ["entry"]).column("entry")
        cards[lang] = language_card(
            count, kept, t, summary["languages"].get(lang, _NOTHING),
            kept=pairs.kept[lang], expected=pairs.expected.get(lang, 0.0),
            certain=tally.pairs.certain[lang], filtered=pairs.filtered[lang],
        )  # fmt: skip
        groups.append(group_counts(count, kept, t))
        sums.append((divergence(count, count > 0), divergence(kept, count > 0)))
        if t is not None:
            points = max(24, NUM_POINTS // num_languages)
            cards[lang]["curve"] = cumulative_curve(groups[-1], points)
            lists[lang] = entry_lists(
                entries, count, kept, t, num_top=NUM_TOP, num_tail=min(few, NUM_TAIL)
            )
            entry_of |= _entries_of_examples(lang, tally, count, entries)
    examples = pair_examples(plan, tally, counts, entry_of)
    total = {
        **sum_cards(list(cards.values())),
        "dropped": summary["dropped"],
        "kl_before_bits": _kl([before for before, _ in sums]),
        "kl_after_bits": _kl([after for _, after in sums]),
        "curve": cumulative_curve(merge_groups(groups), NUM_POINTS),
        **_merged(lists),
    }
    for lang, found in lists.items():
        cards[lang].update({name: rows[:few] for name, rows in found.items()})
        cards[lang]["examples"] = examples.get(lang, {})
    return total, cards


def _entries_of_examples(
    lang: str, tally: Tally, count: NDArray[np.int64], entries: pa.ChunkedArray
) -> dict[tuple[str, int], str]:
    """Return the entries that examples of a language are shown with, by language and id."""
    chosen = [c for (where, _), found in tally.chosen.items() if where == lang for c in found]
    return {(lang, i): entries[i].as_py() for c in chosen for i in rarest(c, count)}


def _merged(lists: Mapping[str, Mapping[str, list[dict[str, Any]]]]) -> dict[str, Any]:
    """Return the lists of entries of all languages: the largest, with their language."""
    merged: dict[str, Any] = {}
    for name, key in (("top_entries", "count"), ("top_entries_after", "kept")):
        rows = [{"lang": lang, **row} for lang, found in lists.items() for row in found[name]]
        merged[name] = sorted(rows, key=lambda row: -row[key])[:NUM_TOP]
    tails = [
        {"lang": lang, **row} for lang, found in lists.items() for row in found["tail_entries"]
    ]
    tails.sort(key=lambda row: -row["count"])
    steps = growing_steps(len(tails), NUM_TAIL)
    return {**merged, "tail_entries": [tails[i] for i in steps.tolist()]}


def _kl(sums: Sequence[Divergence]) -> float:
    entries, total, logs = (sum(s[at] for s in sums) for at in range(3))
    return round(kl_to_uniform(Divergence(int(entries), int(total), float(logs))), 6)


def _check_sums(
    plan: MatchedPlan, total: Mapping[str, Any], found: KeptSummary, balanced: KeptSummary | None
) -> None:
    """Hold the sums that the contract guarantees.

    Raises:
        ArtifactError: the matches' own summary contradicts itself, or the pairs that there are.
        AssertionError: we do.
    """
    summary = storage.join(plan.folder, SUMMARY)
    if total["read"] != total["matched"] + sum(total["dropped"].values()):
        damaged(summary, f"{total['read']:,} read are not the matched and the dropped ones")
    if total["matched"] != found.matched.total():
        num = found.matched.total()
        damaged(summary, f"it has {total['matched']:,} matched pairs, and {num:,} are there")
    if total["matched"] != total["kept"] + total["not_sampled"] + total["num_filtered"]:
        raise AssertionError(f"matched is not kept + not sampled + filtered: {total}")
    if total["num_filtered"] != found.filters.total():
        raise AssertionError(f"filtered {total['filtered']}, but by filter {found.filters}")
    if balanced is not None and (balanced.kept, balanced.filters) != (found.kept, found.filters):
        raise AssertionError(f"balance kept {balanced.kept}, the card counts {found.kept}")
