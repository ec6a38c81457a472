"""The figures of an evaluation, as text for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from curate.pipelines.evaluate.ensemble import figure_of
from curate.pipelines.views.tables import render_table

__all__ = ["eval_table"]


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
        if "experts" in found:
            lines += _expert_lines(found)
        if found["unusable"]:
            reasons = ", ".join(f"{reason} {num:,}" for reason, num in found["skipped"].items())
            lines.append(f"  left out: {reasons}")
    return "\n".join(lines)


def _expert_lines(found: Mapping[str, Any]) -> list[str]:
    """Show an ensemble beside the mean of all and each expert, with its weight."""
    weights = found["weights"]
    is_one = all(isinstance(weight, float) for weight in weights.values())
    rows = [["ensemble", "", f"{figure_of(found):.1%}"],
            ["plain mean", "", f"{figure_of(found['mean']):.1%}"]]  # fmt: skip
    for name, figures in found["experts"].items():
        shown = f"{weights[name]:.3f}" if is_one else "by task"
        is_best = " (best on this set)" if name == found["best"] else ""
        rows.append([name, shown, f"{figure_of(figures):.1%}{is_best}"])
    return [render_table(["", "weight", "figure"], rows)]


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
        [group, *(f"{figures[way][f'R@{k}']:.1%} {_range(figures['intervals'][way][f'R@{k}'])}"
                  for way in ways for k in (1, 5, 10))]
        for group, figures in groups.items()
    ]  # fmt: skip
    header = ["", "i→t R@1", "R@5", "R@10", "t→i R@1", "R@5", "R@10"]
    return [
        f"{name}: retrieval, {found['distinct_images']:,} images, {found['texts']:,} texts",
        render_table(header, rows),
    ]
