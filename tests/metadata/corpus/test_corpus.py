import bz2
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import CurateError, InputError, MissingExtraError
from curate.files.processes import in_processes
from curate.metadata.corpus.count import count_corpus, share_memory
from curate.metadata.ngrams import words
from tests.metadata.ngram_reference import count_texts, counts_of
from tests.metadata.wikipedia.test_dump import dump, xml_page
from tests.pipelines.helpers import KILLS

MB = 1 << 20


def articles(num, seed=0):
    rng = random.Random(seed)
    for n in range(num):
        words = [f"w{int(rng.paretovariate(0.6)) % 5000}" for _ in range(200)]
        yield f"Title {n}", " ".join(words)


@pytest.fixture(scope="module")
def dumps(tmp_path_factory):
    """One wiki as a plain dump, one as two bz2 files, one as Parquet."""
    folder = tmp_path_factory.mktemp("dumps")
    rows = list(articles(600))
    pages = [xml_page(title, text=text) for title, text in rows]
    (folder / "plain.xml").write_text(dump(*pages), "utf-8")
    for name, some in (("one", pages[:200]), ("two", pages[200:])):
        (folder / f"{name}.xml.bz2").write_bytes(bz2.compress(dump(*some).encode(), 1))
    titles, texts = zip(*rows, strict=True)
    table = pa.table({"title": titles, "text": texts})
    pq.write_table(table, folder / "a.parquet", row_group_size=99)
    return folder


def count(folder, *paths, **options):
    """Return what the merged run holds, its bytes, and the pages."""
    values = {"memory_bytes": 1 << 30, "workers": 1, "needs_words": True, **options}
    with count_corpus("en", [str(p) for p in paths], folder, **values) as corpus:
        run = corpus.counts.run
        return counts_of(run), corpus.pages, corpus.counts.num_tokens


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("part_bytes", [None, 100_000])
@pytest.mark.parametrize("memory_bytes", [1, 1 << 30])
def test_counts_do_not_depend_on_files_parts_or_memory(dumps, tmp_path, part_bytes, memory_bytes):
    expected = count_texts([text for _, text in articles(600)], "en")
    options = {"part_bytes": part_bytes, "memory_bytes": memory_bytes}
    for number, names in enumerate([["plain.xml"], ["two.xml.bz2", "one.xml.bz2"], ["a.parquet"]]):
        paths = [dumps / name for name in names]
        counts, pages, num_tokens = count(tmp_path / str(number), *paths, **options)
        assert counts == expected
        assert (pages, num_tokens) == ({"article": 600}, 120_000)


def test_a_part_that_is_counted_is_not_counted_again(dumps, tmp_path):
    first = count(tmp_path, dumps / "plain.xml", part_bytes=200_000)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    lost = next(path for path in kept if path.name.endswith(".json"))
    lost.unlink()
    parts = []
    second = count(tmp_path, dumps / "plain.xml", part_bytes=200_000, on_part=parts.append)
    assert second == first
    assert [part.path.name for part in parts if part.seconds] == [lost.name.removesuffix(".json")]
    changed = [p for p, time_ns in kept.items() if p.stat().st_mtime_ns != time_ns]
    assert all(path.name.startswith(lost.stem) for path in changed)


def test_a_file_that_changed_is_counted_anew(dumps, tmp_path):
    path = tmp_path / "plain.xml"
    path.write_bytes((dumps / "plain.xml").read_bytes())
    before = count(tmp_path / "scratch", path)[0]
    path.write_text(dump(xml_page("A", text="other")), "utf-8")
    after = count(tmp_path / "scratch", path)[0]
    assert before != after and after[0] == {"other": 1}


def test_nothing_but_the_parts_is_left(dumps, tmp_path):
    (tmp_path / ".tmp-of-a-killed-run").write_bytes(b"x")
    count(tmp_path, dumps / "plain.xml", part_bytes=300_000, memory_bytes=1)
    kinds = {name.partition(".")[2] for name in names_in(tmp_path)}
    assert kinds == {"json", "pairs.parquet", "titles.parquet", "words.parquet"}


def test_a_corrupt_dump_leaves_what_is_counted_and_names_the_file(dumps, tmp_path):
    path = tmp_path / "cut.xml.bz2"
    path.write_bytes((dumps / "two.xml.bz2").read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"cut\.xml\.bz2: corrupt or cut off after"):
        count(tmp_path / "scratch", dumps / "one.xml.bz2", path)
    assert sum(name.endswith(".json") for name in names_in(tmp_path / "scratch")) == 1
    with pytest.raises(InputError, match="no.xml.bz2: there is no such dump"):
        count(tmp_path / "scratch", tmp_path / "no.xml.bz2")


