"""Put the data card together and write it: `datacard.json`, `datacard.md` and `datacard.html`."""

from collections.abc import Mapping
from importlib.metadata import version
from platform import python_version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.distribution import COMMAND, VERSION
from curate.files import storage
from curate.files.remedies import damaged
from curate.files.sums import SummedFile
from curate.pipelines.card.classes import class_coverage
from curate.pipelines.card.counted.breakdown import breakdown
from curate.pipelines.card.counted.entry_files import write_entries
from curate.pipelines.card.examples import (
    dropped_examples,
    examples_per_language,
)
from curate.pipelines.card.figures import card_figures
from curate.pipelines.card.kept import downloaded_facts, kept_facts
from curate.pipelines.card.markdown import render_markdown
from curate.pipelines.card.options import CardOptions
from curate.pipelines.card.page import render_page
from curate.pipelines.card.replay import replay_command
from curate.pipelines.card.tally import tally_pairs
from curate.pipelines.card.thumbnails import thumbnails_of
from curate.pipelines.matched.decisions import BalanceJob, KeptSummary
from curate.pipelines.matched.drops import CONTAMINATED
from curate.pipelines.matched.plan import SUMMARY, MatchedPlan
from curate.pipelines.opt_outs.signals import SOURCES
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import combined_hash

__all__ = ["CARDS", "Counts", "write_cards"]

CARDS = ("datacard.json", "datacard.md", "datacard.html")

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
    options: CardOptions | None = None,
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
        options: how much it shows; None for the usual.
        workers: threads.
        quiet: no progress.

    Raises:
        AssertionError: the sums that the contract guarantees do not hold.
        UsageError: a column that was asked for has too many values.
    """
    options = options or CardOptions()
    summary, num_examples = plan.whole_summary(), options.num_examples
    with_matches = sum(bool(t) for t in t_of.values())
    num_chosen = examples_per_language(with_matches) if num_examples is None else num_examples
    tally = tally_pairs(
        plan, job, counts, t_of, num_chosen=num_chosen, by=options.by, workers=workers,
        quiet=quiet,
    )  # fmt: skip
    total, languages = card_figures(plan, counts, t_of, tally, summary)
    card = {
        "schema_version": artifacts.SCHEMA_VERSION,
        "command": replay_command(plan, parameters),
        **options.titles,
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
    card["kept_pairs"], content = kept_facts(
        job.output, parameters["format"], len(plan.parts), card["total"]["kept"]
    )
    if content:
        card["content"] = content
    card["matched_pairs"] = {
        name: summary[name] for name in ("more_images", "repeated_ids", "with_image", "without_url")
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
    if options.by:
        card["by"] = breakdown(tally.pairs.values, options.by)
    if (classes := options.classes) is not None:
        lang = classes.lang
        card["classes"] = class_coverage(
            classes, counts[lang], tally.kept_count[lang], t_of[lang], plan.counts_path(lang)
        )
    plan.require_unchanged()  # or the sums below would not hold
    _check_sums(plan, total, tally.pairs.summary, kept)
    if options.entries:
        write_entries(plan, t_of, tally.kept_count, card["balanced"], output)
    thumbnails = thumbnails_of(
        plan, tally.chosen, job.output, options.thumbnail_bytes, job.images, options.image_roots,
        quiet=quiet,
    )  # fmt: skip
    pages: dict[str, dict[str, Any]] = {}
    page = render_page(card, thumbnails)
    for name, text in (("datacard.md", render_markdown(card)), ("datacard.html", page)):
        with storage.publish(storage.join(output, name)) as file:
            summed = SummedFile(file)
            summed.write(text.encode())
            pages[name] = summed.sum
    card["pages"] = pages
    # Last: it is the sign that the set and its cards are whole.
    artifacts.write_json(storage.join(output, "datacard.json"), card)
    return card


def _versions() -> dict[str, str]:
    others = {name: version(name) for name in _PACKAGES}
    return {"python": python_version(), COMMAND: VERSION, **others}


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
