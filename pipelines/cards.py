"""Put the data card together and write it: `datacard.json` and `datacard.md`."""

import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.datacard import language_card, render_markdown
from pipelines import artifacts, storage
from pipelines.balance_part import KeptSummary
from pipelines.matched_plan import MatchedPlan
from pipelines.metadata_store import combined_hash
from pipelines.shard_options import ShardOptions

__all__ = ["write_cards"]

_NOTHING: dict[str, Any] = {"read": 0, "matched": 0, "dropped": {}}


def write_cards(
    plan: MatchedPlan,
    counts: Mapping[str, NDArray[np.int64]],
    t_of: Mapping[str, int | None],
    kept: KeptSummary,
    parameters: Mapping[str, Any],
    output: str,
) -> dict[str, Any]:
    """Write the data card of a balanced set and return it.

    Raises:
        AssertionError: the sums that the contract guarantees do not hold.
    """
    summary = plan.summary() or {}
    languages = {}
    for lang in sorted({*counts, *summary["languages"]}):
        entries: list[str] = []
        if lang in counts:
            column = artifacts.read_table(plan.counts_path(lang), ["entry"]).column("entry")
            entries = column.to_pylist()
        languages[lang] = language_card(
            entries,
            counts.get(lang, np.zeros(0, np.int64)),
            t_of.get(lang),
            summary["languages"].get(lang, _NOTHING),
            kept=kept.kept[lang],
            expected=kept.expected.get(lang, 0.0),
        )
        languages[lang]["not_sampled"] -= kept.filtered[lang]
    card = {
        "schema_version": artifacts.SCHEMA_VERSION,
        "command": replay_command(plan, parameters),
        "seed": parameters["seed"],
        "t": parameters["t"],
        "format": parameters["format"],
        "total": _total(languages, summary),
        "languages": languages,
        "metadata_hash": combined_hash(plan.parameters["metadata"]),
        "metadata": plan.parameters["metadata"],
        "matched": plan.digest(),
        "normalization": plan.parameters["normalization"],
        "lid_model": plan.parameters["lid_model"],
        "inputs": [
            {k: i[k] for k in ("path", "size_bytes", "sha256")} for i in plan.inputs
        ],
    }  # fmt: skip
    if "filters" in parameters:
        card["total"]["filtered"] = dict(sorted(kept.filters.items()))
    _check_sums(card, kept)
    storage.write_json(storage.join(output, "datacard.json"), card)
    with storage.publish(storage.join(output, "datacard.md")) as file:
        file.write(render_markdown(card).encode())
    return card


def _total(languages: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, Any]:
    names = ("read", "matched", "kept", "not_sampled", "expected", "slots", "matches")
    total = {name: sum(card[name] for card in languages.values()) for name in names}
    return {**total, "expected": round(total["expected"], 3), "dropped": summary["dropped"]}


def _check_sums(card: Mapping[str, Any], kept: KeptSummary) -> None:
    total = card["total"]
    if total["read"] != total["matched"] + sum(total["dropped"].values()):
        raise AssertionError(f"read is not matched + dropped: {total}")
    if total["matched"] != sum(kept.matched.values()):
        raise AssertionError(f"matched {total['matched']}, but {kept.matched} were looked at")
    filtered = sum(kept.filters.values())
    if total["matched"] != total["kept"] + total["not_sampled"] + filtered:
        raise AssertionError(f"matched is not kept + not sampled + filtered {filtered}: {total}")


def replay_command(plan: MatchedPlan, parameters: Mapping[str, Any]) -> str:
    """Return the commands that give the same pairs from the same inputs and metadata."""
    match = ["curate", "match", *(i["path"] for i in plan.inputs)]
    match += ["--normalization", plan.parameters["normalization"]]
    if plan.parameters["lang"]:
        match += ["--lang", plan.parameters["lang"]]
    for role, name in plan.parameters["columns"].items():
        match += [f"--{role}-column", name] if name else []
    for one in plan.parameters.get("filters", []):
        match += ["--filter", one["filter"]]
    balance = ["curate", "balance", "--t", str(parameters["t"])]
    if parameters["reference_lang"]:
        balance += ["--reference-lang", parameters["reference_lang"]]
    for one in parameters.get("filters", []):
        balance += ["--filter", one["filter"]]
    balance += ["--seed", str(parameters["seed"]), "--format", parameters["format"]]
    if parameters["pairs_per_shard"]:
        balance += ["--pairs-per-shard", str(parameters["pairs_per_shard"])]
        balance += ShardOptions.from_dict(parameters["shards"]).as_arguments()
    return f"{shlex.join(match)}\n{shlex.join(balance)}"
