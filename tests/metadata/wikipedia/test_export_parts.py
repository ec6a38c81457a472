"""Pages of an export: each once, articles only, redirects and titles as in a legacy dump."""

import re
from collections import Counter

import pytest

from curate.errors import InputError
from curate.metadata.corpus.count import count_corpus, count_dump
from curate.metadata.wikipedia.dump import MAIN_NAMESPACE, read_pages, read_part, split_dump
from curate.metadata.wikipedia.export_parts import page_spans
from curate.metadata.wikipedia.text_script import dump_script
from tests.metadata.export_xml import document, page, part


def write(folder, parts):
    folder.mkdir(exist_ok=True)
    paths = []
    for rest, pages in parts.items():
        paths.append(str(folder / f"dewiki-2026-08-01-{rest}.xml.bz2"))
        (folder / f"dewiki-2026-08-01-{rest}.xml.bz2").write_bytes(part(*pages))
    return paths


def titles(paths, tally=None):
    spans = page_spans(paths)
    parts = [piece for path in paths for piece in split_dump(path, span=spans.get(path))]
    return [p.title for piece in parts for p in read_part(piece, tally, MAIN_NAMESPACE)]


def test_the_same_page_in_two_parts_counts_where_its_id_belongs(tmp_path):
    paths = write(
        tmp_path,
        {
            "p1p9": [page(1, "A"), page(9, "B"), page(10, "C")],
            "p10p20": [page(9, "B"), page(10, "C")],
        },
    )
    tally = Counter()
    assert titles(paths, tally) == ["A", "B", "C"] and tally["of_another_part"] == 2


def test_a_page_with_a_part_of_its_own_counts_there(tmp_path):
    paths = write(
        tmp_path, {"p1p9": [page(1, "A"), page(5, "Old"), page(9, "C")], "p5r7r8": [page(5, "B")]}
    )
    tally = Counter()
    assert sorted(titles(paths, tally)) == ["A", "B", "C"] and tally["of_another_part"] == 1


def test_overlapping_parts_are_refused(tmp_path):
    paths = write(tmp_path, {"p1p9": [page(1, "A")], "p9p12": [page(9, "B")]})
    with pytest.raises(InputError, match=r"p1p9.xml.bz2 and .*p9p12.xml.bz2 both have page 9"):
        page_spans(paths)
    with pytest.raises(InputError, match="its last page is before its first"):
        page_spans(["dewiki-2026-08-01-p9p1.xml.bz2"])
    # Of other wikis, dates and layouts nothing is known.
    assert page_spans(["dewiki-20260801-pages-articles1.xml-p1p9.bz2"]) == {}
    assert (
        len(page_spans(["dewiki-2026-08-01-p1p9.xml.bz2", "frwiki-2026-08-01-p1p9.xml.bz2"])) == 2
    )


def test_nobody_looks_at_the_text_of_other_namespaces(tmp_path):
    """A page that is no XML and no UTF-8 would be broken, if anybody did."""
    talk = page(2, "Diskussion:A", "TALK", ns=1).replace("TALK", "<b> &nothing;")
    xml = document(page(1, "A & B"), talk, page(3, "C")).encode()
    path = tmp_path / "dewiki-2026-08-01-p1p3.xml"
    path.write_bytes(xml.replace(b"&nothing;", b"\xff\xfe"))
    tally = Counter()
    assert titles([str(path)], tally) == ["A & B", "C"]
    assert tally["other_namespace"] == 1 and not tally["broken"]
    everything = Counter()
    assert [p.title for p in read_pages(str(path), everything)] == ["A & B", "C"]
    assert everything["broken"] == 1


def test_old_dumps_that_do_not_say_the_namespace_are_told_by_the_title(tmp_path):
    path = tmp_path / "dewiki.xml"
    path.write_text(
        re.sub(r"\s*<ns>\d+</ns>", "", document(page(1, "A"), page(2, "Datei:B", ns=6)))
    )
    tally = Counter()
    assert titles([str(path)], tally) == ["A"] and tally["other_namespace"] == 1


def test_the_text_is_that_of_the_main_slot_and_of_the_newest_revision(tmp_path):
    path = tmp_path / "dewiki.xml"
    path.write_text(document(page(1, "A", "mine", other_slot=True)))
    assert [p.text for p in read_pages(str(path))] == ["mine"]
    two = page(1, "A", "old").replace("  </page>\n", "")
    newest = page(1, "A", "new")
    path.write_text(document(two + newest[newest.index("    <revision>") :]))
    assert [(p.text, p.page_id) for p in read_pages(str(path))] == [("new", 1)]


PAGES = [
    page(n, f"Seite {n}", f"Der rote Hund {n} bellt. [[Datei:x.png|thumb]] Ja." * 9,
         redirect="Seite 1" if n % 7 == 0 else None)
    for n in range(1, 60)
]  # fmt: skip
TALK = [page(n, f"Diskussion:Seite {n}", "Niemand zählt das. " * 20, ns=1) for n in range(60, 120)]


def counted(paths, folder, part_bytes=None):
    with count_corpus(
        "de", paths, folder, memory_bytes=1 << 28, workers=1, needs_words=True,
        part_bytes=part_bytes,
    ) as corpus:  # fmt: skip
        words = corpus.counts.run.words.read_bytes()
        return words, corpus.counts.num_tokens, corpus.pages["article"], corpus.pages["redirect"]


def test_an_export_in_parts_counts_as_a_legacy_dump_of_its_articles_does(tmp_path):
    mixed = [p for pair in zip(PAGES, TALK, strict=False) for p in pair]
    legacy = tmp_path / "dewiki-20260801-pages-articles.xml.bz2"
    legacy.write_bytes(part(*PAGES))
    exports = write(
        tmp_path / "e", {"p1p20": mixed[:40] + PAGES[39:40], "p21p40": mixed[40:80],
                         "p41p120": mixed[80:] + PAGES[:3], "p3r1r2": PAGES[2:3]}
    )  # fmt: skip
    expected = counted([str(legacy)], tmp_path / "legacy")
    assert counted(exports, tmp_path / "exports") == expected
    assert counted(exports[::-1], tmp_path / "cut", part_bytes=400) == expected
    # One file at a time, as with --drop-sources.
    folder = tmp_path / "dropped"
    for path in exports:
        count_dump(
            path, "de", folder, memory_bytes=1 << 28, needs_words=True, part_bytes=1 << 20,
            among=exports,
        )  # fmt: skip
    assert counted(exports, folder) == expected


def test_the_script_of_a_wiki_is_found_from_its_articles(tmp_path):
    paths = write(
        tmp_path,
        {"p1p9": [page(1, "A", "Обговорення " * 99, ns=1), page(2, "B", "Latina lingua 123.")]},
    )
    assert dump_script(paths) == "Latn"
    assert dump_script(write(tmp_path, {"p1p2": [page(1, "A", "123")]})) is None
