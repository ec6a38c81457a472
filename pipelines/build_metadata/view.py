"""What was built, as a table for a terminal."""

from collections.abc import Mapping
from typing import Any

from curate.pipelines.views.tables import by_size, plan_lines, with_rest

__all__ = ["metadata_table"]


def metadata_table(result: Mapping[str, Any]) -> str:
    """Show the number of entries of each language by source."""
    if "languages" not in result:
        return plan_lines(result)
    sources = ("number", "wordnet", "unigram", "bigram", "title")
    rows = [
        [lang, *(values["sources"].get(s, 0) for s in sources), values["entries"]]
        for lang, values in by_size(result["languages"], "entries")
    ]
    return with_rest(["lang", *sources, "entries"], rows) + f"\n→ {result['output']}"
