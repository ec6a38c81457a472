"""`curate card`: a balanced set in, its data card as JSON, Markdown and one page out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.card.counted.entry_files import ENTRY_FILES
    from curate.pipelines.card.markdown import render_markdown
    from curate.pipelines.card.page import render_page
    from curate.pipelines.card.stage import make_card
    from curate.pipelines.card.view import card_table
    from curate.pipelines.card.write import CARDS, write_cards

__all__ = [
    "CARDS", "ENTRY_FILES", "card_table", "make_card", "render_markdown", "render_page",
    "write_cards",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "counted.entry_files": ["ENTRY_FILES"],
        "markdown": ["render_markdown"],
        "page": ["render_page"],
        "stage": ["make_card"],
        "write": ["CARDS", "write_cards"],
        "view": ["card_table"],
    },
)
