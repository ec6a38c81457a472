"""The address of the page in, the usual browser at it out; no other user gets to see its token."""

import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from curate.pipelines.views.progress import log

__all__ = ["shown_in_browser"]

_REDIRECT = """<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}">
<title>curate browse</title>
<a href="{address}">curate browse</a>
"""


@contextmanager
def shown_in_browser(address: str) -> Iterator[None]:
    """Open a page in the usual browser.

    What a browser is to open stands on its command line, which all users of a machine can list. So
    that is a file that leads to the page, which its owner alone can read; it is gone at the end.

    Args:
        address: of the page, with its token.
    """
    with tempfile.TemporaryDirectory(prefix="curate-page-") as folder:  # for its owner alone
        path = Path(folder) / "page.html"
        path.touch(0o600)
        path.write_text(_REDIRECT.format(address=address), "utf-8")
        if not webbrowser.open(path.as_uri()):
            log("--open: no browser was found; open the address above in one")
        yield
