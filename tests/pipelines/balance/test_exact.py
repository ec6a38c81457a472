"""A wanted number of pairs: the two thresholds beside it, and exactly that number."""

import json
import re

import numpy as np
import pytest

from curate.errors import UsageError
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.balance.view import balance_table
from curate.pipelines.card.stage import make_card
from curate.pipelines.explain.stage import explain_text
from curate.pipelines.matched.exact import ExactCut, ratio_keys
from curate.pipelines.yields.stage import measure_yields
from tests.pipelines.helpers import WORDS, match, read_pairs, texts, write_metadata, write_pairs

NUM = 600


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exact")
    metadata = write_metadata(folder / "metadata", {"en": WORDS})
    inputs = [write_pairs(folder / f"{i}.parquet", texts(NUM // 2, i), first=1000 * i)
              for i in range(2)]  # fmt: skip
    match(inputs, metadata, folder / "matched")
    return folder


def balance(workspace, name, quiet=True, **options):
    return balance_pairs(
        matched=str(workspace / "matched"), output=str(workspace / name), overwrite=True,
        options=BalanceOptions(**options), quiet=quiet,
    )  # fmt: skip


@pytest.fixture(scope="module")
def between(workspace):
    """A number of pairs that no t keeps: the one below keeps 1 fewer, the one above 2 more."""
    grid = ",".join(map(str, range(1, 200)))
    rows = measure_yields(matched=str(workspace / "matched"), grid=grid, quiet=True)["yields"]
    numbers = [row["kept"] for row in rows]
    return next(a + 1 for a, b in zip(numbers, numbers[1:], strict=False) if a > 99 and b - a >= 3)


def kept(workspace, name):
    return set(read_pairs(workspace / name).column("pair_id").to_pylist())


@pytest.mark.parametrize("target", [1, 7, 100, 301, 599, 600])
def test_exactly_as_many_are_kept_as_are_asked_for(workspace, target):
    card = balance(workspace, "b", target_pairs=target, exact=True)
    assert card["total"]["kept"] == target == len(kept(workspace, "b"))
    found = card["target"]
    assert found["below"] < target <= found["kept"] and found["t"] == card["t"]
    balance(workspace, "t", t=card["t"])
    assert kept(workspace, "b") <= kept(workspace, "t")
    if card["t"] > 1:
        balance(workspace, "below", t=card["t"] - 1)
        assert kept(workspace, "below") <= kept(workspace, "b")


def test_what_a_smaller_number_keeps_a_larger_one_keeps(workspace):
    before = set()
    for target in range(20, NUM, 37):
        balance(workspace, "b", target_pairs=target, exact=True)
        found = kept(workspace, "b")
        assert before < found
        before = found


def test_the_card_made_later_and_explain_agree_with_what_was_kept(workspace, between):
    card = balance(workspace, "b", target_pairs=between, exact=True)
    ids = kept(workspace, "b")
    again = make_card(matched=str(workspace / "matched"), balanced=str(workspace / "b"), quiet=True)
    assert again["total"]["kept"] == between and again["exact"] == card["exact"]
    shown = " ".join((workspace / "b/datacard.md").read_text("utf-8").split())
    assert f"{between} pairs were asked for" in shown
    assert f"exactly {between} are kept: all that t = " in shown
    assert f"--target-pairs {between} --exact" in card["command"]
    assert f"kept {between} (exactly as asked for)" in balance_table(card, "b")
    assert "`curate download` fetches the images" in balance_table(card, "b")
    balance(workspace, "t", t=card["t"])
    beyond = sorted(kept(workspace, "t") - ids)
    assert len(beyond) == card["target"]["kept"] - between >= 2
    places = {"metadata": str(workspace / "metadata"), "matched": str(workspace / "matched"),
              "balanced": str(workspace / "b")}  # fmt: skip
    for pair_id in [*beyond[:4], *sorted(ids)[:12]]:
        found = explain_text(pair_id=pair_id, **places)
        assert (found["status"] == "kept") == (pair_id in ids)
        if pair_id in beyond:
            assert (
                f"but exactly {between} pairs are kept, and others come first" in found["decision"]
            )


def test_which_two_t_stand_beside_the_number_is_said(workspace, between, capsys):
    card = balance(workspace, "b", quiet=False, target_pairs=between)
    said = capsys.readouterr().err
    t, num, below_t, below = (
        int(x.replace(",", ""))
        for x in re.search(
            r"t = (\S+) keeps (\S+) pairs, t = (\S+) keeps (\S+); none keeps exactly "
            rf"{between}\. The first is taken; --exact", said,
        ).groups()
    )  # fmt: skip
    assert (t, below_t) == (card["t"], t - 1) and num == card["total"]["kept"] > between > below
    assert balance(workspace, "below", t=below_t)["total"]["kept"] == below
    assert f"{between} pairs were asked for" in (workspace / "b/datacard.md").read_text("utf-8")
    table = measure_yields(matched=str(workspace / "matched"), pairs=between)["yields"]
    assert [(row["t"], row["kept"]) for row in table] == [(t, num)]
    said = capsys.readouterr().err
    assert f"t = {t} keeps {num} pairs, t = {below_t} keeps {below}; none" in said
    plan = json.loads((workspace / "b/plan.json").read_text())["parameters"]
    assert plan["target"] == {"pairs": between, "t": t, "kept": num, "below": below}


def test_a_restart_and_workers_change_nothing(workspace):
    options = BalanceOptions(target_pairs=150, exact=True)
    for name, workers in (("one", 1), ("two", 2)):
        balance_pairs(matched=str(workspace / "matched"), output=str(workspace / name),
                      options=options, workers=workers, quiet=True)  # fmt: skip
    (workspace / "one/pairs/00000.parquet").unlink()
    balance_pairs(matched=str(workspace / "matched"), output=str(workspace / "one"),
                  options=options, quiet=True)  # fmt: skip
    for name in ("pairs/00000.parquet", "pairs/00001.parquet", "datacard.json"):
        assert (workspace / "one" / name).read_bytes() == (workspace / "two" / name).read_bytes()


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(UsageError, match="--exact goes with --target-pairs"):
        BalanceOptions(t=5, exact=True)
    with pytest.raises(UsageError, match="--filter drops some of them; give the filters to"):
        BalanceOptions(target_pairs=5, exact=True, filters=("text-length=1:9",))


def test_keys_compare_as_ratios_and_nothing_below_t_1_is_kept():
    assert ratio_keys(np.array([0.0, 0.3]), np.array([0.5, 0.3])).tolist() == [0, 2**53]
    cut = ExactCut(pairs=1, below={"en": None}, largest=2**52)
    draws, probability = np.array([0.1, 0.2, 0.3, 0.9]), np.array([0.2, 0.3, 1.0, 0.5])
    assert cut.keeps(draws, probability, np.zeros(4)).tolist() == [True, False, True, False]
