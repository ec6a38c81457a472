"""Texts of strangers in Markdown: shown as they are, whatever they hold."""

import re

from curate.pipelines.views.terminal import inert

__all__ = ["inert_markdown"]


def inert_markdown(text: str) -> str:
    r"""Escape what Markdown or HTML would act on, so that any text is shown as it is.

    >>> print(inert_markdown("a|<b>\u202e www.example.org"))
    a\|&lt;b&gt;\\u202e www\.example.org
    """
    shown = inert(text)
    for char, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        shown = shown.replace(char, escaped)
    escaped = "".join("\\" + c if c in "\\`*_{}[]()#+!|~$@:" else c for c in shown)
    return re.sub(r"(www)\.", r"\1\\.", escaped, flags=re.IGNORECASE)
