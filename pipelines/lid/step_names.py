"""What decided over languages, in words: counts by step in, a line for people out."""

from collections.abc import Mapping

__all__ = ["STEP_NAMES", "steps_line"]

STEP_NAMES = {
    "told": "the input's column",
    "first": "the model",
    "first_unsure": "the model, though unsure",
    "second": "the second opinion",
    "prior": "the page or address",
    "no_letters": "none: no letters",
    "file_name": "none: a file's name",
    "hash": "none: a hash",
    "dimensions": "none: a size",
    "no_evidence": "none: nothing is known of the text",
}


def steps_line(found: Mapping[str, int]) -> str:
    """Say how many texts each step decided.

    >>> steps_line({"second": 20, "first": 1000})
    'language decided by: the model 1,000; the second opinion 20'
    """
    shown = [f"{name} {found[step]:,}" for step, name in STEP_NAMES.items() if found.get(step)]
    return "language decided by: " + "; ".join(shown)
