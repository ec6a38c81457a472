"""What was matched, as a table for a terminal."""

from collections.abc import Mapping
from typing import Any

from curate.files.remedies import suggest
from curate.files.sizes import several
from curate.metadata.languages import OTHER
from curate.pipelines.inputs.bad_reasons import REJECTED_REASONS
from curate.pipelines.lid.step_names import steps_line
from curate.pipelines.matched.notes import noted_metadata
from curate.pipelines.store.metadata_store import MetadataStore
from curate.pipelines.views.tables import MAX_LANGUAGES, by_size, with_rest
from curate.pipelines.views.terminal import inert

__all__ = ["match_table"]


MAX_INPUTS = 10


SUGGESTED = 10  # languages to build
_MANY = 0.3  # share of texts without an entry above which it is said why


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
        for lang, v in by_size(result["languages"], "read")
        if lang not in without
    ]
    dropped = ", ".join(f"{reason} {num:,}" for reason, num in result["dropped"].items())
    lines = [with_rest(["lang", "read", "matched", "dropped"], rows)] if rows else []
    lines += _without_metadata(without, output) + _unknown_labels(result.get("unknown_labels"))
    steps = result.get("language_decided_by", {})
    lines += [steps_line(steps)] if steps.keys() - {"told"} else []
    if "by_caption" in result:
        num = result["by_caption"]
        lines.append(f"matched by a caption: {num:,}; by the alt-text: {result['matched'] - num:,}")
    lines += _beside_texts(result) + _repeated_ids(result.get("repeated_ids"))
    lines += [f"read {result['read']:,} = matched {result['matched']:,}"
              f" + dropped {sum(result['dropped'].values()):,} ({dropped or 'none'})"]  # fmt: skip
    unmatched = result["dropped"].get("no_match", 0)
    if unmatched > _MANY * result["read"]:
        told = suggest("explain", "TEXT")
        lines.append(
            f"no_match is {unmatched / result['read']:.0%}: case counts, `Dog` is not `dog`; "
            f"`{told}` says of a text what it would match in lower case"
        )
    if "image_outside" in result["dropped"]:
        lines.append(
            "image_outside: files of images are read from the folder of their table alone; name "
            "others with --image-root"
        )
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


def _without_metadata(texts: Mapping[str, int], output: str) -> list[str]:
    """Say which languages are missing, the most frequent first, and how to add them."""
    if not texts:
        return []
    langs = sorted(texts, key=lambda lang: (-texts[lang], lang))
    shown = ", ".join(f"{lang} {texts[lang]:,}" for lang in langs[:MAX_LANGUAGES])
    more = f" and {len(langs) - MAX_LANGUAGES} more" if len(langs) > MAX_LANGUAGES else ""
    num = f"{len(langs)} languages" if len(langs) > 1 else "a language"
    total = sum(texts.values())
    are = "is" if total == 1 else "are"
    lines = [f"{several(total, 'text')} {are} in {num} without metadata: {shown}{more}"]
    if named := [lang for lang in langs if lang != OTHER][:SUGGESTED]:
        ways = _ways_to_build(named, output)
        lines += [f"to match them, {way}" for way in ways]
        if any("Wikipedia" in way or "build" in way for way in ways):
            lines.append("see with --dry-run what is fetched; then match with --overwrite")
    return lines


def _ways_to_build(langs: list[str], output: str) -> list[str]:
    """Say how to build languages as those were built that were matched with."""
    metadata = noted_metadata(output) if output else None
    if metadata is None:
        return [f"build them with: {suggest('build-metadata', '--lang', ','.join(langs))}"]
    return MetadataStore(metadata).ways_to_build(*langs)


def _unknown_labels(found: Mapping[str, Any] | None) -> list[str]:
    if not found:
        return []
    shown = ", ".join(f"{inert(label)} ({num:,})" for label, num in found["first"].items())
    more = ", …" if sum(found["first"].values()) < found["rows"] else ""
    return [f"language column: {found['rows']:,} records have unknown labels, so that their "
            f"language was identified: {shown}{more}"]  # fmt: skip


def _beside_texts(result: Mapping[str, Any]) -> list[str]:
    """Say how many pairs have images and URLs, where not all have the one or the other."""
    matched = result["matched"]
    with_image, without_url = (result.get(name, 0) for name in ("with_image", "without_url"))
    lines = []
    if with_image:
        lines.append(f"pairs with an image: {with_image:,}; without: {matched - with_image:,}")
    if more := result.get("more_images"):
        lines.append(f"images beyond the first of their pair, which are not taken: {more:,}")
    if without_url:
        rest = "" if with_image else ", and no image either that was found (see --image-column)"
        lines.append(f"pairs without a URL, which `download` leaves out: {without_url:,}{rest}")
    return lines


def _repeated_ids(found: Mapping[str, int] | None) -> list[str]:
    if not found:
        return []
    lines = []
    if found["copies"]:
        lines.append(f"copies, with the id, URL and text of a pair before: {found['copies']:,}")
    if found["others"]:
        lines.append(
            f"other pairs with the id of a pair before: {found['others']:,}; they are kept, and "
            "retracted, together with it"
        )
    return lines


def _inputs_added(result: Mapping[str, Any]) -> list[str]:
    """Say what this run added to what was there, which is in all figures too."""
    added = result.get("inputs_added", result["inputs"])
    before = result["inputs"] - added
    if not before:
        return []
    files = "1 file" if added == 1 else f"{added:,} files"
    return [f"added {files if added else 'no file'} to {before:,} already matched"]