def test_a_wiki_without_articles_is_counted(tmp_path):
    path = tmp_path / "dewiki.xml"
    path.write_text(dump(xml_page("Diskussion:A", 1)), "utf-8")
    counts, pages, num_tokens = count(tmp_path / "scratch", path)
    assert (counts, pages, num_tokens) == (({}, {}), {"other_namespace": 1}, 0)
    assert count(tmp_path / "nothing")[2] == 0


def test_titles_alone_need_no_segmenter(dumps, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "icu4py.breakers", None)
    words._word_breaker.cache_clear()
    options = {"memory_bytes": 1, "workers": 1}
    path = str(dumps / "plain.xml")
    with count_corpus("ja", [path], tmp_path, needs_words=False, **options) as corpus:
        assert (corpus.pages, corpus.counts.num_tokens) == ({"article": 600}, 0)
    with pytest.raises(MissingExtraError, match="ja"):
        with count_corpus("ja", [path], tmp_path, needs_words=True, **options):
            pass


def test_processes_give_the_same(dumps, tmp_path):
    one = count(tmp_path / "one", dumps / "two.xml.bz2", part_bytes=200_000)
    two = count(tmp_path / "two", dumps / "two.xml.bz2", part_bytes=200_000, workers=2)
    assert one == two


def test_the_memory_is_shared_among_as_many_processes_as_fit():
    assert share_memory(1 << 30, 16)[0] == 3
    assert share_memory(64 << 30, 16)[0] == 16
    for memory_bytes in (700 * MB, 1 << 30, 4 << 30):
        workers, each = share_memory(memory_bytes, 8)
        assert workers * (each + 220 * MB) + (220 * MB if workers > 1 else 0) <= memory_bytes
    assert share_memory(1, 4) == (1, 48 * MB)


def die(task):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_dies_is_an_error_that_says_what_to_do():
    with pytest.raises(CurateError, match="died.*run the same command again"):
        list(in_processes(die, [1, 2, 3], 2))


SCRIPT = """
import sys
from pathlib import Path
from curate.metadata.build import LanguageSources, build_language
from curate.metadata.entries import Thresholds, metadata_hash

if __name__ == "__main__":
    sources = LanguageSources(dumps=(sys.argv[1],), wordnet_dir=None,
                              kinds=frozenset({"unigram", "bigram", "title"}))
    limits = Thresholds(unigram_top_share=1, bigram_min_count=1, bigram_max_share=1)
    built = build_language("de", sources, limits, {"Title 3": 2}, scratch=Path(sys.argv[2]),
                           workers=int(sys.argv[3]), part_bytes=int(sys.argv[4]))
    print(metadata_hash(built.table.column("entry").to_pylist()), built.report)
"""


def run_script(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3], start_new_session=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A dump, and what is made of it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    path = folder / "dewiki.xml.bz2"
    pages = [xml_page(title, text=text) for title, text in articles(8_000, seed=1)]
    path.write_bytes(bz2.compress(dump(*pages).encode(), 1))
    return path, run_script(path, folder / "scratch", 1, 10_000_000).communicate(timeout=120)[0]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_build_killed_at_random_times_ends_with_the_same_entries(undisturbed, tmp_path, workers):
    path, expected = undisturbed
    began = time.monotonic()
    run_script(path, tmp_path / "once", workers, 300_000).communicate(timeout=120)
    seconds = time.monotonic() - began
    rng = random.Random(workers)
    killed = 0
    while killed < max(3, KILLS // 5):
        process = run_script(path, tmp_path / "killed", workers, 300_000)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0.2, 1.0) * seconds)
        killed += (at_work := process.poll() is None)
        process.kill()
        process.communicate(timeout=60)  # workers hold its output until they see that it is gone
        if not at_work:  # it came to its end: the next ones begin anew, and are killed earlier
            shutil.rmtree(tmp_path / "killed")
            seconds *= 0.8
    last = run_script(path, tmp_path / "killed", workers, 300_000)
    found, _ = last.communicate(timeout=120)
    assert last.returncode == 0 and found == expected
    assert not list((tmp_path / "killed").glob(".tmp-*"))
