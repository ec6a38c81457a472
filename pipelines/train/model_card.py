"""The model card of a run: what it was made of, how it went, what it consumed, and its curves."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from curate.files import storage
from curate.files.own_json import of_ours
from curate.pipelines.store import artifacts
from curate.pipelines.train.evaluations import evaluations_of
from curate.pipelines.train.files import RunFiles
from curate.pipelines.views.markdown import inert_markdown
from curate.pipelines.views.plots import Bar, bar_plot, can_draw, curve_plot, write_plot
from curate.pipelines.views.progress import log
from curate.pipelines.views.tables import cell
from curate.training.captions.mix import ALT
from curate.training.loop.config import StepOptions, TrainConfig
from curate.training.model.config import ModelConfig

__all__ = [
    "add_evaluations", "contaminated_sets", "device_name", "hash_if_there", "machine_of",
    "resolutions", "write_model_card",
]  # fmt: skip

_SHOWN_LANGUAGES = 20


def resolutions(config: TrainConfig, shape: ModelConfig) -> dict[str, Any]:
    """Return what a model card says of a schedule of sizes; nothing without one."""
    from curate.training.loop.resolution import phases

    if config.resolution_schedule is None:
        return {}
    found = [{"image_size": p.image_size, "last_step": p.end} for p in phases(config, shape)]
    return {"resolutions": found}


def hash_if_there(path: str | None) -> str | None:
    """Return a file's sha256; None where there is none."""
    return storage.file_sha256(path) if path and storage.exists(path) else None


