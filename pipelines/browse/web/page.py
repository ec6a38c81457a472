"""The page as one HTML file with its style and script, and the policy that names both."""

import re
from importlib.resources import files

from curate.pipelines.browse.web.guard import policy
from curate.pipelines.views.html import policy_hash

__all__ = ["icon", "page_and_policy"]


def page_and_policy() -> tuple[str, str]:
    """Return the page, and the Content-Security-Policy that it is served with."""
    style = _source("browse.css")
    script = "".join(_source(f"{name}.js") for name in ("base", "views", "pairs", "main"))
    values = {"style": style, "script": script}
    page = re.sub("%(style|script)%", lambda found: values[found[1]], _source("browse.html"))
    return page, policy(policy_hash(script), policy_hash(style))


def icon() -> str:
    """Return the picture of the page, as SVG."""
    return _source("icon.svg")


def _source(name: str) -> str:
    return (files("curate.pipelines.browse.web") / "page_files" / name).read_text("utf-8")
