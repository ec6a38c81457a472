"""`curate score`: cosines, prompts, heads and sizes; conditions drop by name, out of the counts."""

import json
import tracemalloc
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from curate.errors import ArtifactError, InputError, UsageError
from curate.pipelines.dedup.options import DedupOptions
from curate.pipelines.dedup.stage import dedup_pairs
from curate.pipelines.embed.options import EmbedOptions
from curate.pipelines.embed.stage import embed_pairs
from curate.pipelines.inputs.filters import load_filters
from curate.pipelines.score.conditions import below_conditions, quantiles
from curate.pipelines.score.options import ScoreOptions, parse_condition
from curate.pipelines.score.stage import score_pairs, undo_scores
from curate.pipelines.store import artifacts
from curate.training.export.load import load_run
from tests.in_process import run_here
from tests.pipelines.embedded_helpers import write_embeddings
from tests.pipelines.helpers import contents, read_pairs
from tests.pipelines.train_helpers import train, write_train_workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = write_train_workspace(tmp_path_factory.mktemp("score") / "data")
    train(folder, "runs/clip", steps=2)
    train(folder, "runs/other", steps=2, seed=1)
    embed_pairs(output=str(folder / "embeddings"), matched=str(folder / "matched"), quiet=True,
                options=EmbedOptions(run=str(folder / "runs/clip")))  # fmt: skip
    return folder


def score(workspace, output, *filters, embeddings=None, **options):
    run = {k: options.pop(k) for k in ("matched", "workers", "overwrite") if k in options}
    return score_pairs(
        embeddings=str(embeddings or workspace / "embeddings"), output=str(output), quiet=True,
        options=ScoreOptions(conditions=tuple(map(parse_condition, filters)), **options), **run,
    )  # fmt: skip


def rows(folder):
    return [row for path in sorted((folder / "pairs").glob("*.parquet"))
            for row in pq.read_table(path).to_pylist()]  # fmt: skip


def test_scores_are_cosines_prompts_heads_and_sizes(workspace, tmp_path):
    (tmp_path / "prompts.txt").write_text("something red\n\nsomething blue\n")
    head = torch.nn.Linear(16, 1)
    torch.save(head.state_dict(), tmp_path / "head.pth")
    found = score(
        workspace, tmp_path / "s", run=str(workspace / "runs/clip"),
        prompts=(("colour", str(tmp_path / "prompts.txt")),),
        heads=(("beauty", str(tmp_path / "head.pth")),),
    )  # fmt: skip
    table = pq.read_table(workspace / "embeddings/pairs/00000.parquet")
    images, texts = (np.array(table.column(n).to_pylist(), np.float64) for n in ("image", "text"))
    scored = rows(tmp_path / "s")
    np.testing.assert_allclose(
        [r["clip_score"] for r in scored], (images * texts).sum(1), atol=1e-6
    )
    model, _, tokenize = load_run(str(workspace / "runs/clip"), "cpu")
    with torch.no_grad():
        prompts = torch.nn.functional.normalize(
            model.encode_text(tokenize(["something red", "something blue"])), dim=-1
        ).numpy()
        beauty = head(torch.from_numpy(images.astype(np.float32)))[:, 0].numpy()
    np.testing.assert_allclose(
        [r["colour"] for r in scored], (images @ prompts.T).max(1), atol=2e-3
    )
    np.testing.assert_allclose([r["beauty"] for r in scored], beauty, atol=1e-4)
    assert {(r["width"], r["height"], r["pixels"], r["aspect"]) for r in scored} == {
        (16, 16, 256, 1)
    }
    assert found["scores"]["clip_score"]["pairs"] == found["read"] == 120
    assert found["matched"] is None


def test_bytes_are_the_same_for_any_number_of_workers(workspace, tmp_path):
    embed_pairs(output=str(tmp_path / "e"), shards=str(workspace / "balanced/shards"), quiet=True,
                options=EmbedOptions(run=str(workspace / "runs/clip")))  # fmt: skip
    for workers in (1, 3):
        score(workspace, tmp_path / f"w{workers}", embeddings=tmp_path / "e", workers=workers)
    assert contents(tmp_path / "w1") == contents(tmp_path / "w3")
    path = tmp_path / "w1/pairs/00001.parquet"
    path.unlink()  # as a run that was killed leaves it
    (tmp_path / "w1/summary.json").unlink()
    score(workspace, tmp_path / "w1", embeddings=tmp_path / "e")
    assert contents(tmp_path / "w1") == contents(tmp_path / "w3")


