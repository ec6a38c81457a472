"""How many pages and pairs of crawl files each way to say no touches, as a Markdown table.

    python -m examples.bench.sources.opt_outs FILE...

Pages count with and without images; pairs as `curate extract` finds them, before filters and
duplicates. A page or pair counts under each signal that touches it.
"""

import argparse
from collections import Counter

from curate.files.patterns import expand
from curate.pipelines.extract.encoding import decode_page
from curate.pipelines.extract.html import meta_elements
from curate.pipelines.extract.pages import BadPageError, PageOptions, page_rows
from curate.pipelines.extract.records import CrawlRecord, read_records
from curate.pipelines.opt_outs.content import meta_signals
from curate.pipelines.opt_outs.signals import count_signals

MAX_PAGE_BYTES = 16 << 20


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="+", help="WARC, WAT; files, folders, patterns")
    options = PageOptions(ignore_opt_outs=True)
    pages, pairs = Counter[str](), Counter[str]()
    num_pages = num_pairs = 0
    for path in expand(parser.parse_args().files):
        for record in read_records(path, MAX_PAGE_BYTES):
            if not isinstance(record, CrawlRecord):
                continue
            try:
                rows = page_rows(record, options)
            except BadPageError:  # a WAT file has records of what is no page, too
                continue
            num_pages += 1
            num_pairs += len(rows.urls)
            pairs.update(rows.opt_outs)
            signals = list(record.signals)
            if not record.is_wat:
                html = decode_page(record.body, record.charset)
                signals += meta_signals(meta_elements(html))
            count_signals(pages, signals, 1)
    pairs.pop("ignored", None)
    print("| signal | pages | pairs |\n|---|---:|---:|")
    for name in sorted({*pages, *pairs}):
        print(f"| {name} | {pages[name]:,} | {pairs[name]:,} |")
    print(f"| all | {num_pages:,} | {num_pairs:,} |")


if __name__ == "__main__":
    main()
