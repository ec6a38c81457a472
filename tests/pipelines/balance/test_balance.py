import json
import math
import tarfile

import numpy as np
import pyarrow.parquet as pq
import pytest

import tests.reference as reference
from curate.curation.sampling.sampling import pair_probability, sampling_probability
from curate.errors import ArtifactError, ThresholdError
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.shards.options import ShardOptions
from tests.pipelines.helpers import (
    WORDS,
    contents,
    match,
    png,
    read_pairs,
    texts,
    write_metadata,
    write_pairs,
)

NUM_PAIRS = 600


@pytest.fixture(scope="module")
def matched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matched")
    metadata = write_metadata(folder / "metadata", {"en": WORDS})
    inputs = [
        write_pairs(folder / f"{i}.parquet", texts(NUM_PAIRS // 3, i), first=1000 * i)
        for i in range(3)
    ]
    match(inputs, metadata, folder / "matched")
    return folder / "matched"


def balance(matched, output, **options):
    run = {k: options.pop(k) for k in ("workers", "overwrite", "dry_run") if k in options}
    return balance_pairs(
        matched=str(matched),
        output=str(output),
        options=BalanceOptions(**options),
        quiet=True,
        **run,
    )


def kept_ids(folder):
    return read_pairs(folder).column("pair_id").to_pylist()


def test_the_kept_pairs_are_those_of_the_naive_reference(tmp_path, matched):
    pairs = read_pairs(matched)
    listed = list(
        zip(pairs.column("pair_id").to_pylist(), pairs.column("entry_ids").to_pylist(), strict=True)
    )
    num_entries = pq.read_metadata(matched / "counts/en.parquet").num_rows
    for t, seed in ((5, 0), (50, 7), (10_000, 0)):
        card = balance(matched, tmp_path / f"{t}-{seed}", t=t, seed=seed)
        expected = reference.balance(listed, num_entries, t, seed)
        assert kept_ids(tmp_path / f"{t}-{seed}") == expected
        assert card["total"]["kept"] == len(expected)


def test_workers_order_and_resharding_change_no_pair(tmp_path, matched):
    balance(matched, tmp_path / "one", t=30)
    balance(matched, tmp_path / "two", t=30, workers=2)
    for name in ("pairs", "probabilities"):
        assert contents(tmp_path / "one" / name) == contents(tmp_path / "two" / name)
    rows = read_pairs(matched).to_pylist()
    np.random.default_rng(5).shuffle(rows)
    reshard = [
        write_pairs(
            tmp_path / f"shuffled-{i}.parquet",
            [r["text"] for r in rows[i::5]],
            uid=[r["pair_id"] for r in rows[i::5]],
        )
        for i in range(5)
    ]
    match(reshard, matched.parent / "metadata", tmp_path / "reshard")
    balance(tmp_path / "reshard", tmp_path / "three", t=30)
    assert sorted(kept_ids(tmp_path / "three")) == sorted(kept_ids(tmp_path / "one"))


def test_what_a_smaller_t_keeps_a_larger_t_keeps(tmp_path, matched):
    kept = []
    for t in (1, 10, 40, 100):
        balance(matched, tmp_path / str(t), t=t)
        kept.append(set(kept_ids(tmp_path / str(t))))
    assert all(a < b for a, b in zip(kept, kept[1:], strict=False))


def test_the_kept_number_over_100_seeds_is_the_expected_one(matched):
    pairs = read_pairs(matched)
    ids = pairs.column("pair_id").combine_chunks()
    counts = pq.read_table(matched / "counts/en.parquet").column("count").to_numpy()
    p = pair_probability(
        pairs.column("entry_ids").combine_chunks(), sampling_probability(counts.astype(int), 30)
    )
    kept = [
        sum(reference.is_kept(i, q, seed) for i, q in zip(ids.to_pylist(), p.tolist(), strict=True))
        for seed in range(100)
    ]
    # The mean of 100 sums of independent draws has variance Σ p (1 − p) / 100; five standard
    # deviations are exceeded by one run in 1.7 million.
    bound = 5 * math.sqrt((p * (1 - p)).sum() / 100)
    assert 0 < bound < 0.02 * len(p)
    assert abs(np.mean(kept) - p.sum()) < bound


def test_the_card_adds_up_and_names_everything_that_the_contract_asks_for(tmp_path, matched):
    card = balance(matched, tmp_path / "b", t=30)
    written = json.loads((tmp_path / "b/datacard.json").read_text())
    assert written.pop("checksum") and card == written
    assert {"schema_version", "command", "seed", "t", "inputs", "metadata", "total"} <= set(card)
    en = card["languages"]["en"]
    assert en["read"] == en["matched"] + sum(en["dropped"].values())
    assert en["matched"] == en["kept"] + en["not_sampled"]
    counts = pq.read_table(matched / "counts/en.parquet").column("count").to_pylist()
    assert en["slots"] == sum(min(c, 30) for c in counts)
    assert en["p"] == pytest.approx(float(reference.tail_share(counts, 30)))
    assert [i["sha256"] for i in card["inputs"]] and all(
        len(i["sha256"]) == 64 for i in card["inputs"]
    )
    text = (tmp_path / "b/datacard.md").read_text()
    assert f"{en['kept']:,}" in text and "curate balance --t 30" in text


def test_probabilities_stand_with_the_counts(tmp_path, matched):
    balance(matched, tmp_path / "b", t=30)
    table = pq.read_table(tmp_path / "b/probabilities/en.parquet").to_pylist()
    assert {"entry_id", "entry", "count", "probability"} == set(table[0])
    expected = reference.sampling_probability([row["count"] for row in table], 30)
    assert [row["probability"] for row in table] == pytest.approx(expected, abs=0)


def test_a_reference_language_gives_every_language_its_tail_share(tmp_path):
    metadata = write_metadata(tmp_path / "m", {"en": WORDS, "de": WORDS})
    files = [
        write_pairs(tmp_path / "en.parquet", texts(900), lang=["en"] * 900),
        write_pairs(tmp_path / "de.parquet", texts(90, 1), first=1000, lang=["de"] * 90),
    ]
    match(files, metadata, tmp_path / "matched", lang=None)
    card = balance(tmp_path / "matched", tmp_path / "b", t=200, reference_lang="en")
    en, de = card["languages"]["en"], card["languages"]["de"]
    assert en["t"] == 200 and 1 <= de["t"] < 100
    assert 0 < de["p"] <= en["p"] < 1


def test_a_reference_language_without_matches_is_refused(tmp_path, matched):
    with pytest.raises(ThresholdError.__mro__[1], match="reference language 'fr' has no matches"):
        balance(matched, tmp_path / "b", t=5, reference_lang="fr")


@pytest.mark.parametrize("target", [1, 100, 300, 550])
def test_target_pairs_finds_the_smallest_t_that_keeps_as_many(tmp_path, matched, target):
    card = balance(matched, tmp_path / "b", target_pairs=target)
    assert card["total"]["kept"] >= target
    if card["t"] > 1:
        below = balance(matched, tmp_path / "below", t=card["t"] - 1)
        assert below["total"]["kept"] < target


def test_more_pairs_than_matched_are_refused(tmp_path, matched):
    with pytest.raises(ThresholdError, match="but only [0-9,]+ matched"):
        balance(matched, tmp_path / "b", target_pairs=NUM_PAIRS + 1)


def test_another_t_in_the_same_folder_is_refused_until_overwrite(tmp_path, matched):
    balance(matched, tmp_path / "b", t=30)
    with pytest.raises(ArtifactError, match=r"parameters\.t: it was made with 30, this run has 31"):
        balance(matched, tmp_path / "b", t=31)
    balance(matched, tmp_path / "b", t=31, overwrite=True)
    balance(matched, tmp_path / "fresh", t=31)
    assert contents(tmp_path / "b") == contents(tmp_path / "fresh")


def test_a_second_run_changes_nothing_and_a_lost_part_comes_back_the_same(tmp_path, matched):
    balance(matched, tmp_path / "b", t=30)
    before = contents(tmp_path / "b")
    (tmp_path / "b/pairs/00001.parquet").unlink()
    balance(matched, tmp_path / "b", t=30)
    assert contents(tmp_path / "b") == before


def test_shards_hold_the_kept_pairs_with_their_images(tmp_path):
    metadata = write_metadata(tmp_path / "m", {"en": WORDS})
    values = texts(60)
    images = [png((i, 0, 0)) for i in range(59)] + [None]
    a = write_pairs(tmp_path / "a.parquet", values, image=images)
    match([a], metadata, tmp_path / "matched")
    options = {"pairs_per_shard": 8, "shards": ShardOptions(image_format="keep")}
    card = balance(tmp_path / "matched", tmp_path / "b", t=10, **options)
    balance(tmp_path / "matched", tmp_path / "p", t=10, output_format="parquet")
    again = balance(tmp_path / "matched", tmp_path / "c", t=10, workers=2, **options)
    assert card["format"] == "shards" and contents(tmp_path / "b") == contents(tmp_path / "c")
    assert again["total"] == card["total"]
    found = {}
    for shard in sorted((tmp_path / "b/shards").glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                key, _, suffix = member.name.partition(".")
                found.setdefault(key, {})[suffix] = tar.extractfile(member).read()
    rows = read_pairs(tmp_path / "p").to_pylist()
    assert sorted(found) == sorted(row["pair_id"] for row in rows)
    for row in rows:
        sample = found[row["pair_id"]]
        assert sample["txt"].decode() == row["text"]
        image = sample.get("png")
        assert image == row["image"] and (image is None) == (set(sample) == {"txt", "json"})
        about = json.loads(sample["json"])
        assert set(about) == {"url", "lang", "entry_ids", "probability"}
        assert (about["url"], about["entry_ids"]) == (row["url"], row["entry_ids"])


def test_ids_that_a_tar_cannot_hold_as_keys_come_back_from_the_json(tmp_path):
    metadata = write_metadata(tmp_path / "m", {"en": WORDS})
    ids = ["img.001", "img.002", "a/b", "plain"]
    a = write_pairs(tmp_path / "a.parquet", ["a dog"] * 4, uid=ids, image=[png((1, 2, 3))] * 4)
    match([a], metadata, tmp_path / "matched")
    balance(tmp_path / "matched", tmp_path / "b", t=100)
    samples = {}
    with tarfile.open(tmp_path / "b/shards/00000.tar") as tar:
        for member in tar:
            key, _, suffix = member.name.partition(".")
            samples.setdefault(key, {})[suffix] = tar.extractfile(member).read()
    assert len(samples) == 4 and all({"jpg", "txt", "json"} == set(s) for s in samples.values())
    found = {json.loads(s["json"]).get("pair_id", key) for key, s in samples.items()}
    assert found == set(ids) and not any("/" in key for key in samples)


def test_a_column_of_the_input_that_is_named_like_ours_gives_way(tmp_path):
    metadata = write_metadata(tmp_path / "m", {"en": WORDS})
    a = write_pairs(tmp_path / "a.parquet", ["a dog"] * 3, probability=["x"] * 3, image_id=[1] * 3)
    match([a], metadata, tmp_path / "matched")
    balance(tmp_path / "matched", tmp_path / "b", t=100)
    table = read_pairs(tmp_path / "b")
    assert table.column_names.count("probability") == table.column_names.count("image_id") == 1
    assert table.column("probability").to_pylist() == [1.0] * 3


def test_ids_that_repeat_lose_no_sample(tmp_path):
    metadata = write_metadata(tmp_path / "m", {"en": WORDS})
    a = write_pairs(
        tmp_path / "a.parquet", ["a dog"] * 4, uid=["x"] * 4, image=[png((9, 9, 9))] * 4
    )
    match([a], metadata, tmp_path / "matched", repeated_ids="keep")
    card = balance(tmp_path / "matched", tmp_path / "b", t=100)
    assert card["matched_pairs"]["repeated_ids"] == {"copies": 0, "others": 3}
    with tarfile.open(tmp_path / "b/shards/00000.tar") as tar:
        assert len({member.name for member in tar}) == 12
