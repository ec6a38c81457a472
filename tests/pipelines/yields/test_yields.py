"""What `yield` says is what `balance` does."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from curate.api.results import YieldResult
from curate.errors import MissingExtraError, ThresholdError, UsageError
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.matched.decisions import in_order
from curate.pipelines.yields.stage import measure_yields
from curate.pipelines.yields.view import yield_table
from tests.pipelines.helpers import WORDS, match, texts, write_metadata, write_pairs

GRID = [1, 3, 10, 40, 100, 1000]


@pytest.fixture(scope="module")
def matched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("yield")
    metadata = write_metadata(folder / "metadata", {"en": WORDS, "de": WORDS[:4]})
    files = [
        write_pairs(folder / "en.parquet", texts(500), lang=["en"] * 500),
        write_pairs(folder / "de.parquet", texts(120, 1), first=1000, lang=["de"] * 120),
    ]
    match(files, metadata, folder / "matched", lang=None)
    return folder / "matched"


def measure(matched, **options):
    return measure_yields(matched=str(matched), quiet=True, **options)


@pytest.mark.parametrize("reference_lang", [None, "en"])
@pytest.mark.parametrize("seed", [0, 7])
def test_yields_are_what_balancing_keeps(tmp_path, matched, reference_lang, seed):
    found = measure(matched, grid=",".join(map(str, GRID)), seed=seed,
                    reference_lang=reference_lang)  # fmt: skip
    assert [row["t"] for row in found["yields"]] == GRID
    for row in found["yields"]:
        card = balance_pairs(
            matched=str(matched), output=str(tmp_path / str(row["t"])), quiet=True,
            options=BalanceOptions(t=row["t"], seed=seed, reference_lang=reference_lang),
        )  # fmt: skip
        for lang, values in row["languages"].items():
            expected = card["languages"][lang]
            assert [values[k] for k in ("t", "kept", "slots")] == [
                expected[k] for k in ("t", "kept", "slots")
            ]
            assert values["expected"] == pytest.approx(expected["expected"], abs=2e-3)
        assert row["kept"] == card["total"]["kept"]


def test_balanced_sets_made_with_filters_are_named(tmp_path, matched):
    for name, filters in (("plain", ()), ("filtered", ("text-length=5:300",))):
        balance_pairs(matched=str(matched), output=str(tmp_path / name), quiet=True,
                      options=BalanceOptions(t=3, filters=filters))  # fmt: skip
    result = measure(matched, grid="3")
    (note,) = result["notes"]
    assert note.startswith(f"{tmp_path}/filtered was balanced with filters") and (
        "text-length=5:300" in note
    )
    assert yield_table(result).splitlines()[-1] == f"note: {note}"
    (tmp_path / "filtered/plan.json").unlink()
    assert measure(matched, grid="3,5")["notes"] == []


def test_workers_change_nothing(matched):
    assert measure(matched, workers=1) == measure(matched, workers=3)


def test_the_grid_without_options_ends_where_all_is_kept(matched):
    found = measure(matched)
    kept = [row["kept"] for row in found["yields"]]
    assert kept == sorted(kept) and kept[-1] == found["matched"]


def test_the_t_of_a_number_of_pairs_is_the_smallest(matched):
    (row,) = measure(matched, pairs=300)["yields"]
    (below,) = measure(matched, grid=str(row["t"] - 1))["yields"]
    assert below["kept"] < 300 <= row["kept"]


def test_the_t_of_a_tail_share_has_at_most_that_share(matched):
    (row,) = measure(matched, tail_share=0.3)["yields"]
    assert row["t"] is None
    for values in row["languages"].values():
        assert values["p"] <= 0.3 and values["t"] >= 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"grid": "0,5"}, UsageError, "--grid is '0'; expected a whole number"),
        ({"grid": "5,x"}, UsageError, "'x'; expected a whole number"),
        ({"grid": "1.5"}, UsageError, "expected a whole number"),
        ({"grid": ""}, UsageError, "expected a whole number"),
        ({"grid": "5", "pairs": 3}, UsageError, "give one of"),
        ({"seed": -1}, UsageError, "seed is -1; expected 0"),
        ({"grid": "1e99"}, UsageError, "expected a whole number"),
        ({"grid": "9" * 20}, ThresholdError, "at most 2"),
        ({"pairs": 0}, UsageError, "--pairs is 0"),
        ({"pairs": 10_000}, ThresholdError, "but only [0-9,]+ matched"),
        ({"tail_share": 1.5}, ThresholdError, "tail share p is 1.5"),
    ],
)
def test_what_cannot_be_meant_is_refused(matched, options, error, message):
    with pytest.raises(error, match=message):
        measure(matched, **options)


def test_the_plot_is_a_drawing_with_a_point_for_each_t(tmp_path, matched):
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    found = measure(matched, grid="1,10,100", plot=str(tmp_path / "curve.svg"))
    drawing = ElementTree.parse(tmp_path / "curve.svg")
    marks = drawing.findall(".//*[@id='line2d_1']/..//{http://www.w3.org/2000/svg}use")
    assert marks and json.dumps(found)
    assert np.diff([row["kept"] for row in found["yields"]]).min() >= 0
    first = (tmp_path / "curve.svg").read_bytes()
    measure(matched, grid="1,10,100", plot=str(tmp_path / "curve.svg"))
    assert (tmp_path / "curve.svg").read_bytes() == first
    result = YieldResult(found)
    assert "data:image/svg+xml;base64," in result._repr_html_() and "of matched" in str(result)


def test_a_plot_that_cannot_be_drawn_is_refused_before_anything_is_counted(matched, monkeypatch):
    with pytest.raises(UsageError, match="ends in .svg or .png"):
        measure(matched, plot="curve.pdf")
    monkeypatch.setattr("curate.pipelines.views.plots.can_draw", lambda: False)
    with pytest.raises(MissingExtraError, match="plots"):
        measure(matched, plot="curve.svg")


def test_what_parts_give_is_let_go_as_soon_as_its_turn_comes():
    asked = []

    def parts():
        for index in (1, 0, 2):
            asked.append(index)
            yield index, f"part {index}"

    found = in_order(parts())
    assert [next(found), next(found)] == ["part 0", "part 1"] and asked == [1, 0]
    assert [*found] == ["part 2"]
