"""What kept pairs have beside their texts, from the notes beside shards and in Parquet files."""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from curate.files import storage
from curate.files.remedies import carried
from curate.pipelines.card.counted.content import content_facts
from curate.pipelines.matched.facts import CONTENT
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name

__all__ = ["beside_text", "downloaded_facts", "kept_facts", "opt_outs_text",
           "said_of_use"]  # fmt: skip

_READERS = 16  # threads that read notes, which is waiting most of all


def kept_facts(
    balanced: str, output_format: str, num_parts: int, num_kept: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Count the kept pairs with and without image, and without a URL.

    Args:
        balanced: folder that `balance` wrote.
        output_format: shards or parquet.
        num_parts: of the matches, each of which is a file of pairs.
        num_kept: pairs.

    Returns:
        ``with_image``, ``without_image`` and ``without_url``; of shards also ``no_image``, the
        reasons why pairs have none.
        And what is known of texts and URLs, see `content_facts`.
    """
    if output_format == "shards":
        return _facts_of_shards(storage.join(balanced, "shards"), num_kept)
    facts: Counter[str] = Counter()
    paths = [storage.join(balanced, "pairs", part_name(i, "parquet")) for i in range(num_parts)]
    with ThreadPoolExecutor(_READERS) as pool:
        stamps = list(pool.map(carried(artifacts.read_stamp), paths))
    for stamp in stamps:
        facts.update(stamp.get("kept", {}))
    notes = (stamp[CONTENT] for stamp in stamps if CONTENT in stamp)
    named = _named(num_kept, facts["with_image"], facts["without_url"])
    return named, content_facts(notes, num_kept)


def _facts_of_shards(folder: str, num_kept: int) -> tuple[dict[str, Any], dict[str, Any]]:
    reasons: Counter[str] = Counter()
    contents: list[Any] = []
    with_image = without_url = 0
    with ThreadPoolExecutor(_READERS) as pool:
        for note in pool.map(carried(artifacts.read_json), storage.list_files(folder, ".json")):
            with_image += note["images"]
            without_url += note.get("without_url", 0)
            reasons.update(note["without_image"])
            if CONTENT in note:
                contents.append(note[CONTENT])
    named = _named(num_kept, with_image, without_url)
    return {**named, "no_image": dict(sorted(reasons.items()))}, content_facts(contents, num_kept)


def downloaded_facts(balanced: str) -> dict[str, Any]:
    """Count what came of the URLs of the kept pairs, where `download` has asked for them.

    Args:
        balanced: folder, beside whose pairs `download` writes its shards.

    Returns:
        ``pairs`` that were asked for, ``images`` that came, ``failed`` by reason, and ``opt_outs``:
        pairs by what servers and hosts said; {} where nothing was downloaded.
    """
    notes = storage.list_files(storage.join(balanced, "shards"), "_stats.json")
    if not notes:
        return {}
    failed, opt_outs = Counter[str](), Counter[str]()
    pairs = images = 0
    with ThreadPoolExecutor(_READERS) as pool:
        for note in pool.map(carried(artifacts.read_json), notes):
            pairs += note["count"]
            images += note["successes"]
            failed.update({k: n for k, n in note["status_dict"].items() if k != "success"})
            opt_outs.update(note.get("opt_outs", {}))
    return {"pairs": pairs, "images": images, "failed": dict(sorted(failed.items())),
            "opt_outs": dict(sorted(opt_outs.items()))}  # fmt: skip


def opt_outs_text(found: Mapping[str, int], what: str) -> str:
    """Say how many pairs were left out because of what was said of their use, or taken although.

    Args:
        found: pairs by signal, ``opted_out`` and ``ignored``.
        what: that says so: page, or server.

    >>> opt_outs_text({"opted_out": 2}, "page"), opt_outs_text({}, "server")
    ('2 pairs were left out because their page says no.', 'No pair was left out.')
    """
    if ignored := found.get("ignored", 0):
        return f"{ignored:,} pairs were taken although their {what} says no (--ignore-opt-outs)."
    left = found.get("opted_out", 0)
    if not left:
        return "No pair was left out."
    were = "pair was" if left == 1 else "pairs were"
    return f"{left:,} {were} left out because their {what} says no."


def said_of_use(card: Mapping[str, Any]) -> dict[str, Mapping[str, int]]:
    """Return pairs by signal, of the pages that they are from and of the servers of images.

    Args:
        card: as `curate.pipelines.card.write` puts it together.
    """
    said = {"page": card["opt_outs"]["pairs"]} if card["opt_outs"]["pairs"] else {}
    if downloaded := card.get("downloaded"):
        left = downloaded["failed"].get("opted_out", 0)
        said["server"] = {**downloaded["opt_outs"], **({"opted_out": left} if left else {})}
    return said


def _named(num_kept: int, with_image: int, without_url: int) -> dict[str, Any]:
    return {"with_image": with_image, "without_image": num_kept - with_image,
            "without_url": without_url}  # fmt: skip


def beside_text(card: Mapping[str, Any]) -> str:
    """Say how many pairs have images and URLs, and whether ids repeat.

    Args:
        card: as `curate.pipelines.card.write` puts it together.
    """
    kept, matched = card["kept_pairs"], card["matched_pairs"]
    reasons = [f"{reason.replace('_', ' ')} {num:,}"
               for reason, num in kept.get("no_image", {}).items()]  # fmt: skip
    why = f" ({', '.join(reasons)})" if reasons else ""
    words = [
        f"Of the kept pairs {kept['with_image']:,} come with an image and "
        f"{kept['without_image']:,} without{why}; {kept['without_url']:,} have no URL."
    ]
    if more := matched.get("more_images"):
        words.append(f"Of the matched pairs' images {more:,} are beyond the first of their pair "
                     "and are not taken.")  # fmt: skip
    if repeated := matched.get("repeated_ids"):
        words.append(
            f"Matched pairs whose id stood before: {repeated['copies']:,} copies, "
            f"{repeated['others']:,} others."
        )
    return " ".join(words)