def device_name(device: Any) -> str:
    """Return what a device is called."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def machine_of(world: Any, options: StepOptions) -> dict[str, Any]:
    """Return what a model card says of what a run was computed on."""
    import torch

    return {
        "device": device_name(world.device),
        "processes": world.size,
        "torch": str(torch.__version__),
        **asdict(options),
    }


def contaminated_sets(datacard: str | None) -> dict[str, Any]:
    """Return what a data card says of the evaluation sets that its pairs were compared with.

    Returns:
        ``contaminated``: of each set, images and pairs that fell; ``contaminated_pairs``: pairs
        that fell in all, each once; nothing if no set was compared.
    """
    if datacard is None or not storage.exists(datacard):
        return {}
    card = artifacts.read_json_of_anyone(datacard)
    about = card.get("contaminated") if isinstance(card, dict) else None
    sets = about.get("sets") if isinstance(about, dict) else None
    if not isinstance(sets, dict):
        return {}
    in_all = about.get("pairs") if isinstance(about, dict) else None
    pairs = {"contaminated_pairs": in_all} if isinstance(in_all, int) else {}
    return {**pairs, "contaminated": {
        str(name): {"images": int(one["images"]), "pairs": int(one["pairs"])}
        for name, one in sets.items() if isinstance(one, dict)
        and all(isinstance(one.get(key), int) for key in ("images", "pairs"))
    }}  # fmt: skip


def _contaminated(card: Mapping[str, Any]) -> str:
    found = card.get("contaminated")
    if not found:
        return ""
    shown = ", ".join(f"{_cell(name)} ({one['images']:,} images, {one['pairs']:,} pairs fell)"
                      for name, one in found.items())  # fmt: skip
    in_all = card.get("contaminated_pairs")
    more = "" if in_all is None or len(found) < 2 else f"; {in_all:,} in all"
    return f"- pairs were compared with evaluation sets: {shown}{more}\n"


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
    artifacts.write_json(path, dict(consumed))
    card = {**card, "consumed_sha256": storage.file_sha256(path)}
    steps = [(line["step"], line["loss"]) for line in lines if line["loss"] is not None]
    shares = {
        lang: found["share"] for lang, found in [*consumed["languages"].items()][:_SHOWN_LANGUAGES]
    }
    _write_plots(files.path("").rstrip("/"), steps, shares)
    return _write_cards(files, card, consumed)


def _write_plots(
    folder: str, points: Sequence[tuple[float, float]], shares: Mapping[str, float]
) -> None:
    """Write both drawings of a run as SVG and PNG, if there is something to draw with."""
    if not can_draw():
        log(f"{folder}: no plots, since matplotlib is not installed; the extra `plots` brings it")
        return
    bars = {lang: {"pairs": Bar(share)} for lang, share in shares.items()}
    loss = curve_plot("Loss", "step", "loss", {"loss": points})
    languages = bar_plot("Languages of the pairs seen", "share of the pairs", bars)
    for name, figure in (("loss", loss), ("languages", languages)):
        for kind in ("svg", "png"):
            write_plot(f"{folder}/{name}.{kind}", figure)


def _write_cards(
    files: RunFiles, card: Mapping[str, Any], consumed: Mapping[str, Any]
) -> dict[str, Any]:
    """Write both forms of the card, with what is known of the model by now."""
    evaluated = evaluations_of(files, card["train"]["steps"])
    whole = {**card, "evaluations": evaluated}
    has_plots = storage.exists(files.path("loss.svg"))
    _write_text(files.path("modelcard.md"), _markdown(whole, consumed, has_plots=has_plots))
    artifacts.write_json(files.card, whole)
    return whole


def add_evaluations(run: str) -> bool:
    """Put the results in a run's folder on its model card.

    Args:
        run: folder of the run.

    Returns:
        Whether there is a card; an export has none.
    """
    files = RunFiles(run)
    consumed = files.path("consumed.json")
    if not storage.exists(files.card) or not storage.exists(consumed):
        return False
    card = {"pairs_per_epoch": None, **artifacts.read_json(files.card)}  # not in one of version 0.1
    found = artifacts.read_json(consumed)
    with of_ours(files.card):
        _write_cards(files, card, found)
    return True


def _write_text(path: str, text: str) -> None:
    with storage.publish(path) as file:
        file.write(text.encode())


def _markdown(card: Mapping[str, Any], consumed: Mapping[str, Any], *, has_plots: bool) -> str:
    shape = ", ".join(f"{k} {v}" for k, v in card["model"].items())
    told = {k: v for k, v in card["train"].items() if k != "resolution_schedule"}
    how = ", ".join(f"{k} {v}" for k, v in told.items() if v is not None)
    skipped = ", ".join(f"{reason} {num:,}" for reason, num in card["skipped"].items())
    loss, languages = (
        (f"![{text}]({name}.svg)\n\n" if has_plots else "")
        for name, text in (("loss", "loss over steps"), ("languages", "languages"))
    )
    machine = ", ".join(f"{k} {v}" for k, v in card["machine"].items())
    weights = "an average over the steps" if card["averaged"] else "those of the last step"
    return (
        f"# Model card\n\nA CLIP model of {card['parameters']:,} parameters, trained on "
        f"{card['pairs_seen']:,} pairs{_of_epoch(card)}; last loss "
        f"{card['final_loss']:.3f}. The weights are {weights}.\n\n- shape: {shape}\n"
        f"- training: {how}\n"
        f"{_resolutions_line(card.get('resolutions'))}"
        f"- begun with: {_hash_or(card['init_sha256'], 'random weights')}\n"
        f"{_teacher_line(card.get('teacher'))}{_expert_line(card.get('expert'))}"
        f"- tokenizer: {_hash_or(card['tokenizer_sha256'], 'learned from the captions')}\n"
        f"- shards: {card['num_shards']}, sha256 `{card['shards']}`\n"
        f"- data card: sha256 `{card['datacard_sha256']}`\n"
        f"{_contaminated(card)}"
        f"- pairs consumed: [consumed.json](consumed.json), sha256 `{card['consumed_sha256']}`\n"
        f"{_captions(card, consumed)}"
        f"- samples skipped: {_cell(skipped or 'none')}\n"
        f"- steps left out for a loss that was not finite: {card['bad_steps']}\n"
        f"- last computed on: {machine}\n\n"
        f"{loss}## Consumed\n\n"
        f"{languages}"
        f"{_languages_table(consumed)}"
        f"{_evaluations_table(card['evaluations'])}"
    )


def _captions(card: Mapping[str, Any], consumed: Mapping[str, Any]) -> str:
    """Say what was consumed from which source; nothing where all texts are alt-texts."""
    sources = consumed.get("sources", {})
    if "captions" not in card and not {*sources} - {ALT}:
        return ""
    shown = ", ".join(f"{name} {one['pairs']:,} ({one['share']:.2%})"
                      for name, one in sources.items())  # fmt: skip
    line = f"- texts by source: {_cell(shown)}\n"
    if found := card.get("captions"):
        dropped = ", ".join(f"{reason} {num:,}" for reason, num in found["dropped"].items())
        line += (
            f"- captions: {found['captions']:,} of {found['pairs']:,} pairs, "
            f"{found['repeated']:,} repeated, left out: {_cell(dropped or 'none')}\n"
        )
    return line


def _evaluations_table(evaluated: Mapping[str, Mapping[str, Any]]) -> str:
    if not evaluated:
        return ""
    rows = [
        "",
        "## Evaluations",
        "",
        "| set | task | images | figures [95 % interval] |",
        "|---|---|---|---|",
    ]
    for name, found in evaluated.items():
        sure = found.get("intervals", {})
        figures = ", ".join(
            f"{k} {cell(v)}" + (f" [{cell(sure[k][0])}, {cell(sure[k][1])}]" if k in sure else "")
            for k, v in found.items() if isinstance(v, float)
        )  # fmt: skip
        rows.append(f"| {_cell(name)} | {found['task']} | {found['images']:,} | {figures} |")
    return "\n".join(rows) + "\n"


def _of_epoch(card: Mapping[str, Any]) -> str:
    """Say how many epochs it was, and of how many pairs.

    >>> _of_epoch({"pairs_per_epoch": 62_642, "epochs": 0.31})
    ' (0.31 epochs of 62,642 pairs)'
    """
    per_epoch = card["pairs_per_epoch"]
    return f" ({card['epochs']} epochs of {per_epoch:,} pairs)" if per_epoch else ""


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


def _resolutions_line(found: Sequence[Mapping[str, Any]] | None) -> str:
    r"""Say which steps had images of which size.

    >>> _resolutions_line([{"image_size": 112, "last_step": 900}])
    '- images: 112 pixels up to step 900\n'
    """
    shown = ", ".join(f"{one['image_size']} pixels up to step {one['last_step']:,}"
                      for one in found or ())  # fmt: skip
    return f"- images: {shown}\n" if shown else ""


def _teacher_line(teacher: Mapping[str, Any] | None) -> str:
    if teacher is None:
        return ""
    return f"- teacher: {_cell(teacher['name'])}, sha256 `{_cell(teacher['weights_sha256'])}`\n"


def _expert_line(expert: Mapping[str, Any] | None) -> str:
    if expert is None:
        return ""
    return (
        f"- expert of cluster {expert['cluster']} ({expert['pairs']:,} pairs; others with a chance "
        f"of {expert['outside']:.2%}), from step {expert['from_step']:,} of its run on; clusters "
        f"`{_cell(expert['clusters'])}`\n"
    )


def _hash_or(sha256: str | None, otherwise: str) -> str:
    return f"sha256 `{sha256}`" if sha256 else otherwise


def _cell(value: Any) -> str:
    return inert_markdown(str(value))
