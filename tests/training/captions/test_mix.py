from collections import Counter

import pyarrow as pa
import pytest

from curate.curation.sampling.sampling import hash_draws
from curate.errors import UsageError
from curate.training.captions.lookup import CaptionIndex
from curate.training.captions.mix import TextMix, caption_draw
from tests.training.captions.test_lookup import build

IDS = [f"pair-{i}" for i in range(20_000)]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("captions")
    rows = [(i, f"a of {i}", 0) for i in IDS] + [(i, f"b of {i}", 1) for i in IDS[:10_000]]
    rows += [(i, f"other b of {i}", 1) for i in IDS[:10_000]]
    build(folder / "x", rows, batch=10_000)
    return CaptionIndex(str(folder / "x"))


def drawn(mix, ids=IDS, epoch=0, alt="alt", about=None):
    found = (mix.choose(i, epoch, alt, about or {}) for i in ids)
    return Counter(None if one is None else one.source for one in found)


def assert_share(num, total, expected):
    """Within 5 standard deviations of a binomial count, which fails once in 1.7 million."""
    assert abs(num - total * expected) <= 5 * (total * expected * (1 - expected)) ** 0.5


def test_the_ratio_is_shared_equally_by_the_sources_that_a_pair_has(index):
    mix = TextMix(seed=0, syn_ratio=0.3, index=index)
    both, one = drawn(mix, IDS[:10_000]), drawn(mix, IDS[10_000:])
    assert_share(both["a"], 10_000, 0.15)
    assert_share(both["b"], 10_000, 0.15)
    assert_share(one["a"], 10_000, 0.3)
    assert one["b"] == 0


def test_weights_are_of_the_sources_that_a_pair_has(index):
    mix = TextMix(seed=0, weights={"alt": 1, "a": 2, "b": 5}, index=index)
    both, one = drawn(mix, IDS[:10_000]), drawn(mix, IDS[10_000:])
    assert_share(both["b"], 10_000, 5 / 8)
    assert_share(both["a"], 10_000, 2 / 8)
    assert_share(one["a"], 10_000, 2 / 3)
    assert drawn(TextMix(seed=0, weights={"alt": 1, "a": 1}, index=index))["b"] == 0


def test_captions_of_one_source_are_drawn_equally(index):
    mix = TextMix(seed=0, weights={"b": 1}, index=index)
    texts = Counter(mix.choose(i, 0, "alt", {}).text.split()[0] for i in IDS[:10_000])
    assert_share(texts["other"], 10_000, 0.5)
    assert texts.total() == 10_000


def test_what_is_synthetic_at_a_small_ratio_is_so_at_a_larger_one(index):
    few, many = (TextMix(seed=3, syn_ratio=r, index=index) for r in (0.15, 0.5))
    synthetic = [{i for i in IDS if m.choose(i, 2, "alt", {}).source != "alt"} for m in (few, many)]
    assert synthetic[0] < synthetic[1]


def test_the_draw_is_of_seed_epoch_and_pair_alone(index):
    mix = TextMix(seed=0, syn_ratio=0.5, index=index)
    first = [mix.choose(i, 0, "alt", {}) for i in IDS]
    assert first == [mix.choose(i, 0, "alt", {}) for i in IDS]
    for other in (
        [mix.choose(i, 1, "alt", {}) for i in IDS],
        [TextMix(seed=1, syn_ratio=0.5, index=index).choose(i, 0, "alt", {}) for i in IDS],
    ):
        # Independent draws agree in half of the cases.
        same = sum(
            a.source == "alt" and b.source == "alt" for a, b in zip(first, other, strict=True)
        )
        assert_share(same, len(IDS), 0.25)


def test_the_draw_does_not_depend_on_whether_the_pair_was_kept():
    kept = [i for i, u in zip(IDS, hash_draws(pa.array(IDS), 0), strict=True) if u < 0.5]
    assert_share(sum(caption_draw(i, 0, 0) < 0.5 for i in kept), len(kept), 0.5)


def test_a_pair_without_captions_has_its_alt_text_and_one_without_alt_text_its_captions(index):
    for mix in (
        TextMix(seed=0, syn_ratio=1.0, index=index),
        TextMix(seed=0, weights={"a": 1}, index=index),
    ):
        assert drawn(mix, ["unknown"]) == {"alt": 1}
        assert drawn(mix, ["unknown"], alt=None) == {None: 1}
        assert set(drawn(mix)) <= {"a", "b"}
    assert set(drawn(TextMix(seed=0, syn_ratio=0.01, index=index), alt=None)) == {"a", "b"}
    assert drawn(TextMix(seed=0, syn_ratio=0.0, index=index), alt=None) == {None: 20_000}
    assert drawn(TextMix(seed=0, syn_ratio=0.0, index=index)) == {"alt": 20_000}


def test_fields_of_the_json_are_sources_of_their_own_name(index):
    about = {"caption": "said", "recaption": ["x", "", 5, "y"], "odd": {"text": "z"}}
    mix = TextMix(
        seed=0, weights={"caption": 1, "recaption": 1}, json_keys=["caption", "recaption"]
    )
    found = Counter(mix.choose(i, 0, "alt", about).text for i in IDS)
    assert set(found) == {"said", "x", "y"}
    assert_share(found["said"], len(IDS), 0.5)
    assert_share(found["x"], len(IDS), 0.25)
    assert drawn(TextMix(seed=0, syn_ratio=1.0, json_keys=["odd"]), about=about) == {"alt": 20_000}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give --syn-ratio 0.15, or --caption-weights such as alt=0.85,a=0.15"),
        ({"syn_ratio": 0.1, "weights": {"a": 1}}, "one of both"),
        ({"syn_ratio": 1.5}, "--syn-ratio is 1.5; expected 0 to 1"),
        ({"syn_ratio": float("nan")}, "--syn-ratio is nan"),
        ({"weights": {"c": 1}}, "names 'c'; the texts are of a, alt, b"),
        ({"weights": {"a": -1}}, "gives a -1; expected 0 or more"),
        ({"weights": {"a": float("nan")}}, "gives a nan"),
        ({"weights": {"a": 0}}, "are all 0"),
    ],
)
def test_shares_that_cannot_be_meant_are_refused(index, options, message):
    with pytest.raises(UsageError, match=message):
        TextMix(seed=0, index=index, **options)