def test_what_misses_a_condition_counts_no_more_until_it_is_undone(workspace, tmp_path):
    before = contents(workspace / "matched")
    every = {r["pair_id"]: r["clip_score"] for r in rows_of(workspace, tmp_path)}
    limit = float(np.median(list(every.values())))
    found = score(workspace, tmp_path / "s", f"clip_score>={limit}",
                  matched=str(workspace / "matched"))  # fmt: skip
    fall = {pair for pair, value in every.items() if np.float32(value) < np.float32(limit)}
    summary = artifacts.read_json(str(workspace / "matched/summary.json"))
    assert found["fallen"] == {"clip_score": len(fall)}
    assert summary["dropped"]["clip_score"] == len(fall)
    assert summary["matched"] == found["matched"] == found["kept"] == 120 - len(fall)
    again = undo_scores(matched=str(workspace / "matched"), metadata=None, workers=1, quiet=True)
    assert again == {"counted_again": len(fall), "matched": 120}
    assert contents(workspace / "matched") == before


def rows_of(workspace, tmp_path):
    score(workspace, tmp_path / "s")
    return rows(tmp_path / "s")


def test_quantiles_are_those_of_each_language(tmp_path):
    rng = np.random.default_rng(0)
    angle = np.concatenate([rng.uniform(0, 0.5, 40), rng.uniform(1.0, 1.5, 60)])
    part = {
        "pair_id": [f"p{i}" for i in range(101)], "lang": ["de"] * 40 + ["fr"] * 60 + [None],
        "image": [[1.0, 0.0]] * 101,
        "text": [[np.cos(a), np.sin(a)] for a in angle] + [None],
    }  # fmt: skip
    parts = [{k: v[:30] for k, v in part.items()}, {k: v[30:] for k, v in part.items()}]
    write_embeddings(tmp_path / "e", parts, one_model=True)
    found = score(tmp_path, tmp_path / "s", "clip_score>=q0.25", embeddings=tmp_path / "e")
    assert found["fallen"] == {"clip_score": 9 + 14, "no_clip_score": 1}
    cosines = np.cos(angle).astype(np.float16)
    assert found["thresholds"][0]["de"] == pytest.approx(np.sort(cosines[:40])[9], abs=2e-3)
    assert found["thresholds"][0]["fr"] == pytest.approx(np.sort(cosines[40:])[14], abs=2e-3)


class Columns:
    """Scores as `ScoredPlan` gives them, each part made when it is asked for."""

    def __init__(self, langs, *parts):
        self.langs, self.parts = langs, parts

    def part(self, index, columns):
        values = self.parts[index]
        table = pa.table({
            "pair_id": [f"{index}/{row}" for row in range(len(values))],
            "lang": pa.array([self.langs[row % len(self.langs)] for row in range(len(values))]),
            "score": pa.array(values, pa.float32(), from_pandas=True),
        })  # fmt: skip
        return table.select(columns)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 1 / 3, 0.5, 0.999, 1.0])
def test_quantiles_are_those_of_numpy_to_the_bit(share):
    rng = np.random.default_rng(int(share * 1000))
    extremes = [0.0, -0.0, 1e-42, -1e-42, 3e38, -3e38, np.nan, np.inf]
    parts = [np.array([*rng.normal(0, 1, num).round(2), *extremes], np.float32)
             for num in (0, 1, 500, 3000)]  # fmt: skip
    langs = ["de", "fr", None]
    found = quantiles(Columns(langs, *parts), 4, [parse_condition(f"score>=q{share}")])[0]
    for at, lang in enumerate(langs):
        whole = np.concatenate([values[at::3] for values in parts]).astype(np.float64)
        whole = whole[np.isfinite(whole)]
        assert found[lang or ""] == np.quantile(whole, share, method="inverted_cdf")


def test_memory_does_not_grow_with_the_pairs_that_fall():
    values = np.random.default_rng(0).normal(0, 1, 2000).astype(np.float32)

    def peak(num):
        scores, conditions = Columns(["de", "fr"], *[values] * num), [parse_condition("score>q0.9")]
        tracemalloc.start()
        fallen = Counter()
        thresholds = quantiles(scores, num, conditions)
        for _ in below_conditions(scores, num, conditions, thresholds, fallen):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert fallen["score"] == num * 1800
        return most

    peak(1)
    assert peak(100) < peak(1) + 100_000  # 180,000 ids would be 10 MB


def test_what_would_fall_is_told_without_a_change(workspace, tmp_path):
    from curate.api.vectors import score as call

    before = contents(workspace / "matched")
    found = call(workspace=str(workspace), output=str(tmp_path / "s"), filter="clip_score>=q0.5",
                 report_only=True, quiet=True)  # fmt: skip
    assert found["fallen"]["clip_score"] == found["read"] - found["kept"] > 0
    assert found["matched"] is None
    assert contents(workspace / "matched") == before
    with pytest.raises(UsageError, match="score.*report_only.*filter"):
        call(workspace=str(workspace), output=str(tmp_path / "s"), report_only=True, quiet=True)


