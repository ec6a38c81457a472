"""`curate download`: pairs in, shards out, whatever the servers do."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curate.errors import ArtifactError, InputError, UsageError
from curate.files import storage
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.card.stage import make_card
from curate.pipelines.download.mixed import MixedPairs
from curate.pipelines.download.options import FetchOptions
from curate.pipelines.download.plan import BalancedPairs
from curate.pipelines.download.stage import download_images
from curate.pipelines.executor.lease import driving
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.retract.stage import retract_pairs
from curate.pipelines.shards.options import Resize, ShardOptions
from curate.pipelines.shards.tar import read_index
from curate.pipelines.shards.windows import order_draws
from curate.pipelines.store import artifacts
from curate.training.data.loader import Loader, LoaderConfig, Position
from curate.training.data.shards import index_shard
from curate.training.text.tokenizer import learn_tokenizer
from examples.toyweb.images import draw_scene
from examples.toyweb.rows import sample_scenes
from tests.conftest import ROOT
from tests.pipelines.helpers import WORDS, contents, match, write_metadata
from tests.pipelines.image_server import ImageServer, answer, photo


@pytest.fixture
def server():
    with ImageServer() as running:
        yield running


def balanced(folder, urls, **columns):
    """Match and balance pairs of these URLs, all of which are kept; return the folder."""
    metadata = write_metadata(folder / "metadata", {"en": WORDS})
    words = [f"a {WORDS[i % len(WORDS)]} {i}" for i in range(len(urls))]
    pq.write_table(pa.table({"url": urls, "text": words, **columns}), folder / "pairs.parquet")
    match([folder / "pairs.parquet"], metadata, folder / "matched")
    balance_pairs(
        matched=str(folder / "matched"), output=str(folder / "balanced"),
        options=BalanceOptions(t=10_000, output_format="parquet"), quiet=True,
    )  # fmt: skip
    return folder / "balanced"


def download(source, output=None, *, resize=None, per_shard=8, window=None, columns=None,
             image_format="keep", **options):  # fmt: skip
    run = {k: options.pop(k) for k in ("retry_failed", "overwrite", "dry_run") if k in options}
    fetch = {"allow_private": True, "retries": 0, "backoff_s": 0.0, **options}
    return download_images(
        balanced=str(source), output=str(output or source / "shards"),
        columns=columns or ColumnNames(), fetch=FetchOptions(**fetch),
        shards=ShardOptions(
            window_shards=window, resize=resize or Resize(), image_format=image_format
        ),
        per_shard=per_shard, workers=2, quiet=True, **run,
    )  # fmt: skip


def samples(folder):
    """Return the files of each sample of all shards, by key, in order."""
    found = {}
    for path in sorted(Path(folder).glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, suffix = member.name.partition(".")
                found.setdefault(key, {})[suffix] = tar.extractfile(member).read()
    return found


def stated(folder):
    """Return the rows of the Parquet files of all shards."""
    files = sorted(Path(folder).glob("*.parquet"))
    return [row for path in files for row in stated_of(path)]


def stated_of(path):
    return pq.read_table(path).to_pylist()


def test_images_come_into_shards_with_all_columns_and_are_found_by_index(tmp_path, server):
    urls = [server.url(f"/photo/{i}") for i in range(30)]
    source = balanced(tmp_path, urls, licence=["CC0"] * 30)
    result = download(source)
    assert (result["read"], result["downloaded"], result["failed"]) == (30, 30, {})
    found, rows = samples(source / "shards"), stated(source / "shards")
    assert list(found) == [row["key"] for row in rows] and len(found) == 30
    for row in rows:
        sample = found[row["key"]]
        number = int(row["url"].rpartition("/")[2])
        assert sample["jpg"] == photo(number) and sample["txt"].decode() == row["text"]
        about = json.loads(sample["json"])
        assert about["licence"] == "CC0" and about["pair_id"] == row["pair_id"] == row["key"]
        assert about["url"] == row["url"] and about["entry_ids"] == row["entry_ids"]
        assert about["width"], about["original_height"] == (40, 30)
        assert row["status"] == "success" and row["reason"] is None
        assert row["sha256"] == hashlib.sha256(photo(number)).hexdigest()
    tar = source / "shards/00001.tar"
    stats = json.loads((source / "shards/00001_stats.json").read_text("utf-8"))
    assert stats["sha256"] == hashlib.sha256(tar.read_bytes()).hexdigest()
    places = read_index(tar.with_suffix(".idx").read_text("utf-8"))
    assert [p["jpg"] for p in places] == [tuple(i) for i in index_shard(str(tar)).image.tolist()]


def test_nothing_is_lost_and_reasons_add_up(tmp_path, server):
    paths = ["/photo/1", "/photo/2", "/typed", "/gif", "/other", "/hops/2", "/page", "/bomb",
             "/empty", "/noai", "/loop/0", "/status/403", "/status/404", "/status/429",
             "/status/500", "/early", "/garbage", "/close", "/big", "/endless",
             "/hang"]  # fmt: skip
    urls = [server.url(p) for p in paths] + ["javascript:x", "", None]
    source = balanced(tmp_path, urls, uid=[f"id{i}" for i in range(len(urls))])
    result = download(source, timeout_s=4.0)
    assert result["downloaded"] == 6 and result["failed"] == {
        "too_large": 2, "too_many_redirects": 1, "bad_url": 1, "no_url": 2, "not_an_image": 1,
        "decompression_bomb": 1, "empty": 1, "opted_out": 1, "http_403": 1, "http_404": 1,
        "http_429": 1, "http_500": 1, "truncated": 1, "bad_answer": 1, "connection": 1,
        "timeout": 1,
    }  # fmt: skip
    rows = stated(source / "shards")
    assert {row["uid"] for row in rows} == {f"id{i}" for i in range(len(urls))}
    assert Counter(r["status"] for r in rows) == {
        "success": 6, "failed_to_resize": 2, "failed_to_download": len(urls) - 8,
    }  # fmt: skip
    assert len(samples(source / "shards")) == 6
    for path in (source / "shards").glob("*_stats.json"):
        stats = json.loads(path.read_text("utf-8"))
        assert (
            sum(stats["status_dict"].values())
            == stats["count"]
            == (stats["successes"] + stats["failed_to_download"] + stats["failed_to_resize"])
        )


def test_private_addresses_are_refused_unless_allowed(tmp_path, server):
    source = balanced(tmp_path, [server.url("/photo/1"), f"http://localhost:{server.port}/photo/2"])
    result = download(source, allow_private=False)
    assert result["failed"] == {"private_address": 2} and not server.asked
    assert download(source, retry_failed=True)["downloaded"] == 2


def test_the_same_answers_give_the_same_bytes(tmp_path, server):
    urls = [server.url(f"/{'photo' if i % 3 else 'status'}/{i + 400}") for i in range(40)]
    source = balanced(tmp_path, urls)
    for name, per_host in (("a", 1), ("b", 16)):
        download(source, tmp_path / name, per_host=per_host)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_pairs_of_one_url_share_one_request(tmp_path, server):
    urls = [server.url("/photo/1")] * 5 + [server.url("/photo/2")]
    source = balanced(tmp_path, urls)
    assert download(source)["downloaded"] == 6
    assert server.asked == {"/photo/1": 1, "/photo/2": 1}


def test_failures_in_done_shards_are_asked_for_again_and_nothing_else(tmp_path, server):
    kinds = ["/flaky/{}", "/photo/{}", "/noai/{}", "/photo/{}"]
    source = balanced(tmp_path, [server.url(kinds[i % 4].format(i)) for i in range(32)])
    server.is_broken = True
    first = download(source)
    assert first["failed"] == {"http_500": 8, "opted_out": 8}
    server.is_broken = False
    asked = server.asked.copy()
    assert download(source) == first and server.asked == asked
    second = download(source, retry_failed=True)
    assert second["failed"] == {"opted_out": 8} and second["downloaded"] == 24
    assert set(server.asked - asked) == {f"/flaky/{i}" for i in range(0, 32, 4)}
    asked = server.asked.copy()
    assert download(source, retry_failed=True) == second and server.asked == asked
    download(source, tmp_path / "fresh")
    assert contents(source / "shards") == contents(tmp_path / "fresh")


def test_signals_are_counted_by_pair_also_where_images_are_kept_from_before(tmp_path, server):
    server.files["/a"] = answer(200, photo(1), Content_Usage="train-ai=y")
    server.files["/b"] = answer(200, photo(2), tdm_reservation="1")
    urls = [server.url(path) for path in ("/a", "/a", "/b", "/flaky/1", "/photo/1")]
    source = balanced(tmp_path, urls)
    server.is_broken = True
    first = download(source)
    server.is_broken = False
    second = download(source, retry_failed=True)
    said = {"allow: content-usage": 2, "deny: tdm-reservation": 1}
    assert first["opt_outs"] == second["opt_outs"] == said
    assert second["failed"] == {"opted_out": 1} and second["downloaded"] == 4
    rows = {row["url"]: row["opt_outs"] for row in stated(source / "shards")}
    assert rows[urls[2]] == ["deny: tdm-reservation"] and rows[urls[4]] is None


def test_a_retry_that_was_killed_between_its_files_is_mended(tmp_path, server):
    source = balanced(tmp_path, [server.url(f"/flaky/{i}") for i in range(6)]
                      + [server.url(f"/photo/{i}") for i in range(2)])  # fmt: skip
    server.is_broken = True
    download(source)
    old = {p: p.read_bytes() for p in (source / "shards").iterdir()}
    server.is_broken = False
    download(source, retry_failed=True)
    wanted = contents(source / "shards")
    for path, content in old.items():
        if path.suffix != ".tar":
            path.write_bytes(content)
    (source / "shards/00000_stats.json").unlink()  # it goes before anything is written
    asked = server.asked.copy()
    download(source)
    assert contents(source / "shards") == wanted and server.asked == asked


def test_a_retry_that_was_killed_behind_a_tar_of_the_same_size_is_mended(
    tmp_path, server, monkeypatch
):
    source = balanced(tmp_path, [server.url("/flaky/1"), server.url("/photo/2")])
    server.is_broken = True
    download(source)
    tar, stop = source / "shards/00000.tar", lambda *_: 1 / 0
    size, server.is_broken = tar.stat().st_size, False
    monkeypatch.setattr(artifacts, "write_table", stop)
    with pytest.raises(ZeroDivisionError):
        download(source, retry_failed=True)
    monkeypatch.undo()
    assert tar.stat().st_size == size  # of one image and of two
    assert download(source)["downloaded"] == 2
    download(source, tmp_path / "fresh")
    assert contents(source / "shards") == contents(tmp_path / "fresh")


def test_one_download_at_a_time_works_on_a_folder(tmp_path, server):
    source = balanced(tmp_path, [server.url("/photo/1")])
    with driving(str(source / "shards"), "download"):
        with pytest.raises(ArtifactError, match="works on it already"):
            download(source)
    assert download(source)["downloaded"] == 1


def retract(folder, names):
    (folder / "list.txt").write_text("\n".join(names))
    return retract_pairs(
        str(folder / "list.txt"), matched=str(folder / "matched"), quiet=True,
        metadata=str(folder / "metadata"), balanced=[str(folder / "balanced")],
    )  # fmt: skip


def test_a_takedown_leaves_all_other_images(tmp_path, server, monkeypatch):
    kinds = ["photo", "photo", "status/404#"]
    urls = [server.url(f"/{kinds[i % 3]}/{i}") for i in range(24)]
    source = balanced(tmp_path, urls)
    download(source)
    shards, before, asked = source / "shards", samples(source / "shards"), server.asked.copy()
    rows = stated(shards)
    gone = [row for row in rows if row["url"] in urls[3:6]]
    names = [gone[0]["url"], *(row["pair_id"] for row in gone[1:])]

    def stop(path, value):
        if path.endswith("_stats.json"):
            raise ZeroDivisionError
        write_json(path, value)

    write_json = storage.write_json
    monkeypatch.setattr(storage, "write_json", stop)
    with pytest.raises(ZeroDivisionError):
        retract(tmp_path, names)
    monkeypatch.undo()
    shutil.copy(shards / "00000.tar", shards / "00009.tar")  # of a download that was killed
    retract(tmp_path, names)
    ids = {row["pair_id"] for row in gone}
    assert samples(shards) == {key: s for key, s in before.items() if key not in ids}
    assert stated(shards) == [row for row in rows if row["pair_id"] not in ids]
    assert server.asked == asked
    for number in range(3):
        tar, left = shards / f"{number:05d}.tar", stated_of(shards / f"{number:05d}.parquet")
        stats = json.loads((shards / f"{number:05d}_stats.json").read_text("utf-8"))
        assert stats["sha256"] == hashlib.sha256(tar.read_bytes()).hexdigest()
        assert stats["status_dict"] == Counter(row["reason"] or "success" for row in left)
        places = read_index(tar.with_suffix(".idx").read_text("utf-8"))
        assert [p["jpg"] for p in places] == [tuple(i) for i in index_shard(str(tar)).image]


def test_balancing_anew_does_not_remove_downloaded_images(tmp_path, server):
    source = balanced(tmp_path, [server.url("/photo/1")])
    download(source)
    before = contents(source)
    with pytest.raises(ArtifactError, match=r"shards holds images that were downloaded .* Move"):
        balance_pairs(
            matched=str(tmp_path / "matched"), output=str(source), quiet=True, overwrite=True,
            options=BalanceOptions(t=9, output_format="parquet"),
        )  # fmt: skip
    assert contents(source) == before


class Stopped(BaseException):
    """As an interrupt, but from any thread: asyncio expects those in the main thread alone."""


@pytest.mark.parametrize("removals", [0, 1, 3])
def test_an_overwrite_that_was_stopped_can_be_given_again(tmp_path, server, monkeypatch, removals):
    source = balanced(tmp_path, [server.url("/photo/1")])
    download(source)
    remove, done = storage.remove, []

    def stop_after(path):
        if path.startswith(f"{source}/shards/"):
            if len(done) == removals:
                raise Stopped
            done.append(path)
        remove(path)

    monkeypatch.setattr(storage, "remove", stop_after)
    with pytest.raises(Stopped):
        download(source, overwrite=True)
    monkeypatch.undo()
    assert download(source, overwrite=True)["downloaded"] == 1


def test_resized_images_and_their_original_sizes(tmp_path, server):
    source = balanced(tmp_path, [server.url("/photo/1"), server.url("/gif")])
    download(source, resize=Resize(mode="center_crop", size=12))
    for sample in samples(source / "shards").values():
        assert Image.open(io.BytesIO(sample["jpg"])).size == (12, 12)
        about = json.loads(sample["json"])
        assert (about["width"], about["original_width"]) == (12, 40)


def test_other_options_and_other_folders_are_refused(tmp_path, server):
    source = balanced(tmp_path, [server.url("/photo/1")])
    with pytest.raises(ArtifactError, match="Run `curate balance` first"):
        download(tmp_path / "nothing")
    with pytest.raises(InputError, match="no column 'link'"):
        download(source, columns=ColumnNames(url="link"))
    assert download(source, dry_run=True) == {"pairs": 1, "shards": 1, "to_do": 1}
    assert not (source / "shards").exists()
    download(source)
    with pytest.raises(ArtifactError, match="made with something else"):
        download(source, per_shard=5)
    assert download(source, per_shard=5, overwrite=True)["downloaded"] == 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("x")
    with pytest.raises(ArtifactError, match="not an output of this command"):
        download(source, tmp_path / "mine")


def command(source, *more):
    return [
        sys.executable, "-m", "curate.cli.main", "download", "--balanced", str(source),
        "--allow-private-addresses", "--pairs-per-shard", "8", "--retries", "0", *more,
    ]  # fmt: skip


def test_the_command_prints_reasons_that_add_up(tmp_path, server):
    source = balanced(tmp_path, [server.url("/photo/1"), server.url("/status/404")])
    done = subprocess.run(command(source), cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "http_404" in done.stdout and "read 2 = downloaded 1 + failed 1" in done.stdout
    done = subprocess.run(command(source, "--json"), cwd=ROOT, capture_output=True, timeout=120)
    assert json.loads(done.stdout)["failed"] == {"http_404": 1}


def test_a_download_of_nothing_fails_and_says_why(tmp_path, server):
    source = balanced(tmp_path, [server.url("/status/404"), server.url("/status/410")])
    done = subprocess.run(command(source), cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stdout == ""
    assert "none of 2 images could be had (http_404 1, http_410 1)" in done.stderr
    assert "--retry-failed` asks for them again" in done.stderr


def path(row):
    return "/" + row["url"].split("/", 3)[3]


@pytest.mark.slow
def test_a_killed_download_goes_on_where_it_was(tmp_path, server):
    source = balanced(tmp_path, [server.url(f"/photo/{i}") for i in range(24)])
    download(source, tmp_path / "fresh")
    first, *others = (stated_of(path) for path in sorted((tmp_path / "fresh").glob("*.parquet")))
    server.held = {path(row) for rows in others for row in rows}
    more = ["--timeout", "600", "--per-host", "64", "--quiet", "--image-format", "keep"]
    process = subprocess.Popen(command(source, *more), cwd=ROOT)
    try:
        until = time.monotonic() + 100
        while not (source / "shards/00000_stats.json").exists():
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.02)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not (source / "shards/00002_stats.json").exists()
    server.held, before = set(), server.asked.copy()
    assert download(source)["downloaded"] == 24
    again = server.asked - before
    assert not {path(row) for row in first} & set(again) and again.total() == 16
    assert contents(source / "shards") == contents(tmp_path / "fresh")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")],
)
def test_a_download_that_is_interrupted_ends_soon(tmp_path, server, number, code, word):
    source = balanced(tmp_path, [server.url(f"/hang/{i}") for i in range(4)])
    process = subprocess.Popen(
        command(source, "--timeout", "600"), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        until = time.monotonic() + 100
        while not server.asked:
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(number)
        _, errors = process.communicate(timeout=100)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == code and f"{word}. What is done is kept" in errors
    assert "Traceback" not in errors
    assert [p.name for p in (source / "shards").iterdir()] == ["plan.json"]


def test_images_of_the_toy_web_are_downloaded_and_trained_on(tmp_path, server):
    rng = np.random.default_rng(0)
    scenes = sample_scenes(rng, 40)
    for i, scene in enumerate(scenes):
        server.images[f"{i}.png"] = draw_scene(scene, rng.random(8), 64)
    urls = [server.url(f"/given/{i}.png") for i in range(40)] + [server.url("/status/404")]
    source = balanced(tmp_path, urls)
    assert download(source)["downloaded"] == 40
    found = samples(source / "shards")
    assert {s["png"] for s in found.values()} == set(server.images.values())
    tars = sorted(str(p) for p in (source / "shards").glob("*.tar"))
    tokenizer = learn_tokenizer(["a red dog"] * 4, 300, 8)
    config = LoaderConfig(image_size=8, batch_size=40, shuffle_pairs=5, threads=2)
    loading = Loader(tars, tokenizer, config).batches(Position())
    batch = next(loading)
    loading.close()
    assert set(batch.pair_ids) == set(found) and not batch.skipped


def test_a_shard_of_failures_alone_does_not_hinder_training(tmp_path, server):
    source = balanced(tmp_path, [server.url("/status/404")] * 8 + [server.url("/photo/1")] * 8)
    assert download(source, window=0)["failed"] == {"http_404": 8}
    tars = sorted(str(p) for p in (source / "shards").glob("*.tar"))
    assert [len(index_shard(t).places) for t in tars] == [0, 8]
    tokenizer = learn_tokenizer(["a red dog"] * 4, 300, 8)
    config = LoaderConfig(image_size=8, batch_size=8, shuffle_pairs=5, threads=2)
    loading = Loader(tars, tokenizer, config).batches(Position())
    assert len(next(loading).pair_ids) == 8
    loading.close()


def test_options_that_cannot_be_meant_are_refused():
    with pytest.raises(UsageError, match="--shuffle-shards is -1"):
        ShardOptions(window_shards=-1)


def test_all_pairs_are_mixed_by_default_and_a_window_keeps_neighbours(tmp_path, server):
    source = balanced(tmp_path, [server.url(f"/photo/{i}") for i in range(60)], place=range(60))
    download(source, tmp_path / "all", per_shard=10)
    download(source, tmp_path / "window", per_shard=10, window=2)
    places = {}
    for name in ("all", "window"):
        files = sorted((tmp_path / name).glob("*.parquet"))
        places[name] = [[row["place"] for row in stated_of(path)] for path in files]
        assert [len(p) for p in places[name]] == [10] * 6
        assert sorted(sum(places[name], [])) == list(range(60))
    assert all(max(p) - min(p) < 20 for p in places["window"])
    assert all(max(p) - min(p) > 20 for p in places["all"])
    ids = [row["pair_id"] for row in stated(tmp_path / "all")]
    assert np.all(np.diff(order_draws(pa.array(ids), 0)) > 0)
    assert not list((tmp_path / "all").glob("curate-mix-*"))


def test_a_mixed_shard_that_was_lost_comes_back_the_same(tmp_path, server):
    source = balanced(tmp_path, [server.url(f"/photo/{i}") for i in range(60)])
    download(source, per_shard=10)
    before = contents(source / "shards")
    for name in ("00002.tar", "00004_stats.json"):
        (source / "shards" / name).unlink()
    assert download(source, per_shard=10, dry_run=True)["to_do"] == 2
    download(source, per_shard=10)
    assert contents(source / "shards") == before


def test_runs_of_any_size_give_the_same_shards(tmp_path):
    urls = [f"https://example.org/{i}" for i in range(50)]
    pairs = BalancedPairs.open(str(balanced(tmp_path, urls)), ColumnNames())
    found = []
    for rows in (7, 50):
        mixed = MixedPairs(pairs, 12, str(tmp_path / "near"), rows)
        found.append([mixed.shard(n).column("url").to_pylist() for n in range(5)])
        mixed.close()
    assert found[0] == found[1] and [len(shard) for shard in found[0]] == [12, 12, 12, 12, 2]
    assert not list((tmp_path / "near").iterdir())


def test_a_card_made_after_a_download_says_what_came_and_how_sites_said_no(tmp_path, server):
    server.files["/b"] = answer(200, photo(2), tdm_reservation="1")
    urls = [server.url(path) for path in ("/b", "/photo/1", "/photo/2", "/none")]
    metadata = write_metadata(tmp_path / "metadata", {"en": ["dog"]})
    table = pa.table({"url": urls, "text": [f"a dog {i}" for i in range(4)]})
    pq.write_table(table, tmp_path / "in.parquet")
    match([tmp_path / "in.parquet"], metadata, tmp_path / "matched")
    balance_pairs(matched=str(tmp_path / "matched"), output=str(tmp_path / "balanced"),
                  options=BalanceOptions(t=9), quiet=True)  # fmt: skip
    before = json.loads((tmp_path / "balanced/datacard.json").read_text())
    assert "downloaded" not in before and "opt_outs" not in before
    found = download(tmp_path / "balanced")
    card = make_card(matched=str(tmp_path / "matched"), balanced=str(tmp_path / "balanced"),
                     quiet=True)  # fmt: skip
    assert card["downloaded"] == {
        "pairs": 4, "images": found["downloaded"], "failed": found["failed"],
        "opt_outs": {"deny: tdm-reservation": 1},
    }  # fmt: skip
    markdown = " ".join((tmp_path / "balanced/datacard.md").read_text().split())
    assert "## How sites said no" in markdown and "| deny\\: tdm-reservation | 1 |" in markdown
    assert "1 pair was left out because their server says no." in markdown
    page = (tmp_path / "balanced/datacard.html").read_text()
    assert "their server says no" in page and "W3C Community Group Final Report" in page
