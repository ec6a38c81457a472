"""What `balance` says on a terminal."""

from curate.pipelines.balance.view import balance_table


def _result(kept: int) -> dict[str, object]:
    total = {"matched": kept, "kept": kept, "not_sampled": 0}
    pairs = {"with_image": 0, "without_image": kept}
    return {"languages": {}, "total": total, "format": "parquet", "kept_pairs": pairs}


def test_the_page_is_named_and_where_nothing_is_kept_nothing_is_to_be_fetched():
    some, none = balance_table(_result(3), "out"), balance_table(_result(0), "out")
    assert some.endswith("\n→ out/datacard.html") and none.endswith("\n→ out/datacard.html")
    assert "curate download" in some and "out/pairs/*.parquet" in some
    assert "download" not in none and "\nnothing is kept: " in none
