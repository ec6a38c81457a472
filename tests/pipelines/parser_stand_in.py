"""A parser that does on demand what a guard is for, with pages that are nothing to any other."""

import mmap
import os
import time

from curate.pipelines.extract.page_watch import MAX_BYTES_IN_PLACE
from curate.pipelines.extract.pages import PageOptions, PageRows, page_rows
from curate.pipelines.extract.records import CrawlRecord

_MARK = b"<!-- stand-in: "


def large(what: str) -> bytes:
    """Return a page that is parsed in the child, and what the stand-in shall do there."""
    return _MARK + what.encode() + b" -->" + b" " * MAX_BYTES_IN_PLACE


def _take_addresses(size_bytes: int) -> None:
    """Ask for more than the child may have; where it may, nothing of it is touched."""
    try:
        mmap.mmap(-1, size_bytes).close()
    except OSError as error:
        raise MemoryError(str(error)) from error


def stand_in(record: CrawlRecord, options: PageOptions) -> PageRows:
    """Parse a page, or do as its mark says."""
    what = record.body.partition(_MARK)[2].partition(b" ")[0].decode()
    if what == "spin":
        while True:
            pass
    elif what == "allocate":
        _take_addresses(8 << 30)
    elif what == "busy":
        enough = time.process_time() + 0.6
        while time.process_time() < enough:
            pass
    elif what == "exit":
        os._exit(3)
    found = page_rows(record, options)
    found.page_lang = str(os.getpid())
    return found
