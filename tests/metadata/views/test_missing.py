import pyarrow as pa

from curate.metadata.views.missing import MostViewed

VIEWS = pa.schema([("title", pa.string()), ("views", pa.int64())])


def bucket(rows):
    return pa.Table.from_pylist([{"title": title, "views": views} for title, views in rows], VIEWS)


def test_of_the_most_viewed_titles_those_that_a_dump_lacks():
    viewed = MostViewed(3)
    viewed.add(
        bucket([("A", 9), ("B", 5), ("-", 99), ("Special:Search", 99)]), pa.chunked_array([["A"]])
    )
    viewed.add(bucket([("Star Wars: Episode I", 7), ("C", 1), ("D", 5)]), pa.chunked_array([["C"]]))
    assert viewed.report() == {
        "titles": 3,
        "missing": 2,
        "missing_share": 0.6667,
        "missing_views_share": round(12 / 21, 4),
        "examples": ["Star Wars: Episode I", "B"],
    }


def test_nothing_was_looked_at():
    viewed = MostViewed()
    viewed.add(bucket([]), pa.chunked_array([pa.array(["A"])]))
    assert viewed.report() == {
        "titles": 0, "missing": 0, "missing_share": 0.0, "missing_views_share": 0.0, "examples": [],
    }  # fmt: skip
