"""A balanced set against what its card promises: no part missing, doubled or foreign."""

import os
from typing import Any

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.remedies import suggest
from curate.pipelines.matched.facts import CONTENT
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import refuse_half
from curate.pipelines.store.workspace import CARD, part_name
from curate.pipelines.views.tables import in_words

__all__ = ["require_all", "require_part"]


def _remedy() -> str:
    return f"Run `{suggest('balance')}` again with the same options and --overwrite."


def require_part(path: str, index: int, parameters: str) -> None:
    """Compare a part of pairs, or a shard, with what has to be in its place.

    Args:
        path: of the Parquet file or the tar.
        index: its number among all, which its name has to be.
        parameters: hash of what the set was made with.

    Raises:
        ArtifactError: another part is missing before it, or it is another part or set's.
    """
    kind = "parquet" if path.endswith(".parquet") else "tar"
    expected = part_name(index, kind)
    if os.path.basename(path) != expected:
        raise ArtifactError(f"{path}: expected {expected} in its place. {_remedy()}")
    if kind == "tar":
        found = {
            "parameters": artifacts.read_json(f"{path.removesuffix('.tar')}.json")["parameters"]
        }
        wanted: dict[str, Any] = {"parameters": parameters}
    else:
        found, wanted = artifacts.read_stamp(path), {"parameters": parameters, "part": index}
        for facts in ("kept", CONTENT):  # of its pairs, which a part has only where there are any
            found.pop(facts, None)
    if found != wanted:
        raise ArtifactError(
            f"{path} is a part of another set, or another part of this one: it says "
            f"{in_words(found)}, expected {in_words(wanted)}. {_remedy()}"
        )


def require_all(folder: str, parameters: str, num_pairs: int) -> None:
    """Compare the number of pairs that were found with what the card of the set says.

    Raises:
        ArtifactError: they differ, the card is another set's, or the set is being replaced.
    """
    refuse_half(folder)
    card = artifacts.read_json(storage.join(folder, CARD))
    if card["balanced"] != parameters:
        raise ArtifactError(
            f"{folder}: {CARD} is that of another set than the pairs, which were replaced "
            f"meanwhile or put there by hand. Run the same command again, or: {_remedy()}"
        )
    if card["total"]["kept"] != num_pairs:
        raise ArtifactError(
            f"{folder}: there are {num_pairs} pairs, {CARD} says {card['total']['kept']}: a part "
            f"is missing or foreign. {_remedy()}"
        )
