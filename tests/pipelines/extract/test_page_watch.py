import os
import resource
import sys

import pytest

from curate.pipelines.extract.page_watch import MAX_ELEMENTS_IN_PLACE, PageWatch
from curate.pipelines.extract.pages import BadPageError, PageOptions
from curate.pipelines.extract.records import CrawlRecord
from tests.pipelines.crawl_helpers import PAGE_URL
from tests.pipelines.parser_stand_in import large, stand_in

ONLY_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="other systems set no such limit")


def page(body, is_wat=False):
    return CrawlRecord(offset=0, is_wat=is_wat, page_url=PAGE_URL, body=body)


@pytest.fixture
def watch():
    one = PageWatch(PageOptions(page_seconds=1), parse=stand_in)
    yield one
    one.close()


def parsed_by(watch, body):
    return int(watch.rows(page(body)).page_lang)


def test_large_pages_share_a_child_and_small_ones_are_parsed_in_place(watch):
    image = b"<img src=a alt=b>"
    assert parsed_by(watch, image) == parsed_by(watch, image * MAX_ELEMENTS_IN_PLACE) == os.getpid()
    child = parsed_by(watch, image * (MAX_ELEMENTS_IN_PLACE + 1))
    assert child == parsed_by(watch, large("nothing")) != os.getpid()


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("spin", "page_too_slow"),
        pytest.param("allocate", "parser_failed", marks=ONLY_LINUX),
        ("exit", "parser_failed"),
    ],
)
def test_a_parser_that_goes_wrong_costs_its_page_and_no_other(watch, what, reason):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pytest.raises(BadPageError, match=f"^{reason}$"):
        watch.rows(page(large(what)))
    assert parsed_by(watch, large("nothing")) != os.getpid()
    watch.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The start of two children, a second that is allowed, and two of rounding.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 30


def test_the_time_of_earlier_pages_is_not_counted(watch):
    # 2.4 s for four pages, of which each may take one to two.
    assert len({parsed_by(watch, large("busy")) for _ in range(4)}) == 1


def test_what_is_no_page_is_said_by_the_child_and_does_not_end_it(watch):
    child = parsed_by(watch, large("nothing"))
    with pytest.raises(BadPageError, match="bad_page_url"):
        watch.rows(CrawlRecord(offset=0, is_wat=False, page_url="urn:x:y", body=large("nothing")))
    assert parsed_by(watch, large("nothing")) == child