def test_a_condition_given_to_balance_is_pointed_to_where_it_belongs():
    with pytest.raises(UsageError, match="a condition on a score. Run `curate score --filter"):
        load_filters(["clip_score>=0.28"])


def test_several_conditions_have_to_hold_and_the_first_gives_the_reason(workspace, tmp_path):
    found = score(workspace, tmp_path / "s", "aspect<=2", "width>=17", "clip_score>=q0.5")
    assert found["fallen"] == {"width": 120} and found["kept"] == 0


def test_the_best_duplicate_is_the_one_with_the_best_score(tmp_path):
    vectors = [[1.0, 0.0]] * 3
    part = {"pair_id": ["a", "b", "c"], "image": vectors, "width": [10, 30, 20],
            "height": [10, 10, 10]}  # fmt: skip
    write_embeddings(tmp_path / "embeddings", [part])
    score(tmp_path, tmp_path / "scores")
    dedup_pairs(embeddings=str(tmp_path / "embeddings"), output=str(tmp_path / "d"), quiet=True,
                scores=str(tmp_path / "scores"),
                options=DedupOptions(methods=("semantic",), keep_best="width"))  # fmt: skip
    assert {r["pair_id"]: r["kept_pair_id"] for r in rows(tmp_path / "d")} == {"a": "b", "c": "b"}
    with pytest.raises(UsageError, match="there is no score 'beauty'"):
        dedup_pairs(embeddings=str(tmp_path / "embeddings"), output=str(tmp_path / "x"),
                    scores=str(tmp_path / "scores"), quiet=True,
                    options=DedupOptions(keep_best="beauty"))  # fmt: skip


def test_prompts_of_another_model_heads_of_another_width_and_empty_files_are_refused(
    workspace, tmp_path
):
    (tmp_path / "prompts.txt").write_text("a dog\n")
    (tmp_path / "none.txt").write_text("\n")
    named = (("dogs", str(tmp_path / "prompts.txt")),)
    with pytest.raises(ArtifactError, match="their cosines mean nothing"):
        score(workspace, tmp_path / "s", run=str(workspace / "runs/other"), prompts=named)
    with pytest.raises(InputError, match="there is no prompt in it"):
        score(workspace, tmp_path / "s", run=str(workspace / "runs/clip"),
              prompts=(("dogs", str(tmp_path / "none.txt")),))  # fmt: skip
    (tmp_path / "none.txt").write_bytes("a café".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8 at byte 5; expected a prompt a line"):
        score(workspace, tmp_path / "s", run=str(workspace / "runs/clip"),
              prompts=(("dogs", str(tmp_path / "none.txt")),))  # fmt: skip
    torch.save(torch.nn.Linear(768, 1).state_dict(), tmp_path / "head.pth")
    with pytest.raises(InputError, match="for vectors of width 768; those of .* have 16"):
        score(workspace, tmp_path / "s", heads=(("beauty", str(tmp_path / "head.pth")),))
    with pytest.raises(UsageError, match="there is no such score; there are width"):
        score(workspace, tmp_path / "s", "beauty>=1")
    with pytest.raises(UsageError, match="--prompts needs the model"):
        ScoreOptions(prompts=named)
    with pytest.raises(UsageError, match="'width' cannot be the name of a score"):
        ScoreOptions(heads=(("width", "x"),))
    for bad in ("clip_score", "clip_score>=", "clip_score>=q2", "clip_score>=1e", "1>=clip_score"):
        with pytest.raises(UsageError, match="--filter"):
            parse_condition(bad)
    with pytest.raises(UsageError, match="expected NAME=FILE"):
        ScoreOptions.named_files(["x"], "--head")


def test_a_mark_of_the_order_of_bytes_is_no_part_of_a_prompt(workspace, tmp_path):
    (tmp_path / "plain.txt").write_text("red\nblue\n")
    (tmp_path / "marked.txt").write_text("red\r\nblue\n", "utf-8-sig")
    means = [
        score(workspace, tmp_path / name, run=str(workspace / "runs/clip"),
              prompts=(("p", str(tmp_path / f"{name}.txt")),))["scores"]["p"]
        for name in ("plain", "marked")
    ]  # fmt: skip
    assert means[0] == means[1]


def test_the_command_line_says_the_same(workspace, tmp_path):
    words = ["score", "-w", str(workspace), "-o", str(tmp_path / "s"), "--json"]
    assert json.loads(run_here(words))["scores"]["clip_score"]["pairs"] == 120
    assert read_pairs(workspace / "matched").num_rows == 120
