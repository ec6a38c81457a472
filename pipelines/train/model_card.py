"""The model card of a run: what it was made of, how it went, what it consumed, and its curves."""

from collections.abc import Mapping, Sequence
from typing import Any

from curate.files import storage
from curate.pipelines.train.files import RunFiles
from curate.pipelines.train.plots import bars_svg, curve_svg
from curate.pipelines.views.markdown import inert_markdown

__all__ = ["write_model_card"]

_SHOWN_LANGUAGES = 20


def write_model_card(
    files: RunFiles,
    card: dict[str, Any],
    lines: Sequence[Mapping[str, Any]],
    consumed: Mapping[str, Any],
) -> dict[str, Any]:
    """Write `consumed.json`, the plots, `modelcard.md`, and last `modelcard.json`.

    Args:
        files: of the run.
        card: of the model; the hash of `consumed.json` is added.
        lines: of the log.
        consumed: as `Consumed.card` gives it.

    Returns:
        The card as written.
    """
    path = files.path("consumed.json")
    storage.write_json(path, consumed)
    card = {**card, "consumed_sha256": storage.file_sha256(path)}
    steps = [(line["step"], line["loss"]) for line in lines if line["loss"] is not None]
    _write_text(files.path("loss.svg"), curve_svg("Loss", "step", {"loss": steps}))
    shares = {
        lang: found["share"] for lang, found in [*consumed["languages"].items()][:_SHOWN_LANGUAGES]
    }
    _write_text(files.path("languages.svg"), bars_svg("Languages of the pairs seen", shares))
    _write_text(files.path("modelcard.md"), _markdown(card, consumed))
    storage.write_json(files.card, card)
    return card


def _write_text(path: str, text: str) -> None:
    with storage.publish(path) as file:
        file.write(text.encode())


def _markdown(card: Mapping[str, Any], consumed: Mapping[str, Any]) -> str:
    shape = ", ".join(f"{k} {v}" for k, v in card["model"].items())
    how = ", ".join(f"{k} {v}" for k, v in card["train"].items() if v is not None)
    skipped = ", ".join(f"{reason} {num:,}" for reason, num in card["skipped"].items())
    machine = ", ".join(f"{k} {v}" for k, v in card["machine"].items())
    weights = "an average over the steps" if card["averaged"] else "those of the last step"
    return (
        f"# Model card\n\nA CLIP model of {card['parameters']:,} parameters, trained on "
        f"{card['pairs_seen']:,} pairs ({card['epochs']} epochs); last loss "
        f"{card['final_loss']:.3f}. The weights are {weights}.\n\n- shape: {shape}\n"
        f"- training: {how}\n"
        f"- begun with: {_hash_or(card['init_sha256'], 'random weights')}\n"
        f"- tokenizer: {_hash_or(card['tokenizer_sha256'], 'learned from the captions')}\n"
        f"- shards: {card['num_shards']}, sha256 `{card['shards']}`\n"
        f"- data card: sha256 `{card['datacard_sha256']}`\n"
        f"- pairs consumed: [consumed.json](consumed.json), sha256 `{card['consumed_sha256']}`\n"
        f"- samples skipped: {_cell(skipped or 'none')}\n"
        f"- steps left out for a loss that was not finite: {card['bad_steps']}\n"
        f"- last computed on: {machine}\n\n"
        "![loss over steps](loss.svg)\n\n## Consumed\n\n"
        "![languages](languages.svg)\n\n"
        f"{_languages_table(consumed)}"
    )


def _languages_table(consumed: Mapping[str, Any]) -> str:
    rows = ["| language | pairs | share | matches | distinct entries | most frequent entries |",
            "|---|---|---|---|---|---|"]  # fmt: skip
    languages = [*consumed["languages"].items()]
    for lang, found in languages[:_SHOWN_LANGUAGES]:
        top = ", ".join(
            f"{_cell(e.get('entry', e['entry_id']))} {e['pairs']:,}"
            for e in found["top_entries"][:5]
        )
        figures = (f"{found['pairs']:,}", f"{found['share']:.2%}", f"{found['matches']:,}",
                   f"{found['distinct_entries']:,}", top)  # fmt: skip
        rows.append(f"| {_cell(lang)} | {' | '.join(figures)} |")
    more = len(languages) - _SHOWN_LANGUAGES
    return "\n".join(rows) + (f"\n\nand {more} more languages" if more > 0 else "") + "\n"


def _hash_or(sha256: str | None, otherwise: str) -> str:
    return f"sha256 `{sha256}`" if sha256 else otherwise


def _cell(value: Any) -> str:
    return inert_markdown(str(value))
