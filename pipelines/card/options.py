"""What decides how much a data card shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from curate.pipelines.card.classes import ClassList

__all__ = ["THUMBNAIL_BYTES", "CardOptions"]

THUMBNAIL_BYTES = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CardOptions:
    """How much a data card shows.

    Attributes:
        classes: whose coverage is to be shown; None for none.
        num_examples: texts to show per language and decision; None for a few, 0 for none, not
            even dropped ones.
        titles: name, license and date of the set, as far as they are given.
        by: columns whose values are counted.
        thumbnail_bytes: of all images of examples together; 0 for none.
        image_roots: folders that images may be read from besides those of the inputs.
        entries: write all entries too, see `entry_files`.
    """

    classes: ClassList | None = None
    num_examples: int | None = None
    titles: Mapping[str, str] = field(default_factory=dict)
    by: tuple[str, ...] = ()
    thumbnail_bytes: int = THUMBNAIL_BYTES
    image_roots: tuple[str, ...] = ()
    entries: bool = False
