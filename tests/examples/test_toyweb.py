from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.curation.lid.identify import FastTextIdentifier, default_lid_model
from curate.metadata.views.pageviews import count_views
from curate.metadata.wikipedia.dump import read_pages
from examples.toyweb.world import LANGUAGES
from examples.toyweb.write import ToyWeb, toy_batches, write_toy_web
from tests.pipelines.helpers import contents


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    write_toy_web(folder, ToyWeb(rows=3000, files=2, eval_rows=100))
    return folder


def rows(folder):
    return pa.concat_tables([pq.read_table(f) for f in sorted((folder / "web").glob("*"))])


def test_a_seed_gives_the_same_bytes_and_another_seed_others(web, tmp_path):
    write_toy_web(tmp_path / "same", ToyWeb(rows=3000, files=2, eval_rows=100))
    assert contents(tmp_path / "same") == contents(web)
    write_toy_web(tmp_path / "other", ToyWeb(rows=3000, files=2, eval_rows=100, seed=1))
    assert rows(tmp_path / "other").column("text") != rows(web).column("text")


def test_the_rows_do_not_depend_on_the_number_of_files(web, tmp_path):
    write_toy_web(tmp_path, ToyWeb(rows=3000, files=1, eval_rows=100))
    assert rows(tmp_path).equals(rows(web))


def test_rows_look_like_the_web(web):
    table = rows(web)
    assert len(set(table.column("url").to_pylist())) == 3000
    concepts = [n for _, n in Counter(table.column("concept").to_pylist()).most_common()]
    assert concepts[0] > 8 * concepts[len(concepts) // 2]
    texts = table.column("text").to_pylist()
    assert any("IMG_" in t or ".jpg" in t.lower() for t in texts) and "" in texts
    assert len(set(table.column("image").to_pylist())) > 2900


def test_every_language_has_a_dump_and_page_views_that_name_its_articles(web):
    views = count_views(map(str, (web / "sources/pageviews").iterdir()), LANGUAGES)
    for lang in LANGUAGES:
        (dump,) = (web / "sources/dumps").glob(f"{lang}wiki-*")
        titles = {page.title for page in read_pages(str(dump)) if page.namespace == 0}
        assert titles and titles & set(views[lang])


def test_large_webs_are_made_block_by_block():
    batches = toy_batches(0, 0, 10**9, None)
    first = next(batches)
    assert first.num_rows < 10**5 and first.schema.names == ["url", "text", "concept"]


def test_captions_are_identified_as_their_language(web):
    table = pq.read_table(web / "eval/retrieval.parquet")
    found = FastTextIdentifier(default_lid_model()).identify(table.column("text").combine_chunks())
    assert (
        np.mean(np.array(found.lang.to_pylist()) == np.array(table.column("lang").to_pylist()))
        > 0.9
    )
